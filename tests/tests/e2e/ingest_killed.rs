//! What ingest has accepted with 202 is answered, whoever is asked and whatever became of that ingest.

use e2e::{Infer, Line, PATIENCE, Process, digits, wait_for};
use serde_json::{Value, json};

const PREDICT: &str = "/v1/models/digits:predict";

fn body() -> String {
    json!({"instances": [{"image": digits().json(0)}]}).to_string()
}

fn client() -> reqwest::blocking::Client {
    reqwest::blocking::Client::new()
}

/// Sends a request to be answered later; the path of its result.
fn accepted(ingest: &Process) -> String {
    let request = client().post(ingest.url(PREDICT)).body(body());
    let answer = request.header("Prefer", "respond-async").send();
    let answer = answer.expect("ingest answers");
    assert_eq!(answer.status().as_u16(), 202);
    let location = answer.headers()["location"].to_str();
    location.expect("a path is text").to_owned()
}

fn fetch(ingest: &Process, path: &str) -> (u16, Value) {
    let answer = client().get(ingest.url(path)).send();
    let answer = answer.expect("ingest answers");
    let status = answer.status().as_u16();
    let text = answer.text().expect("text");
    (status, serde_json::from_str(&text).expect("JSON"))
}

#[test]
fn an_accepted_request_is_answered_by_another_ingest_when_the_first_is_killed() {
    let line = Line::new(&["digits"], 4);
    let mut infer = line.infer(Infer::default());
    let (mut first, mut other) = (line.ingest(""), line.ingest(""));
    infer.wait_ready();
    first.wait_ready();
    other.wait_ready();

    let early = accepted(&first);
    let (status, result) = fetch(&first, &format!("{early}?wait=30s"));
    assert_eq!(status, 200, "{result}");
    let label = &result["predictions"][0]["label"];
    assert_eq!(label.as_i64(), Some(digits().labels[0]));

    // Nobody can answer this one before its ingest is gone.
    infer.kill_9();
    let path = accepted(&first);
    let (status, pending) = fetch(&other, &path);
    assert_eq!((status, pending), (202, json!({"state": "pending"})));
    first.kill_9();
    let mut infer = line.infer(Infer::default());
    infer.wait_ready();
    for path in [&path, &early] {
        let (status, again) = fetch(&other, &format!("{path}?wait=50s"));
        assert_eq!((status, &again), (200, &result), "{path}");
    }
    let mut restarted = line.ingest("");
    restarted.wait_ready();
    assert_eq!(fetch(&restarted, &path), (200, result));
}

#[test]
fn a_request_with_an_idempotency_key_is_worked_on_once_even_if_its_ingest_is_killed() {
    let line = Line::new(&["digits"], 4);
    let mut infer = line.infer(Infer::default());
    let (mut first, mut other) = (line.ingest(""), line.ingest(""));
    infer.wait_ready();
    first.wait_ready();
    other.wait_ready();
    let ask = |ingest: &Process| {
        let request = client().post(ingest.url(PREDICT)).body(body());
        let key = "\"8e03978e-40d5-43e8-bc93-6894a57f9324\"";
        let answer = request.header("Idempotency-Key", key).send();
        let answer = answer.expect("ingest answers");
        (answer.status().as_u16(), answer.text().expect("text"))
    };
    let (status, answer) = ask(&first);
    assert_eq!(status, 200, "{answer}");
    first.kill_9();
    let again = wait_for(PATIENCE, "the stored answer", || {
        let again = ask(&other);
        (again.0 != 409).then_some(again)
    });
    assert_eq!(again, (200, answer));
    assert_eq!(infer.metric("millrace_infer_results_total"), 1.0);
}
