//! Every bad body is refused with its status and a sentence, and the next good
//! request is answered as if nothing had been. Numbers are rows of the
//! project's list of bad inputs.

use std::time::Instant;

use super::client::post;
use super::scene::shared;

pub(crate) const M: &str = "/v1/models/m:predict";

/// `m` takes `x: FP32[-1,4]`.
#[track_caller]
pub(crate) fn check(path: &str, body: impl AsRef<[u8]>, status: u16, fragment: &str) {
    let scene = shared();
    let answer = post(scene.address, path, body);
    answer.check_refusal(status, fragment);
    scene.check_alive();
    assert!(
        !scene.has_reached_infer(&answer),
        "a refused request reached Kafka"
    );
}

/// The refusal itself is what matters here, not its words.
#[track_caller]
pub(crate) fn check_refused(path: &str, body: impl AsRef<[u8]>) {
    check(path, body, 400, "");
}

pub(crate) fn x(values: &str) -> String {
    format!("{{\"instances\": [{values}]}}")
}

#[test]
fn a_body_that_is_no_request_is_refused() {
    // H01, H02
    check(M, "", 400, "empty");
    for body in [" \n", "null", "[]", "\"x\"", "1"] {
        check_refused(M, body);
    }
    // H03, H04
    check(M, "{}", 400, "Missing 'inputs' or 'instances' key");
    check(
        M,
        r#"{"instances": [[1,2,3,4]], "inputs": [[1,2,3,4]]}"#,
        400,
        "only one of",
    );
}

#[test]
fn instances_that_are_no_list_of_rows_are_refused() {
    // H05, H06
    check(M, r#"{"instances": []}"#, 400, "instances");
    for value in ["{}", "\"abc\"", "5", "null"] {
        check(M, format!("{{\"instances\": {value}}}"), 400, "instances");
    }
}

#[test]
fn a_wrong_shape_is_refused_with_the_input_named() {
    // H07 to H10
    for rows in [
        "[1,2,3,4],[1,2,3]",
        "[1,2,3,4],5",
        "[1,2,3]",
        "[[1,2,3,4]]",
        "1,2,3,4",
        "[]",
    ] {
        check(M, x(rows), 400, "x");
    }
}

#[test]
fn nesting_of_any_depth_is_refused_at_once() {
    // H35
    for depth in [1_000, 10_000, 100_000, 1_000_000] {
        for open in ["[", "{\"a\":"] {
            let body = x(&open.repeat(depth));
            check(M, &body, 400, "");
            let body = format!("{{\"ignored\": {}", open.repeat(depth));
            let began = Instant::now();
            check(M, &body, 400, "");
            assert!(began.elapsed().as_secs() < 5, "{depth}");
        }
    }
}

#[test]
fn keys_that_are_twice_unknown_or_missing_are_refused_or_ignored_as_documented() {
    let scene = shared();
    // H36
    check_refused(M, r#"{"instances": [[1,2,3,4]], "instances": [[1,2,3,4]]}"#);
    check_refused(M, r#"{"instances": [{"x": [1,2,3,4], "x": [1,2,3,4]}]}"#);
    // H37
    let answer = post(
        scene.address,
        M,
        r#"{"other": {"a": [1]}, "instances": [[1,2,3,4]]}"#,
    );
    assert_eq!(answer.status, 200, "{}", answer.text());
    // H39, H40
    let two = "/v1/models/m2:predict";
    check(two, r#"{"instances": [{"a": 1}]}"#, 400, "b");
    check(
        two,
        r#"{"instances": [{"a": 1, "b": 2, "c": 3}]}"#,
        400,
        "c",
    );
    check(two, r#"{"instances": [{"A": 1, "b": 2}]}"#, 400, "a");
    check(two, r#"{"instances": [1]}"#, 400, "");
    check(two, r#"{"inputs": {"a": [1, 2]}}"#, 400, "b");
    check(two, r#"{"inputs": {"a": [1, 2], "b": [1]}}"#, 400, "");
    // H45
    let mut many = String::from("{");
    for key in 0..1_000_000 {
        many.push_str(&format!("\"k{key}\":0,"));
    }
    many.truncate(10_000_000);
    check(M, many, 400, "");
}

#[test]
fn a_signature_name_is_the_only_one_there_is() {
    let scene = shared();
    // H38
    let with_name =
        |name: &str| format!("{{\"signature_name\": {name}, \"instances\": [[1,2,3,4]]}}");
    let answer = post(scene.address, M, with_name("\"serving_default\""));
    assert_eq!(answer.status, 200, "{}", answer.text());
    check(
        M,
        with_name("5"),
        400,
        "'signature_name' key must be a string value",
    );
    check(M, with_name("\"\""), 400, "'signature_name' must have");
    check(M, with_name("\"other\""), 400, "not found in signature def");
    check_refused(M, with_name(&format!("\"{}\"", "n".repeat(1 << 20))));
}

#[test]
fn a_bomb_of_elements_is_refused_within_the_memory_of_its_body() {
    let scene = shared();
    // H44, within the body limit of the scene
    let body = x(&"[],".repeat(3_000_000));
    let answer = post(scene.address, M, body);
    assert!(matches!(answer.status, 400 | 413), "{}", answer.text());
    scene.check_alive();
}
