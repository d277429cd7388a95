//! Paths and methods: what is not there, what is not allowed, what reaches
//! elsewhere. Numbers are rows of the project's list of bad inputs.

use super::client::{get, post, raw, request};
use super::scene::shared;

const GOOD: &str = r#"{"instances": [[1,2,3,4]]}"#;
const M: &str = "/v1/models/m:predict";

#[test]
fn unknown_models_versions_and_labels_are_not_found() {
    let scene = shared();
    // H65
    post(scene.address, "/v1/models/half:predict", GOOD).check_refusal(
        404,
        "Servable not found for request: Latest(half); models served: b,",
    );
    post(scene.address, "/v1/models/m/versions/7:predict", GOOD)
        .check_refusal(404, "Specific(m, 7); its versions: 1");
    post(scene.address, "/v1/models/m/labels/canary:predict", GOOD)
        .check_refusal(404, "Unrecognized servable version label: canary");
    for version in ["abc", "-1", "99999999999999999999"] {
        post(
            scene.address,
            &format!("/v1/models/m/versions/{version}:predict"),
            GOOD,
        )
        .check_refusal(400, version);
    }
    get(scene.address, "/v1/models/half").check_refusal(404, "Latest(half)");
    get(scene.address, "/v1/models/half/metadata").check_refusal(404, "Latest(half)");
    scene.check_alive();
}

#[test]
fn names_that_reach_elsewhere_are_refused() {
    let scene = shared();
    // H66
    let long = "x".repeat(4096);
    for name in [
        "../m",
        "%2e%2e%2fm",
        "%00",
        &long,
        "%ff",
        "a//b",
        "..",
        "m%2f..%2fm",
    ] {
        let answer = post(scene.address, &format!("/v1/models/{name}:predict"), GOOD);
        assert!(
            matches!(answer.status, 400 | 404),
            "{name}: {}",
            answer.text()
        );
        answer.check_refusal(answer.status, "path");
    }
    scene.check_alive();
}

#[test]
fn a_wrong_method_is_told_the_right_one() {
    let scene = shared();
    // H67
    for path in ["/predict", M, "/v1/models/m/versions/1:predict"] {
        for method in ["GET", "DELETE", "PUT", "TRACE", "BREW"] {
            let answer = raw(scene.address, &request(method, path, &[], b""));
            answer.check_refusal(405, method);
            assert_eq!(answer.header("allow"), Some("POST"), "{method} {path}");
        }
    }
    for path in [
        "/v1/models/m",
        "/v1/models/m/metadata",
        "/live",
        "/ready",
        "/metrics",
    ] {
        let answer = raw(scene.address, &request("DELETE", path, &[], b""));
        answer.check_refusal(405, "DELETE");
        assert!(answer.header("allow").unwrap().contains("GET"), "{path}");
    }
    let answer = raw(scene.address, b"G\0T / HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(answer.status, 400);
    let connect = b"CONNECT elsewhere:443 HTTP/1.1\r\nHost: elsewhere:443\r\n\r\n";
    let answer = raw(scene.address, connect);
    assert!(
        matches!(answer.status, 400 | 404 | 405),
        "{}",
        answer.text()
    );
    scene.check_alive();
}

#[test]
fn verbs_and_paths_that_do_not_exist_are_refused() {
    let scene = shared();
    // H68
    post(scene.address, "/v1/models/m:explode", GOOD).check_refusal(400, "explode");
    post(scene.address, "/v1/models/m", GOOD)
        .check_refusal(400, "Malformed request: POST /v1/models/m");
    let sentence = "When method is classify, key 'examples' is expected and was not found";
    post(scene.address, "/v1/models/m:classify", GOOD).check_refusal(400, sentence);
    let sentence = "method regress needs a model with a single float output of one number per row";
    post(scene.address, "/v1/models/m:regress", GOOD).check_refusal(400, sentence);
    get(scene.address, "/v1/models").check_refusal(400, "Missing model name in request.");
    get(scene.address, "/v1/models/").check_refusal(400, "Missing model name in request.");
    get(scene.address, "/").check_refusal(404, "no such path: /");
    get(scene.address, "/v3/models/m").check_refusal(404, "no such path: /v3/models/m");
    post(scene.address, "/predict/x", GOOD).check_refusal(404, "no such path");
    scene.check_alive();
}

#[test]
fn predict_without_a_model_among_several_says_how_to_name_one() {
    let scene = shared();
    let answer = post(scene.address, "/predict", GOOD);
    answer.check_refusal(400, "POST /v1/models/MODEL:predict");
    answer.check_refusal(400, "models served: b, d, i, i64, m,");
}
