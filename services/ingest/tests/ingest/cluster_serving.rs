//! Cluster Serving's HTTP API: `/predict` and the models by name and version.

use serde_json::json;

use super::client::{get, post, raw, request};
use super::scene::shared;

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
    get(scene.address, "/models/half").check_refusal(404, "models served: i,");
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
