//! Results as infer responses.

use crate::{
    ColumnParts, Limits, Record, Tensor, TensorSlice, VariableData, encode, encode_tensors,
};
use arrow::buffer::Buffer;

use super::*;
use crate::json::{JsonRules, Strictness};

const ANSWER: Answer<'static> = Answer {
    model: "m",
    version: 3,
    id: Some("4\"2"),
};

fn floats(name: &str, shape: &[usize], values: &[f32]) -> Tensor {
    let data = Buffer::from_vec(values.to_vec());
    Tensor::fixed(name, DType::Float32, shape.to_vec(), data).unwrap()
}

fn texts(name: &str, dtype: DType, values: &[&[u8]]) -> Tensor {
    let data = VariableData::from_iter(values);
    Tensor::variable(name, dtype, vec![values.len()], data).unwrap()
}

fn record(tensors: &[Tensor]) -> Record {
    Record::decode(encode_tensors(tensors).unwrap(), &Limits::default()).unwrap()
}

/// The outputs that a request with this `outputs` and these `parameters` wants.
fn wanted(outputs: &str, binary_data_output: bool) -> Outputs {
    let body = format!(
        r#"{{"parameters":{{"binary_data_output":{binary_data_output}}},"outputs":{outputs},
        "inputs":[{{"name":"x","datatype":"FP32","shape":[1],"data":[1]}}]}}"#
    );
    accept_json(&body, &single(DType::Float32, &[])).outputs
}

fn write(result: &Record, outputs: &Outputs) -> Result<InferResponse, ResponseError> {
    write_infer(&ANSWER, result, outputs, &JsonRules::default())
}

#[test]
fn json_is_flat_and_floats_are_shortest() {
    let result = record(&[
        floats("y", &[2, 2], &[0.1, 1.0, 3e-5, -0.0]),
        texts("id", DType::String, &[b"a\"", "ü".as_bytes()]),
    ]);
    let written = write(&result, &Outputs::default()).unwrap();
    assert_eq!(written.header_length, None);
    assert_eq!(
        String::from_utf8(written.body).unwrap(),
        r#"{"model_name":"m","model_version":"3","id":"4\"2","outputs":[{"name":"y","datatype":"FP32","shape":[2,2],"data":[0.1,1.0,3e-05,-0.0]},{"name":"id","datatype":"BYTES","shape":[2],"data":["a\"","ü"]}]}"#
    );
}

#[test]
fn raw_outputs_follow_the_json_in_their_order() {
    let result = record(&[
        floats("x", &[1], &[1.0]),
        texts("t", DType::Bytes, &[b"\xffa"]),
    ]);
    let written = write(&result, &Outputs::all_binary()).unwrap();
    let length = written.header_length.unwrap();
    let (json, raw) = written.body.split_at(length);
    let json: serde_json::Value = serde_json::from_slice(json).unwrap();
    assert_eq!(json["outputs"][0]["parameters"]["binary_data_size"], 4);
    assert_eq!(json["outputs"][1]["parameters"]["binary_data_size"], 6);
    assert_eq!(json["outputs"][1]["datatype"], "BYTES");
    assert_eq!(raw, [0, 0, 128, 63, 2, 0, 0, 0, 0xff, b'a']);
}

#[test]
fn an_output_s_own_form_wins_over_the_request_s() {
    let result = record(&[floats("x", &[1], &[1.0]), floats("y", &[1], &[2.0])]);
    let both = r#"[{"name":"y","parameters":{"binary_data":false}},{"name":"x"}]"#;
    let written = write(&result, &wanted(both, true)).unwrap();
    let (json, raw) = written.body.split_at(written.header_length.unwrap());
    let json: serde_json::Value = serde_json::from_slice(json).unwrap();
    assert_eq!(json["outputs"][0]["name"], "y");
    assert_eq!(json["outputs"][0]["data"], serde_json::json!([2.0]));
    assert_eq!(json["outputs"][1]["name"], "x");
    assert_eq!(raw, [0, 0, 128, 63]);
    let only = r#"[{"name":"y","parameters":{"binary_data":true}}]"#;
    let written = write(&result, &wanted(only, false)).unwrap();
    assert_eq!(written.body.len() - written.header_length.unwrap(), 4);
    let json_only = write(&result, &wanted("[]", false)).unwrap();
    assert_eq!(json_only.header_length, None);
}

#[test]
fn results_that_this_protocol_cannot_carry_are_said_so() {
    let bytes = record(&[texts("x", DType::Bytes, &[b"ok", b"\xff"])]);
    let error = write(&bytes, &Outputs::default()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("output x holds bytes that are no text"),
        "{error}"
    );
    let (a, b) = (
        floats("a", &[1, 2], &[1.0, 2.0]),
        floats("b", &[1, 1], &[3.0]),
    );
    let parts = [&a, &b].map(|tensor| TensorSlice { tensor, rows: 0..1 });
    let column = ColumnParts {
        name: "x",
        parts: parts.to_vec(),
    };
    let ragged = Record::decode(encode(&[column]).unwrap(), &Limits::default()).unwrap();
    let error = write(&ragged, &Outputs::default()).unwrap_err();
    assert!(
        error.to_string().contains("rows of different shapes"),
        "{error}"
    );
    let result = record(&[floats("x", &[1], &[1.0])]);
    let error = write(&result, &wanted(r#"[{"name":"y"}]"#, false)).unwrap_err();
    assert_eq!(error.to_string(), "result has no output y");
}

#[test]
fn an_answer_of_every_type_reads_back() {
    for dtype in DType::ALL {
        let tensor = match dtype.element_size_bytes() {
            None => texts("x", dtype, &[b"one", b""]),
            Some(size) => {
                let data = Buffer::from(vec![1_u8; 2 * size]);
                Tensor::fixed("x", dtype, vec![2], data).unwrap()
            }
        };
        let result = record(&[tensor]);
        let written = write(&result, &Outputs::all_binary()).unwrap();
        let (_, raw) = written.body.split_at(written.header_length.unwrap());
        let json = x_binary(datatype(dtype), "[2]", &raw.len().to_string());
        let mut model = single(dtype, &[]);
        model.outputs.clear();
        let read = accept_binary(&json, raw, &model);
        let written = result.tensor(0).unwrap();
        assert_eq!(
            read.tensors[0].fixed_bytes(),
            written.fixed_bytes(),
            "{dtype}"
        );
        assert_eq!(read.tensors[0].elements(), written.elements(), "{dtype}");
    }
}

#[test]
fn floats_that_are_not_finite_follow_the_rules() {
    let values = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY];
    let result = record(&[floats("y", &[3], &values)]);
    for (strictness, data) in [
        (Strictness::Lenient, "[NaN,Infinity,-Infinity]"),
        (Strictness::Strict, "[null,null,null]"),
    ] {
        let rules = JsonRules {
            strictness,
            ..JsonRules::default()
        };
        let written = write_infer(&ANSWER, &result, &Outputs::default(), &rules).unwrap();
        let body = String::from_utf8(written.body).unwrap();
        assert!(body.contains(&format!("\"data\":{data}")), "{body}");
    }
}
