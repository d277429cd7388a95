//! Requests whose tensors are in the JSON.

use std::time::Duration;

use super::*;

#[test]
fn data_may_be_flat_or_nested() {
    let model = single(DType::Float32, &[2, 2]);
    for data in ["[1,2,3,4,5,6,7,8]", "[[[1,2],[3,4]],[[5,6],[7,8]]]"] {
        let request = accept_json(&x("FP32", "[2,2,2]", data), &model);
        let [tensor] = request.tensors.as_slice() else {
            panic!("one tensor");
        };
        assert_eq!(tensor.name(), "x");
        assert_eq!(tensor.shape(), [2, 2, 2]);
        assert_eq!(
            tensor.typed::<f32>().unwrap(),
            [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]
        );
    }
    let scalars = accept_json(&x("FP32", "[3]", "[1,2,3]"), &single(DType::Float32, &[]));
    assert_eq!(scalars.tensors[0].shape(), [3]);
}

#[test]
fn every_type_with_a_json_form_is_read() {
    let cases: [(DType, &str, &str, &[u8]); 11] = [
        (DType::Bool, "BOOL", "[true,false]", &[1, 0]),
        (DType::Int8, "INT8", "[-128,127]", &[0x80, 0x7f]),
        (DType::Uint8, "UINT8", "[0,255]", &[0, 255]),
        (DType::Int16, "INT16", "[-1,2]", &[255, 255, 2, 0]),
        (DType::Uint16, "UINT16", "[1,65535]", &[1, 0, 255, 255]),
        (
            DType::Int32,
            "INT32",
            "[-1,1]",
            &[255, 255, 255, 255, 1, 0, 0, 0],
        ),
        (
            DType::Uint32,
            "UINT32",
            "[1,4294967295]",
            &[1, 0, 0, 0, 255, 255, 255, 255],
        ),
        (
            DType::Int64,
            "INT64",
            "[9007199254740993,-1]",
            &[
                1, 0, 0, 0, 0, 0, 0x20, 0, 255, 255, 255, 255, 255, 255, 255, 255,
            ],
        ),
        (
            DType::Uint64,
            "UINT64",
            "[18446744073709551615,0]",
            &[
                255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0,
            ],
        ),
        (
            DType::Float32,
            "FP32",
            "[1,-0.0]",
            &[0, 0, 0x80, 0x3f, 0, 0, 0, 0x80],
        ),
        (
            DType::Float64,
            "FP64",
            "[1,0.5]",
            &[0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0, 0, 0, 0, 0, 0, 0xe0, 0x3f],
        ),
    ];
    for (dtype, name, data, expected) in cases {
        let request = accept_json(&x(name, "[2]", data), &single(dtype, &[]));
        assert_eq!(request.tensors[0].dtype(), dtype);
        assert_eq!(
            request.tensors[0].fixed_bytes().unwrap(),
            expected,
            "{name}"
        );
    }
}

#[test]
fn bytes_are_strings_for_text_and_binary_inputs() {
    for dtype in [DType::String, DType::Bytes] {
        let body = x("BYTES", "[3]", r#"["a","\u0000ü",""]"#);
        let request = accept_json(&body, &single(dtype, &[]));
        let elements = request.tensors[0].elements().unwrap();
        let elements: Vec<&[u8]> = elements.iter().collect();
        assert_eq!(elements, ["a".as_bytes(), "\0ü".as_bytes(), b""]);
        assert_eq!(request.tensors[0].dtype(), dtype);
    }
}

#[test]
fn keys_may_come_in_any_order() {
    let body = r#"{"outputs":[{"name":"y"}],
        "inputs":[{"data":[1,2],"datatype":"FP32","shape":[1,2],"name":"x"}],"id":"42"}"#;
    let request = accept_json(body, &single(DType::Float32, &[2]));
    assert_eq!(request.tensors[0].typed::<f32>().unwrap(), [1.0, 2.0]);
    assert_eq!(request.id.as_deref(), Some("42"));
    assert_eq!(request.outputs.named().unwrap()[0].name, "y");
}

#[test]
fn inputs_come_out_in_the_order_of_the_signature() {
    let body = r#"{"inputs":[
        {"name":"id","datatype":"BYTES","shape":[1],"data":["a"]},
        {"name":"x","datatype":"FP32","shape":[1,2],"data":[1,2]}]}"#;
    let request = accept_json(body, &two());
    let names: Vec<&str> = request.tensors.iter().map(crate::Tensor::name).collect();
    assert_eq!(names, ["x", "id"]);
}

#[test]
fn parameters_are_read_and_unknown_ones_let_be() {
    let body = r#"{"id":7,"parameters":{"timeout":1500000,"priority":3,"binary_data_output":true,
        "sequence_id":0,"mine":{"a":[1,{"b":null}]},"headers":"x"},"other":[1],
        "inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[1],"more":{},"parameters":{}}],
        "outputs":[{"name":"y","parameters":{"binary_data":false,"classification":0}},{"name":"x"}]}"#;
    let request = accept_json(body, &single(DType::Float32, &[]));
    assert_eq!(request.id.as_deref(), Some("7"));
    assert_eq!(request.timeout, Some(Duration::from_millis(1500)));
    assert_eq!(request.priority, 3);
    assert!(request.outputs.binary());
    let named = request.outputs.named().unwrap();
    assert_eq!(
        named,
        [
            RequestedOutput {
                name: "y".into(),
                binary: Some(false)
            },
            RequestedOutput {
                name: "x".into(),
                binary: None
            }
        ]
    );
}

#[test]
fn fields_that_may_be_missing_may_be_null() {
    let body = r#"{"id":null,"parameters":null,"outputs":null,"inputs":[
        {"name":"x","datatype":"FP32","shape":[1],"parameters":null,"data":[1]}]}"#;
    let request = accept_json(body, &single(DType::Float32, &[]));
    assert_eq!(request.id, None);
    assert_eq!(request.outputs, Outputs::default());
    let json = r#"{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":null,"parameters":{"binary_data_size":4}}]}"#;
    accept_binary(json, &[0; 4], &single(DType::Float32, &[]));
}

#[test]
fn no_outputs_and_a_timeout_of_zero_are_as_if_they_were_not_there() {
    let body = r#"{"parameters":{"timeout":"0"},"outputs":[],
        "inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[1]}]}"#;
    let request = accept_json(body, &single(DType::Float32, &[]));
    assert_eq!(request.timeout, None);
    assert_eq!(request.outputs, Outputs::default());
}
