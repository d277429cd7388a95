//! What is fetched later is what was asked for, by whom it was asked, wherever infer wrote it.

use std::fs;

use millrace_ingest::Settings;
use millrace_kafka::OutRecord;
use millrace_wire::headers::Source;
use millrace_wire::{DType, Limits, Record, Status, Tensor, encode_tensors};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::access::entry;
use super::client::{Answer, get, raw, request};
use super::later::{Held, recorded, recorded_as};
use super::played::{Asked, descriptor, echo_and_record};
use super::scene::Scene;

const LATER: &str = "Prefer: respond-async";

/// Sends a request to be answered later; the path of its result.
#[track_caller]
fn accepted(scene: &Scene, path: &str, headers: &[&str], body: &[u8]) -> String {
    let headers = [&[LATER], headers].concat();
    let answer = raw(scene.address, &request("POST", path, &headers, body));
    assert_eq!(answer.status, 202, "{path}: {}", answer.text());
    answer.header("location").unwrap().to_owned()
}

fn fetch(scene: &Scene, path: &str, headers: &[&str]) -> Answer {
    let path = format!("{path}?wait=30");
    raw(scene.address, &request("GET", &path, headers, b""))
}

/// A model with two outputs: what came in, twice.
fn two_outputs() -> Scene {
    let mut described = descriptor("two", &[("a", "FP32", &[-1, 2]), ("b", "INT32", &[-1])]);
    described.outputs.swap(0, 1);
    recorded_as(&described, |_| {}, echo_and_record)
}

fn infer_body(rest: &Value) -> Vec<u8> {
    let mut body = json!({"id": "forty-two", "inputs": [
        {"name": "a", "datatype": "FP32", "shape": [1, 2], "data": [1.5, -2.0]},
        {"name": "b", "datatype": "INT32", "shape": [1], "data": [7]},
    ]});
    let rest = rest.as_object().unwrap().clone();
    body.as_object_mut().unwrap().extend(rest);
    body.to_string().into_bytes()
}

#[test]
fn the_outputs_asked_for_come_in_their_order_and_form_also_later() {
    let scene = two_outputs();
    let ask = |rest: Value, headers: &[&str]| {
        let path = accepted(&scene, "/v2/models/two/infer", headers, &infer_body(&rest));
        fetch(&scene, &path, &[])
    };
    let all = ask(json!({}), &[]).json();
    assert_eq!(all["id"], "forty-two");
    assert_eq!(all["outputs"].as_array().unwrap().len(), 2);
    let b = ask(json!({"outputs": [{"name": "b"}]}), &[]).json();
    assert_eq!(b["outputs"].as_array().unwrap().len(), 1);
    assert_eq!(b["outputs"][0]["name"], "b");
    assert_eq!(b["outputs"][0]["data"], json!([7]));
    let raw_a = json!({"outputs": [
        {"name": "b"}, {"name": "a", "parameters": {"binary_data": true}},
    ]});
    let answer = ask(raw_a, &[]);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(
        answer.header("content-type"),
        Some("application/octet-stream")
    );
    let length = answer.header("inference-header-content-length").unwrap();
    let (head, tail) = answer.body.split_at(length.parse().unwrap());
    let head: Value = serde_json::from_slice(head).unwrap();
    assert_eq!(head["outputs"][0]["data"], json!([7]));
    assert_eq!(head["outputs"][1]["parameters"]["binary_data_size"], 8);
    assert_eq!(tail, [1.5_f32, -2.0].map(f32::to_le_bytes).concat());
    let all_raw = json!({"parameters": {"binary_data_output": true}});
    let answer = ask(all_raw, &[]);
    let length: usize = answer
        .header("inference-header-content-length")
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(answer.body.len() - length, 12);
}

