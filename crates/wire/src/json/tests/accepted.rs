//! What must be accepted, and the exact tensors it makes.

use half::f16;

use super::*;

fn floats(request: &PredictRequest) -> &[f32] {
    request.tensors[0].typed().unwrap()
}

fn texts(request: &PredictRequest) -> Vec<&[u8]> {
    request.tensors[0].elements().unwrap().iter().collect()
}

#[test]
fn rows_become_the_first_dimension() {
    let request = accept(
        r#"{"instances":[[1.0,2.0],[3.0,4.0]]}"#,
        &single(DType::Float32, &[2]),
    );
    assert_eq!(request.format, Format::Row);
    assert_eq!(request.signature_name, None);
    assert_eq!(request.tensors[0].shape(), [2, 2]);
    assert_eq!(floats(&request), [1.0, 2.0, 3.0, 4.0]);
    assert_eq!(
        request.tensors[0]
            .fixed_bytes()
            .unwrap()
            .as_ptr()
            .align_offset(64),
        0
    );
}

#[test]
fn the_golden_requests_of_tensorflow_serving_are_read() {
    let half_plus_two = single(DType::Float32, &[]);
    let request = accept(r#"{"instances":[1.0,2.0,5.0]}"#, &half_plus_two);
    assert_eq!(
        (request.tensors[0].shape(), floats(&request)),
        (&[3][..], &[1.0, 2.0, 5.0][..])
    );
    let request = accept(
        r#"{"signature_name":"serving_default","inputs":[3.0,4.0]}"#,
        &half_plus_two,
    );
    assert_eq!(request.format, Format::Column);
    assert_eq!(request.signature_name.as_deref(), Some("serving_default"));
    assert_eq!(floats(&request), [3.0, 4.0]);
    let request = accept(r#"{"instances":[1435774380]}"#, &half_plus_two);
    assert_eq!(floats(&request), [1_435_774_380.0]);
}

#[test]
fn named_inputs_may_come_in_any_order_and_before_the_signature_name() {
    let model = signature(vec![
        input("a", DType::Float32, &[2]),
        input("b", DType::Int64, &[]),
        input("c", DType::String, &[]),
    ]);
    let body = r#" { "instances" : [ {"c":"x","a":[1,2],"b":7}, {"b":8, "a":[3,4], "c":"y"} ],
        "signature_name":"s\u0031", "extra": {"instances": [1, {"deep": [null, true]}]}, "more": -1.5e3 } "#;
    let request = accept(body, &model);
    assert_eq!(request.signature_name.as_deref(), Some("s1"));
    assert_eq!(request.ignored_keys, 2);
    let names: Vec<_> = request.tensors.iter().map(|tensor| tensor.name()).collect();
    assert_eq!(names, ["a", "b", "c"]);
    assert_eq!(floats(&request), [1.0, 2.0, 3.0, 4.0]);
    assert_eq!(request.tensors[1].typed::<i64>().unwrap(), [7, 8]);
    assert_eq!(request.tensors[2].elements().unwrap().get(1), b"y");
    let columns = r#"{"inputs":{"b":[7,8],"c":["x","y"],"a":[[1,2],[3,4]]}}"#;
    let request = accept(columns, &model);
    assert_eq!(request.tensors[0].shape(), [2, 2]);
    assert_eq!(floats(&request), [1.0, 2.0, 3.0, 4.0]);
}

#[test]
fn a_single_input_may_be_named_or_not() {
    let model = single(DType::Float32, &[1]);
    for body in [
        r#"{"instances":[{"x":[1]},{"x":[2]}]}"#,
        r#"{"instances":[[1],[2]]}"#,
        r#"{"inputs":{"x":[[1],[2]]}}"#,
        r#"{"inputs":[[1],[2]]}"#,
        "{\"inputs\"\t:\r\n[ [ 1 ] ,[2\n] ]}",
    ] {
        let request = accept(body, &model);
        assert_eq!(request.tensors[0].shape(), [2, 1]);
        assert_eq!(floats(&request), [1.0, 2.0]);
    }
}

#[test]
fn open_dimensions_are_taken_from_the_first_row() {
    let model = single(DType::Int32, &[-1, -1]);
    let request = accept(
        r#"{"instances":[[[1,2,3],[4,5,6]],[[7,8,9],[0,1,2]]]}"#,
        &model,
    );
    assert_eq!(request.tensors[0].shape(), [2, 2, 3]);
    assert_eq!(
        request.tensors[0].typed::<i32>().unwrap(),
        [1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2]
    );
    check_refused(
        r#"{"instances":[[[1,2]],[[1,2,3]]]}"#,
        &model,
        "Expecting shape [1,2] but got: [1,3] (input x, instance 1)",
    );
    check_refused(
        r#"{"instances":[[[1,2],[3]]]}"#,
        &model,
        "Encountered list at unexpected size: 1 at level: 1 expected size: 2",
    );
    let empty = accept(r#"{"instances":[[],[]]}"#, &single(DType::Int32, &[-1]));
    assert_eq!(empty.tensors[0].shape(), [2, 0]);
}

#[test]
fn long_rows_of_unknown_length_are_read_whole() {
    for dtype in [DType::Uint8, DType::Float64] {
        for count in [1, 63, 64, 65, 1000, 100_000] {
            let row = vec!["7"; count].join(", ");
            let body = format!("{{\"instances\":[[{row}],[{row}]]}}");
            let request = accept(body, &single(dtype, &[-1]));
            assert_eq!(request.tensors[0].shape(), [2, count]);
            let bytes = request.tensors[0].fixed_bytes().unwrap();
            assert_eq!(bytes.len(), 2 * count * dtype.element_size_bytes().unwrap());
            if dtype == DType::Uint8 {
                assert!(bytes.iter().all(|&byte| byte == 7));
            }
        }
    }
}

#[test]
fn integers_beyond_the_floats_are_exact() {
    let body = r#"{"instances":[9007199254740993,-9223372036854775808,9223372036854775807]}"#;
    let request = accept(body, &single(DType::Int64, &[]));
    assert_eq!(
        request.tensors[0].typed::<i64>().unwrap(),
        [9_007_199_254_740_993, i64::MIN, i64::MAX]
    );
}

#[test]
fn floats_keep_signs_tokens_and_extremes() {
    let body = r#"{"instances":[[1e39, -1e39, NaN, Infinity, -Infinity, -0.0, 1e-400, 4.9e-324]]}"#;
    let request = accept(body, &single(DType::Float32, &[8]));
    let values = floats(&request);
    assert_eq!(values[..2], [f32::INFINITY, f32::NEG_INFINITY]);
    assert!(values[2].is_nan());
    assert_eq!(values[3..5], [f32::INFINITY, f32::NEG_INFINITY]);
    assert_eq!(values[5].to_bits(), (-0.0f32).to_bits());
    assert_eq!(values[6..], [0.0, 0.0]);
    let request = accept(body, &single(DType::Float64, &[8]));
    let values: &[f64] = request.tensors[0].typed().unwrap();
    assert_eq!(values[..2], [1e39, -1e39]);
    assert_eq!(values[6..], [0.0, 5e-324]);
}

#[test]
fn integers_and_decimals_may_mix_in_a_float_input() {
    let request = accept(
        r#"{"instances":[[1, 2.5, 3, 4e0]]}"#,
        &single(DType::Float32, &[4]),
    );
    assert_eq!(floats(&request), [1.0, 2.5, 3.0, 4.0]);
}

#[test]
fn half_formats_and_booleans_are_read() {
    let body = r#"{"instances":[[1.5,-2,65504]]}"#;
    let request = accept(body, &single(DType::Float16, &[3]));
    let expected = [1.5, -2.0, 65504.0].map(f16::from_f32);
    assert_eq!(request.tensors[0].typed::<f16>().unwrap(), expected);
    let request = accept(body, &single(DType::Bfloat16, &[3]));
    assert_eq!(
        request.tensors[0].typed::<u16>().unwrap(),
        [0x3fc0, 0xc000, 0x4780]
    );
    let request = accept(r#"{"instances":[true,false]}"#, &single(DType::Bool, &[]));
    assert_eq!(request.tensors[0].typed::<u8>().unwrap(), [1, 0]);
    check_refused(
        r#"{"instances":[1]}"#,
        &single(DType::Bool, &[]),
        "JSON Value: 1 Type: Number is not of expected type: bool",
    );
}

#[test]
fn text_is_unescaped_and_nul_is_kept() {
    let model = single(DType::String, &[-1]);
    let request = accept(
        r#"{"instances":[["a\u0000b","\ud83d\ude00é\n",""],["1","2","3"]]}"#,
        &model,
    );
    assert_eq!(request.tensors[0].shape(), [2, 3]);
    assert_eq!(
        texts(&request)[..3],
        [b"a\0b".as_slice(), "😀é\n".as_bytes(), b""]
    );
}

#[test]
fn base64_is_decoded_as_abseil_does() {
    for dtype in [DType::Bytes, DType::String] {
        let body = r#"{"instances":[{"b64":"aGVsbG8="},{"b64":"aGVsbG8"},{"b64":" aGVs\nbG8= "},{"b64":""},"hello"]}"#;
        let request = accept(body, &single(dtype, &[]));
        assert_eq!(
            texts(&request),
            [b"hello".as_slice(), b"hello", b"hello", b"", b"hello"]
        );
    }
    let body = r#"{"instances":[[{ "b64" : "\/\/8=" }]]}"#;
    let request = accept(body, &single(DType::Bytes, &[1]));
    assert_eq!(texts(&request), [[0xff, 0xff]]);
    let body = r#"{"instances":[{"x":{"b64":"AAE="}}]}"#;
    assert_eq!(texts(&accept(body, &single(DType::Bytes, &[]))), [[0, 1]]);
    let body = r#"{"inputs":[{"b64":"AAE="}]}"#;
    assert_eq!(texts(&accept(body, &single(DType::Bytes, &[]))), [[0, 1]]);
}

#[test]
fn an_input_may_be_called_like_the_base64_key() {
    let model = signature(vec![input("b64", DType::Float32, &[1])]);
    assert_eq!(
        floats(&accept(r#"{"instances":[{"b64":[1]}]}"#, &model)),
        [1.0]
    );
}

#[test]
fn many_inputs_in_changing_order_are_found() {
    let names: Vec<String> = (0..300).map(|index| format!("feature_{index}")).collect();
    let model = signature(
        names
            .iter()
            .map(|name| input(name, DType::Int32, &[]))
            .collect(),
    );
    let mut rows = Vec::new();
    for row in 0..3usize {
        let members: Vec<String> = (0..300)
            .map(|place| (place * 7 + row * 11) % 300)
            .map(|index| format!("\"{}\":{}", names[index], index * 10 + row))
            .collect();
        rows.push(format!("{{{}}}", members.join(",")));
    }
    let request = accept(format!("{{\"instances\":[{}]}}", rows.join(",")), &model);
    for (index, tensor) in request.tensors.iter().enumerate() {
        let first = i32::try_from(index * 10).unwrap();
        assert_eq!(
            tensor.typed::<i32>().unwrap(),
            [first, first + 1, first + 2]
        );
    }
}
