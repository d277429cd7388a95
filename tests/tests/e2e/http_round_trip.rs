//! An answer over HTTP is what the model says, and nothing else.

use e2e::{Infer, Line, digits, project_path};
use serde_json::{Value, json};

/// Batches differ between the line and the reference, so float sums may be in another order.
const TOLERANCE: f64 = 1e-6;

#[test]
fn held_out_digits_over_http_equal_onnx_runtime_in_process() {
    let line = Line::new(&["digits"], 4);
    let mut infer = line.infer(Infer::default());
    let mut ingest = line.ingest("");
    infer.wait_ready();
    ingest.wait_ready();

    let digits = digits();
    let reference = digits.reference_scores();
    let mut right = 0;
    for (first, labels) in digits
        .labels
        .chunks(7)
        .enumerate()
        .map(|(i, labels)| (i * 7, labels))
    {
        let images: Vec<_> = (0..labels.len())
            .map(|i| json!({"image": digits.json(first + i)}))
            .collect();
        let predictions = predict(
            &ingest.url("/v1/models/digits:predict"),
            &json!({"instances": images}),
        );
        assert_eq!(predictions.len(), labels.len());
        for (i, prediction) in predictions.iter().enumerate() {
            check_scores(&prediction["scores"], &reference[first + i]);
            right += usize::from(prediction["label"].as_i64() == Some(labels[i]));
        }
    }
    let accuracy = right as f64 / digits.labels.len() as f64;
    assert!(
        accuracy > 0.97,
        "{accuracy} of the held-out images are right"
    );
}

#[test]
fn cluster_servings_own_example_is_answered_with_two_predictions() {
    let line = Line::new(&["everything"], 1);
    let mut infer = line.infer(Infer {
        names: &["everything"],
        ..Infer::default()
    });
    let mut ingest = line.ingest("");
    infer.wait_ready();
    ingest.wait_ready();

    let example = read_json("models/everything/example.json");
    let expected = read_json("models/everything/expected.json");
    let predictions = predict(&ingest.url("/predict"), &example);
    assert_eq!(predictions.len(), 2);
    check_equal(&Value::Array(predictions), &expected["predictions"]);
}

fn predict(url: &str, body: &Value) -> Vec<Value> {
    let answer = reqwest::blocking::Client::new()
        .post(url)
        .body(body.to_string())
        .send()
        .expect("ingest answers");
    let status = answer.status();
    let text = answer.text().expect("the answer is text");
    assert!(status.is_success(), "{status}: {text}");
    let json: Value = serde_json::from_str(&text).expect("the answer is JSON");
    json["predictions"]
        .as_array()
        .expect("predictions is a list")
        .clone()
}

fn check_scores(given: &Value, expected: &[f32]) {
    let given = given.as_array().expect("scores is a list");
    assert_eq!(given.len(), expected.len());
    for (given, expected) in given.iter().zip(expected) {
        let difference = given.as_f64().expect("a score is a number") - f64::from(*expected);
        assert!(difference.abs() < TOLERANCE, "{given} is not {expected}");
    }
}

/// Equal, with numbers compared within a relative tolerance: sums may differ in their last digit.
fn check_equal(given: &Value, expected: &Value) {
    match (given, expected) {
        (Value::Number(given), Value::Number(expected)) => {
            let (given, expected) = (
                given.as_f64().expect("finite"),
                expected.as_f64().expect("finite"),
            );
            assert!(
                (given - expected).abs() <= 1e-5 * expected.abs().max(1.0),
                "{given} is not {expected}"
            );
        }
        (Value::Array(given), Value::Array(expected)) => {
            assert_eq!(given.len(), expected.len(), "{given:?} is not {expected:?}");
            given
                .iter()
                .zip(expected)
                .for_each(|(given, expected)| check_equal(given, expected));
        }
        (Value::Object(given), Value::Object(expected)) => {
            assert!(
                given.keys().all(|key| expected.contains_key(key)),
                "{given:?} is not {expected:?}"
            );
            assert_eq!(given.len(), expected.len(), "{given:?} is not {expected:?}");
            given
                .iter()
                .for_each(|(key, given)| check_equal(given, &expected[key]));
        }
        _ => assert_eq!(given, expected),
    }
}

fn read_json(path: &str) -> Value {
    let text = std::fs::read_to_string(project_path(path)).expect("the file is in the project");
    serde_json::from_str(&text).expect("the file is JSON")
}
