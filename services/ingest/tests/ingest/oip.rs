//! The Open Inference Protocol through its door: what is asked about, what is inferred, what is refused.

use serde_json::{Value, json};

use super::client::{Answer, get, post, raw, request};
use super::played::{echo, model_m};
use super::scene::{Scene, shared};

const INFER: &str = "/v2/models/m/infer";
const LENGTH: &str = "inference-header-content-length";

/// One row for `m`, which answers with its input.
const ROW: &str =
    r#"{"inputs":[{"name":"x","shape":[1,4],"datatype":"FP32","data":[1,2.5,3e-5,-0.0]}]}"#;

/// JSON with raw tensors behind it.
fn post_binary(path: &str, json: &Value, tail: &[u8]) -> Answer {
    let json = json.to_string();
    let headers = [
        "Content-Type: application/octet-stream".to_owned(),
        format!("{LENGTH}: {}", json.len()),
    ];
    let headers = headers.each_ref().map(String::as_str);
    let body = [json.as_bytes(), tail].concat();
    raw(shared().address, &request("POST", path, &headers, &body))
}

/// The JSON of an answer and the raw tensors behind it.
fn split(answer: &Answer) -> (Value, &[u8]) {
    let length = answer.header(LENGTH).unwrap().parse().unwrap();
    assert_eq!(
        answer.header("content-type"),
        Some("application/octet-stream")
    );
    let (json, tail) = answer.body.split_at(length);
    (serde_json::from_slice(json).unwrap(), tail)
}

fn of_floats(values: &[f32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

#[test]
fn json_is_answered_with_json() {
    let answer = post(shared().address, INFER, ROW);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header(LENGTH), None);
    let expected = r#"{"model_name":"m","model_version":"1","outputs":[{"name":"x","datatype":"FP32","shape":[1,4],"data":[1.0,2.5,3e-05,-0.0]}]}"#;
    assert_eq!(answer.text(), expected);
}

#[test]
fn the_id_comes_back_and_a_version_may_be_named() {
    let body = ROW.replacen('{', r#"{"id":"forty \"two\"","#, 1);
    let answer = post(shared().address, "/v2/models/m/versions/1/infer", body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["id"], "forty \"two\"");
    let answer = post(shared().address, "/v2/models/m/versions/7/infer", ROW);
    answer.check_refusal(404, "Request for unknown model: 'm' version 7 is not found");
    let answer = post(shared().address, "/v2/models/nope/infer", ROW);
    answer.check_refusal(404, "Request for unknown model: 'nope' is not found");
    let answer = post(shared().address, "/v2/models/m/versions/abc/infer", ROW);
    answer.check_refusal(400, "version in the path is not a number");
}

#[test]
fn raw_tensors_go_in_and_out() {
    let tail = of_floats(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, f32::MAX]);
    let asked = json!({
        "inputs": [{"name": "x", "shape": [2, 4], "datatype": "FP32", "parameters": {"binary_data_size": 32}}],
        "parameters": {"binary_data_output": true},
    });
    let answer = post_binary(INFER, &asked, &tail);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let (json, raw) = split(&answer);
    assert_eq!(raw, tail);
    let output = json!({"name": "x", "datatype": "FP32", "shape": [2, 4], "parameters": {"binary_data_size": 32}});
    assert_eq!(json["outputs"], json!([output]));
}

#[test]
fn an_output_s_own_form_wins() {
    let two = |binary: Value| {
        json!({
            "inputs": [
                {"name": "b", "shape": [1], "datatype": "INT32", "data": [7]},
                {"name": "a", "shape": [1], "datatype": "FP32", "parameters": {"binary_data_size": 4}},
            ],
            "outputs": [{"name": "b"}, {"name": "a", "parameters": {"binary_data": binary}}],
            "parameters": {"binary_data_output": true},
        })
    };
    let path = "/v2/models/m2/infer";
    let answer = post_binary(path, &two(json!(false)), &of_floats(&[1.5]));
    let (json, raw) = split(&answer);
    assert_eq!(json["outputs"][0]["name"], "b");
    assert_eq!(json["outputs"][1]["data"], json!([1.5]));
    assert_eq!(raw, 7_i32.to_le_bytes());
    let mut only = two(json!(true));
    only["outputs"] = json!([{"name": "a"}]);
    let answer = post_binary(path, &only, &of_floats(&[1.5]));
    let (json, raw) = split(&answer);
    assert_eq!(json["outputs"].as_array().unwrap().len(), 1);
    assert_eq!(raw, of_floats(&[1.5]));
}

#[test]
fn text_travels_as_bytes() {
    let asked = json!({
        "inputs": [{"name": "s", "shape": [2], "datatype": "BYTES", "parameters": {"binary_data_size": 11}}],
    });
    let tail = [&[3, 0, 0, 0][..], "aü".as_bytes(), &[0, 0, 0, 0]].concat();
    let answer = post_binary("/v2/models/s/infer", &asked, &tail);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["outputs"][0]["data"], json!(["aü", ""]));
    let invalid = [&[3, 0, 0, 0][..], b"\xff\xfe\xfd", &[0, 0, 0, 0]].concat();
    let answer = post_binary("/v2/models/s/infer", &asked, &invalid);
    answer.check_refusal(400, "holds a value that is not STRING");
}