#[test]
fn arrow_has_only_the_outputs_asked_for_also_later() {
    let scene = two_outputs();
    let arrow = "Accept: application/vnd.apache.arrow.stream";
    let body = infer_body(&json!({"outputs": [{"name": "b"}]}));
    let columns = |answer: Answer| {
        let record = Record::decode(answer.body, &Limits::default()).unwrap();
        let names = record.columns().iter().map(|it| it.name().to_owned());
        names.collect::<Vec<_>>()
    };
    // Wanted from the beginning, and only when it is fetched.
    let path = accepted(&scene, "/v2/models/two/infer", &[arrow], &body);
    assert_eq!(columns(fetch(&scene, &path, &[])), ["b"]);
    let text = fetch(&scene, &path, &["Accept: application/json"]).json();
    assert_eq!(text["outputs"][0]["name"], "b");
    let path = accepted(&scene, "/v2/models/two/infer", &[], &body);
    assert_eq!(columns(fetch(&scene, &path, &[arrow])), ["b"]);
    // Events are text, whatever was asked for.
    let events = ["Accept: text/event-stream", "Connection: close"];
    let bytes = request("GET", &path, &events, b"");
    let mut connection = super::client::Connection::open(scene.address);
    connection.send(&bytes);
    assert_eq!(connection.read_head().unwrap().status, 200);
    let stream = connection.read_to_end();
    assert!(
        stream.contains("event: result\ndata: {\"model_name\""),
        "{stream}"
    );
}

#[test]
fn names_that_fit_no_location_are_refused_before_anything_is_sent() {
    const LONG: &str = "a name of fifty characters, which nobody needs, x,";
    let name: &'static str = Box::leak(LONG.repeat(8).into_boxed_str());
    let model = descriptor("long", &[(name, "FP32", &[-1, 1])]);
    let scene = recorded_as(&model, |_| {}, echo_and_record);
    let ask = |id: &str| {
        let body = json!({
            "id": id,
            "inputs": [{"name": name, "datatype": "FP32", "shape": [1, 1], "data": [1]}],
            "outputs": [{"name": name}],
        });
        let body = body.to_string();
        let bytes = request("POST", "/v2/models/long/infer", &[LATER], body.as_bytes());
        raw(scene.address, &bytes)
    };
    let answer = ask(&"i".repeat(200));
    answer.check_refusal(400, "too long to be part of a Location");
    assert!(!scene.has_reached_infer(&answer));
    let answer = ask("i");
    assert_eq!(answer.status, 202, "{}", answer.text());
    let fetched = fetch(&scene, answer.header("location").unwrap(), &[]).json();
    assert_eq!(fetched["id"], "i");
    assert_eq!(fetched["outputs"][0]["name"], name);
}

#[test]
fn examples_can_be_classified_and_regressed_later() {
    let check = |shape: &[i64; 2], verb: &str, feature: Value, expected: Value| {
        let shape: &'static [i64] = Box::leak(Box::new(*shape));
        let model = descriptor("c", &[("x", "FP32", shape)]);
        let scene = recorded_as(&model, |_| {}, echo_and_record);
        let body = json!({"examples": [{"x": feature}]}).to_string();
        let path = accepted(
            &scene,
            &format!("/v1/models/c:{verb}"),
            &[],
            body.as_bytes(),
        );
        let answer = fetch(&scene, &path, &[]);
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json(), json!({"results": [expected]}));
    };
    let classes = json!([["", 0.5], ["", 2.0]]);
    check(&[-1, 2], "classify", json!([0.5, 2.0]), classes);
    check(&[-1, 1], "regress", json!(2.5), json!(2.5));
}

/// Two callers who may both predict with everything.
fn two_callers(settings: &mut Settings, files: &TempDir) {
    let all = "models = [\"*\"]\nrights = [\"predict\", \"read\"]";
    let keys = files.path().join("keys.toml");
    let text = entry("alice", "mr_alice", all) + &entry("bob", "mr_bob", all);
    fs::write(&keys, text).unwrap();
    settings.access.api_keys = Some(keys);
    settings.access.required = Some(false);
}

