//! Folders with models of Caffe and BigDL are served as they are, and answer what OpenCV and BigDL answered.

use std::fs;

use e2e::{Infer, Line, PATIENCE, project_path, wait_for};
use serde_json::{Value, json};

const SERVED: &str = "tests/convert/served";
const TOLERANCE: f64 = 1e-4;

#[test]
fn models_of_caffe_and_bigdl_answer_over_http_as_where_they_came_from() {
    let models = ["bigdl", "caffe"];
    let line = Line::new(&models, 1);
    let mut infer = line.infer(Infer {
        models: SERVED,
        names: &models,
        ..Infer::default()
    });
    let mut ingest = line.ingest("");
    infer.wait_ready();
    ingest.wait_ready();

    let expected =
        fs::read_to_string(project_path(SERVED).join("expected.json")).expect("it is committed");
    let expected: Value = serde_json::from_str(&expected).expect("it is JSON");
    for model in models {
        let url = ingest.url(&format!("/v1/models/{model}:predict"));
        let body = json!({"instances": expected[model]["instances"]});
        let given = predict(&url, &body);
        check_equal(model, &given, &expected[model]["predictions"]);
    }
}

/// The first answer but "it is being loaded": one model is ready before the other.
fn predict(url: &str, body: &Value) -> Value {
    let client = reqwest::blocking::Client::new();
    let answer = wait_for(PATIENCE, "the model to be loaded", || {
        let request = client.post(url).body(body.to_string());
        let answer = request.send().expect("ingest answers");
        (answer.status() != 503).then_some(answer)
    });
    let status = answer.status();
    let text = answer.text().expect("the answer is text");
    assert!(status.is_success(), "{status}: {text}");
    let mut answer: Value = serde_json::from_str(&text).expect("the answer is JSON");
    answer["predictions"].take()
}

/// Lists of one length, numbers as near as float32 allows.
fn check_equal(model: &str, given: &Value, expected: &Value) {
    match (given, expected) {
        (Value::Array(given), Value::Array(expected)) => {
            assert_eq!(given.len(), expected.len(), "{model}");
            for (given, expected) in given.iter().zip(expected) {
                check_equal(model, given, expected);
            }
        }
        (given, expected) => {
            let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
            let (given, expected) = (number(given), number(expected));
            let near = (given - expected).abs() <= TOLERANCE * expected.abs().max(0.01);
            assert!(near, "{model}: {given} instead of {expected}");
        }
    }
}