#[test]
fn a_raw_request_is_answered_raw() {
    let tail = of_floats(&[1.0, 2.0, 3.0, 4.0]);
    let headers = ["Inference-Header-Content-Length: 0"];
    let answer = raw(shared().address, &request("POST", INFER, &headers, &tail));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(split(&answer).1, tail);
    let answer = raw(
        shared().address,
        &request("POST", INFER, &headers, &tail[1..]),
    );
    answer.check_refusal(400, "no single row of input x");
}

#[test]
fn the_time_that_the_body_gives_holds() {
    // A microsecond is over before the body has been read.
    let body = ROW.replacen('{', r#"{"parameters":{"timeout":1,"priority":5},"#, 1);
    let answer = post(shared().address, INFER, body);
    answer.check_refusal(504, "was over before the request was read");
    let body = ROW.replacen('{', r#"{"parameters":{"timeout":20000000},"#, 1);
    assert_eq!(post(shared().address, INFER, body).status, 200);
}

#[test]
fn the_server_and_its_models_are_described() {
    let address = shared().address;
    let server = get(address, "/v2").json();
    assert_eq!(server["name"], "millrace");
    let extensions = server["extensions"].as_array().unwrap();
    assert!(extensions.contains(&json!("binary_tensor_data")));
    assert_eq!(
        get(address, "/v2/health/live").json(),
        json!({"live": true})
    );
    assert_eq!(
        get(address, "/v2/health/ready").json(),
        json!({"ready": true})
    );
    assert_eq!(
        get(address, "/v2/models/m/ready").json(),
        json!({"name": "m", "ready": true})
    );
    get(address, "/v2/models/nope/ready").check_refusal(404, "'nope' is not found");
    let metadata = get(address, "/v2/models/m2").json();
    let tensors = json!([
        {"name": "a", "datatype": "FP32", "shape": [-1]},
        {"name": "b", "datatype": "INT32", "shape": [-1]},
    ]);
    assert_eq!(metadata["versions"], json!(["1"]));
    assert_eq!(metadata["inputs"], tensors);
    assert_eq!(metadata["outputs"], tensors);
    let config = get(address, "/v2/models/m/config").json();
    assert_eq!(
        config["input"],
        json!([{"name": "x", "data_type": "TYPE_FP32", "dims": [4]}])
    );
    let models = get(address, "/v2/models").json();
    assert!(models["models"].as_array().unwrap().contains(&json!("m")));
}

#[test]
fn what_a_model_has_done_is_counted() {
    let address = shared().address;
    let path = "/v2/models/u8/versions/1/stats";
    let before = get(address, path).json();
    let rows =
        r#"{"inputs":[{"name":"u8","shape":[3,2],"datatype":"UINT8","data":[1,2,3,4,5,6]}]}"#;
    assert_eq!(post(address, "/v2/models/u8/infer", rows).status, 200);
    let after = get(address, path).json();
    let of = |stats: &Value, key: &str| stats["model_stats"][0][key].as_u64().unwrap();
    assert!(of(&after, "inference_count") >= of(&before, "inference_count") + 3);
    assert!(of(&after, "execution_count") > of(&before, "execution_count"));
    assert!(of(&after, "last_inference") > 0);
    let success = &after["model_stats"][0]["inference_stats"]["success"];
    assert!(
        success["ns"].as_u64() > success["count"].as_u64(),
        "{success}"
    );
    let all = get(address, "/v2/models/stats").json();
    let names: Vec<_> = all["model_stats"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["name"])
        .collect();
    assert!(
        names.contains(&&json!("u8")) && names.contains(&&json!("m")),
        "{names:?}"
    );
}

#[test]
fn the_repository_is_listed_and_not_controlled_unless_that_is_allowed() {
    let address = shared().address;
    let listed = |body: &str| post(address, "/v2/repository/index", body).json();
    let entry = json!({"name": "m", "version": "1", "state": "READY", "reason": ""});
    assert!(listed("").as_array().unwrap().contains(&entry));
    assert!(
        listed(r#"{"ready":true}"#)
            .as_array()
            .unwrap()
            .contains(&entry)
    );
    for verb in ["load", "unload"] {
        let answer = post(address, &format!("/v2/repository/models/m/{verb}"), "{}");
        answer.check_refusal(403, "control.enabled");
    }
}

#[test]
fn what_is_loaded_is_not_loaded_again_and_never_with_parameters() {
    let scene = Scene::start(|settings| settings.control.enabled = true);
    scene.serve(&model_m(), echo);
    scene.wait_ready();
    let ask = |model: &str, verb: &str, body: &str| {
        let path = format!("/v2/repository/models/{model}/{verb}");
        post(scene.address, &path, body)
    };
    for body in ["", "{}", r#"{"parameters": {}}"#] {
        let answer = ask("m", "load", body);
        assert_eq!((answer.status, answer.text().as_str()), (200, ""));
    }
    ask("other", "load", "").check_refusal(400, "failed to load 'other'");
    let configured = r#"{"parameters": {"config": "{}"}}"#;
    let files = format!(
        r#"{{"parameters": {{"file:1/model.onnx": "{}"}}}}"#,
        "A".repeat(9_000)
    );
    for body in [configured, &files] {
        ask("m", "load", body).check_refusal(501, "loading with parameters is not supported");
    }
    for body in ["[]", "{", r#"{"parameters": 1}"#] {
        ask("m", "load", body).check_refusal(400, "an object \"parameters\"");
    }
    scene.check_alive();
}

#[test]
fn settings_of_traces_and_logs_are_read_and_not_changed() {
    let address = shared().address;
    assert_eq!(
        get(address, "/v2/trace/setting").json()["trace_level"],
        json!(["OFF"])
    );
    assert_eq!(get(address, "/v2/models/m/trace/setting").status, 200);
    assert_eq!(get(address, "/v2/logging").json()["log_error"], json!(true));
    assert_eq!(
        get(address, "/v2/systemsharedmemory/status").json(),
        json!([])
    );
    for path in ["/v2/trace/setting", "/v2/logging"] {
        post(address, path, "{}").check_refusal(501, "not supported");
    }
}

#[test]
fn wrong_methods_and_paths_are_refused() {
    let address = shared().address;
    let answer = get(address, INFER);
    answer.check_refusal(405, "only POST");
    assert_eq!(answer.header("allow"), Some("POST"));
    post(address, "/v2/models/m", "{}").check_refusal(405, "only GET");
    for path in [
        "/v2/",
        "/v2/nope",
        "/v2/models/m/nope",
        "/v22",
        "/v2/models/m/versions",
    ] {
        assert!(matches!(get(address, path).status, 404), "{path}");
    }
    get(address, "/v2/models/%2e%2e/ready").check_refusal(400, "is not a name");
    let text = ["Content-Type: text/plain"];
    let answer = raw(address, &request("POST", INFER, &text, ROW.as_bytes()));
    answer.check_refusal(415, "text/plain");
}
