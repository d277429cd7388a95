//! Ready means that somebody alive serves a model.

use std::time::Duration;

use e2e::{Infer, Line, PATIENCE, Process, wait_for};

#[test]
fn ingest_is_ready_only_while_a_model_is_served() {
    let line = Line::new(&["digits"], 1);
    let mut ingest = line.ingest("");
    wait_for(PATIENCE, "ingest to say that no model is served", || {
        let (status, body) = ready(&ingest);
        assert_eq!(status, 503, "{body}");
        body.contains("no model is served").then_some(())
    });
    let answer = post(&ingest, "/v1/models/digits:predict", "{\"instances\":[]}");
    assert_eq!(answer.0, 404, "{}", answer.1);

    let mut infer = line.infer(Infer::default());
    infer.wait_ready();
    ingest.wait_ready();

    assert!(infer.terminate().success(), "a clean stop");
    wait_for(
        Duration::from_secs(10),
        "ingest to see that nobody serves the model",
        || (ready(&ingest).0 == 503).then_some(()),
    );
}

#[test]
fn a_killed_infer_is_missed_when_its_lease_ends() {
    let line = Line::new(&["digits"], 1);
    let mut infer = line.infer(Infer::default());
    let mut ingest = line.ingest("");
    infer.wait_ready();
    ingest.wait_ready();
    infer.kill_9();
    wait_for(Duration::from_secs(60), "the lease to end", || {
        (ready(&ingest).0 == 503).then_some(())
    });
}

fn ready(ingest: &Process) -> (u16, String) {
    let answer = reqwest::blocking::get(ingest.url("/ready")).expect("ingest answers");
    (answer.status().as_u16(), answer.text().expect("text"))
}

fn post(ingest: &Process, path: &str, body: &str) -> (u16, String) {
    let request = reqwest::blocking::Client::new()
        .post(ingest.url(path))
        .body(body.to_owned());
    let answer = request.send().expect("ingest answers");
    (answer.status().as_u16(), answer.text().expect("text"))
}