#[test]
fn a_result_is_its_callers_alone() {
    let files = TempDir::new().unwrap();
    let scene = recorded(|it| two_callers(it, &files), echo_and_record);
    let (alice, bob) = ("X-API-Key: mr_alice", "X-API-Key: mr_bob");
    let body = br#"{"instances": [[1,2,3,4]]}"#;
    let path = accepted(&scene, "/v1/models/m:predict", &[alice], body);
    assert_eq!(fetch(&scene, &path, &[alice]).status, 200);
    for other in [&[bob][..], &[]] {
        fetch(&scene, &path, other).check_refusal(404, "no such request");
        let events = [other, &["Accept: text/event-stream"]].concat();
        fetch(&scene, &path, &events).check_refusal(404, "no such request");
    }
    // Who has no key is one caller with all who have none.
    let path = accepted(&scene, "/v1/models/m:predict", &[], body);
    assert_eq!(fetch(&scene, &path, &[]).status, 200);
    fetch(&scene, &path, &[alice]).check_refusal(404, "no such request");
    // The same key finds the same request, and its result.
    let key = "Idempotency-Key: again";
    let bytes = request("POST", "/v1/models/m:predict", &[alice, key], body);
    assert_eq!(raw(scene.address, &bytes).status, 200);
    let path = accepted(&scene, "/v1/models/m:predict", &[alice, key], body);
    assert_eq!(fetch(&scene, &path, &[alice]).status, 200);
}

/// So many results stand between a result and its place: more than is looked through as a matter
/// of course.
const BETWEEN: i64 = 2_600;

#[test]
fn a_result_far_behind_its_place_is_found_all_the_same() {
    let held = Held::start(|_| {});
    let path = accepted(
        &held.scene,
        "/v1/models/m:predict",
        &[],
        br#"{"instances": [[1,2,3,4]]}"#,
    );
    let asked = held.next();
    for later in 1..=BETWEEN {
        let record = other_result(&asked, later);
        held.scene
            .producer
            .send(record, |it| assert!(it.is_ok()))
            .unwrap();
    }
    // Written last and waited for, so that all others are there.
    held.write(asked.result(Status::Ok, None, asked.record.value.clone()));
    let answer = get(held.scene.address, &path);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["predictions"][0][3], 4.0);
}

#[test]
fn who_waits_for_a_result_far_behind_its_place_gets_it_when_it_comes() {
    let held = Held::start(|_| {});
    let path = accepted(
        &held.scene,
        "/v1/models/m:predict",
        &[],
        br#"{"instances": [[1,2,3,4]]}"#,
    );
    let asked = held.next();
    for later in 1..BETWEEN {
        let record = other_result(&asked, later);
        held.scene
            .producer
            .send(record, |it| assert!(it.is_ok()))
            .unwrap();
    }
    held.write(other_result(&asked, BETWEEN));
    assert_eq!(get(held.scene.address, &path).status, 202);
    let mut waiting = super::client::Connection::open(held.scene.address);
    waiting.send(&request("GET", &path, &["Prefer: wait=50"], b""));
    held.write(asked.result(Status::Ok, None, asked.record.value.clone()));
    let answer = waiting.read().unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// The result of a request so much later in the same partition.
fn other_result(asked: &Asked, later: i64) -> OutRecord {
    let x = Tensor::fixed("x", DType::Float32, vec![1, 4], vec![0_u8; 16].into()).unwrap();
    let mut record = asked.result(Status::Ok, None, Some(encode_tensors(&[x]).unwrap()));
    let source = Source {
        topic: asked.record.topic.to_string(),
        partition: asked.record.partition,
        offset: asked.record.offset + later,
    };
    let mut headers = millrace_kafka::Headers::new();
    for (name, value) in record.headers.iter() {
        let value = match name {
            millrace_wire::headers::ID => Some(format!("{later:032x}").into_bytes()),
            millrace_wire::headers::SOURCE => Some(source.to_string().into_bytes()),
            _ => value.map(<[u8]>::to_vec),
        };
        headers.push(name.to_owned(), value);
    }
    record.headers = headers;
    record
}
