//! Good requests: every instance answered, in order, in the format asked for.

use serde_json::json;

use super::client::{Connection, get, post, raw, request};
use super::played::{Input, descriptor, echo, model_m, unix_ms};
use super::scene::{Scene, shared};

#[test]
fn every_instance_is_answered_in_order() {
    let scene = shared();
    let rows: Vec<_> = (0..100).map(|row| vec![f64::from(row); 4]).collect();
    let body = json!({ "instances": rows }).to_string();
    let answer = post(scene.address, "/v1/models/m:predict", body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.json(), json!({ "predictions": rows }));
}

#[test]
fn columns_are_answered_as_columns() {
    let scene = shared();
    let body = r#"{"inputs": {"a": [1.5, 2], "b": [3, 4]}}"#;
    let answer = post(scene.address, "/v1/models/m2:predict", body);
    assert_eq!(
        answer.json(),
        json!({"outputs": {"a": [1.5, 2.0], "b": [3, 4]}})
    );
}

#[test]
fn rows_of_several_inputs_are_answered_as_rows() {
    let scene = shared();
    let body = r#"{"instances": [{"a": 1.5, "b": 3}, {"b": 4, "a": 2}]}"#;
    let answer = post(scene.address, "/v1/models/m2:predict", body);
    let expected = json!({"predictions": [{"a": 1.5, "b": 3}, {"a": 2.0, "b": 4}]});
    assert_eq!(answer.json(), expected);
}

#[test]
fn a_version_and_a_label_pick_the_version() {
    let scene = shared();
    for path in ["versions/1", "labels/stable"] {
        let path = format!("/v1/models/m/{path}:predict");
        let answer = post(scene.address, &path, r#"{"instances": [[1,2,3,4]]}"#);
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

#[test]
fn curl_without_a_content_type_of_its_own_works() {
    let scene = shared();
    let headers = [
        "Content-Type: application/x-www-form-urlencoded",
        "Expect: 100-continue",
    ];
    let bytes = request(
        "POST",
        "/v1/models/s:predict",
        &headers,
        br#"{"instances": ["a"]}"#,
    );
    let mut connection = Connection::open(scene.address);
    connection.send(&bytes);
    assert_eq!(connection.read().unwrap().status, 100);
    assert_eq!(
        connection.read().unwrap().json(),
        json!({"predictions": ["a"]})
    );
}

#[test]
fn a_large_body_is_answered_too() {
    let scene = shared();
    let rows: Vec<_> = (0..50_000)
        .map(|row| [f64::from(row), 0.5, 0.25, 0.125])
        .collect();
    let body = json!({ "instances": rows }).to_string();
    assert!(body.len() > 1 << 20);
    let answer = post(scene.address, "/v1/models/m:predict", body);
    assert_eq!(answer.json(), json!({ "predictions": rows }));
}

#[test]
fn predict_means_the_only_model_or_the_default_one() {
    let scene = Scene::start(|settings| settings.default_model = Some("second".to_owned()));
    let inputs: [Input; 1] = [("y", "INT32", &[-1])];
    scene.serve(&model_m(), echo);
    scene.serve(&descriptor("second", &inputs), echo);
    scene.wait_answer("/v1/models/second", |answer| answer.status == 200);
    scene.wait_ready();
    let answer = post(scene.address, "/predict", r#"{"instances": [7]}"#);
    assert_eq!(answer.json(), json!({"predictions": [7]}));

    let scene = Scene::start(|_| {});
    scene.serve(&model_m(), echo);
    scene.wait_ready();
    let answer = post(scene.address, "/predict", r#"{"instances": [[1,2,3,4]]}"#);
    assert_eq!(
        answer.json(),
        json!({"predictions": [[1.0, 2.0, 3.0, 4.0]]})
    );
}

#[test]
fn the_trace_of_a_caller_travels_with_the_record() {
    let scene = Scene::start(|_| {});
    let (sender, asked) = std::sync::mpsc::channel();
    scene.serve(&model_m(), move |it| {
        sender
            .send((it.headers.clone(), it.record.headers.clone()))
            .unwrap();
        echo(it)
    });
    scene.wait_ready();
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let headers = [
        &format!("traceparent: {parent}"),
        "tracestate: a=1",
        "mr-id: mine",
    ];
    let body = br#"{"instances": [[1,2,3,4]]}"#;
    let path = "/v1/models/m/versions/1:predict";
    let before = u64::try_from(unix_ms()).unwrap();
    let answer = raw(scene.address, &request("POST", path, &headers, body));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let (headers, raw_headers) = asked.recv().unwrap();
    assert_eq!(headers.traceparent.as_deref(), Some(parent));
    assert_eq!(headers.tracestate.as_deref(), Some("a=1"));
    assert_eq!(headers.version, Some(1));
    assert_eq!(headers.id.as_deref(), answer.header("x-request-id"));
    let deadline = headers.deadline_unix_ms.unwrap();
    assert!(
        (before + 20_000..before + 40_000).contains(&deadline),
        "{deadline} {before}"
    );
    let content_type = raw_headers.get_first("content-type");
    assert_eq!(
        content_type,
        Some(&b"application/vnd.apache.arrow.stream"[..])
    );
}

#[test]
fn status_and_metadata_read_as_in_tensorflow_serving() {
    let scene = shared();
    let status = json!({"model_version_status": [{
        "version": "1", "state": "AVAILABLE",
        "status": {"error_code": "OK", "error_message": ""},
    }]});
    for path in [
        "/v1/models/m",
        "/v1/models/m/versions/1",
        "/v1/models/m/labels/stable",
    ] {
        assert_eq!(get(scene.address, path).json(), status, "{path}");
    }
    let metadata = get(scene.address, "/v1/models/m/metadata").json();
    assert_eq!(metadata["model_spec"]["name"], "m");
    let signature = &metadata["metadata"]["signature_def"]["signature_def"]["serving_default"];
    assert_eq!(signature["inputs"]["x"]["dtype"], "DT_FLOAT");
    assert_eq!(
        signature["inputs"]["x"]["tensor_shape"]["dim"][1]["size"],
        "4"
    );
}

#[test]
fn many_callers_at_once_get_each_their_own_answer() {
    let scene = shared();
    std::thread::scope(|scope| {
        for caller in 0..20 {
            scope.spawn(move || {
                let mut connection = Connection::open(scene.address);
                for turn in 0..20 {
                    let number = f64::from(caller * 1000 + turn);
                    let body = json!({ "instances": [[number, 0, 0, 0]] }).to_string();
                    connection.send(&request(
                        "POST",
                        "/v1/models/m:predict",
                        &[],
                        body.as_bytes(),
                    ));
                    let answer = connection.read().unwrap();
                    assert_eq!(answer.json()["predictions"][0][0], number);
                }
            });
        }
    });
}
