//! Cluster Serving's HTTP API: `/predict` and the models by name and version.

use serde_json::{Value, json};

use super::client::{get, post, raw, request};
use super::played::{Input, descriptor, echo};
use super::scene::{Scene, shared};

/// An input of every kind that Cluster Serving's documentation shows.
const KINDS: [Input; 10] = [
    ("intScalar", "INT32", &[-1]),
    ("floatScalar", "FP32", &[-1]),
    ("stringScalar", "STRING", &[-1]),
    ("intTensor", "INT64", &[-1, -1]),
    ("floatTensor", "FP32", &[-1, 4]),
    ("stringTensor", "STRING", &[-1, 3]),
    ("intTensor2", "INT16", &[-1, 3, 2]),
    ("floatTensor2", "FP64", &[-1, 1, 2, 2]),
    ("stringTensor2", "STRING", &[-1, -1, -1]),
    ("image", "BYTES", &[-1]),
];

#[test]
fn an_instance_holds_values_of_every_kind_and_every_instance_is_answered() {
    let scene = Scene::start(|_| {});
    scene.serve(&descriptor("kinds", &KINDS), echo);
    scene.wait_ready();
    // Integers and decimals in one list become what the model takes.
    let instance = |image: Value, number: i32| {
        json!({
            "intScalar": number,
            "floatScalar": 3.5,
            "stringScalar": "hello, world. hello, arrow.",
            "intTensor": [7756, 9549, 1094],
            "floatTensor": [1, 0.5, 2, 0.25],
            "stringTensor": ["come", "on", "united"],
            "intTensor2": [[1, 2], [3, 4], [5, 6]],
            "floatTensor2": [[[0.25, 0.5], [0.75, 1.0]]],
            "stringTensor2": [["come", "on"], ["", "united"]],
            "image": image,
        })
    };
    let base64 = |text: &str| json!({ "b64": text });
    let body = json!({"instances": [
        instance(json!("/9j/4AAQ"), 1),
        instance(base64("iVBORw0KGgo="), 2),
        instance(json!(""), 3),
    ]});
    let expected = json!({"predictions": [
        instance(base64("/9j/4AAQ"), 1),
        instance(base64("iVBORw0KGgo="), 2),
        instance(base64(""), 3),
    ]});
    for path in ["/predict", "/models/kinds/versions/1/predict"] {
        let answer = post(scene.address, path, body.to_string());
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(
            numbers_as_floats(answer.json()),
            numbers_as_floats(expected.clone())
        );
    }
    let body = json!({"instances": [instance(json!("no base64!"), 1)]});
    post(scene.address, "/predict", body.to_string()).check_refusal(400, "image");
}

/// JSON has one kind of number.
fn numbers_as_floats(value: Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(values) => values.into_iter().map(numbers_as_floats).collect(),
        Value::Object(members) => {
            let members = members.into_iter();
            Value::Object(
                members
                    .map(|(key, it)| (key, numbers_as_floats(it)))
                    .collect(),
            )
        }
        other => other,
    }
}

#[test]
fn models_are_listed_with_their_versions_and_features() {
    let scene = shared();
    let m = json!({
        "modelName": "m", "modelVersion": "1", "features": ["x"],
        "state": "AVAILABLE", "reason": "",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
        "outputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
    });
    let all = get(scene.address, "/models").json();
    assert!(all.as_array().unwrap().contains(&m), "{all}");
    assert_eq!(get(scene.address, "/models/m").json(), json!([m]));
    assert_eq!(get(scene.address, "/models/m/versions/1").json(), m);
}

#[test]
fn a_version_of_a_model_is_asked_by_its_path() {
    let scene = shared();
    for path in ["/models/m/versions/1/predict", "/models/m/versions/1"] {
        let answer = post(scene.address, path, r#"{"instances": [{"x": [1,2,3,4]}]}"#);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let expected = json!({"predictions": [[1.0, 2.0, 3.0, 4.0]]});
        assert_eq!(answer.json(), expected);
    }
}

#[test]
fn what_is_not_there_is_refused_with_what_is() {
    let scene = shared();
    get(scene.address, "/models/half").check_refusal(404, "models served: b,");
    get(scene.address, "/models/m/versions/7").check_refusal(404, "its versions: 1");
    get(scene.address, "/models/m/versions/x").check_refusal(400, "version in the path");
    get(scene.address, "/models/%2e%2e").check_refusal(400, "model name");
    get(scene.address, "/models/m/versions").check_refusal(404, "no such path");
    let path = "/models/m/versions/7/predict";
    post(scene.address, path, "{}").check_refusal(404, "its versions: 1");
    for (path, allow) in [
        ("/models", "GET, HEAD"),
        ("/models/m", "GET, HEAD"),
        ("/models/m/versions/1", "GET, HEAD, POST"),
        ("/models/m/versions/1/predict", "POST"),
    ] {
        let answer = raw(scene.address, &request("DELETE", path, &[], b""));
        answer.check_refusal(405, "DELETE");
        assert_eq!(answer.header("allow"), Some(allow));
    }
    scene.check_alive();
}
