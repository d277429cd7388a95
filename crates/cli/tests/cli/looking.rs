//! The commands that only look: topics, models, lag, status, check.

use millrace_wire::avro::{ModelDescriptor, ModelState, TensorDescription};

use crate::line::{Line, record};

/// What a replica says of version 3 of `digits`.
pub(crate) fn descriptor(replica: &str, state: ModelState) -> ModelDescriptor {
    ModelDescriptor {
        model: "digits".to_owned(),
        version: 3,
        replica: replica.to_owned(),
        state,
        reason: String::new(),
        labels: vec!["stable".to_owned()],
        engine: "onnx".to_owned(),
        weights_sha256: String::new(),
        inputs: vec![TensorDescription {
            name: "image".to_owned(),
            dtype: "FP32".to_owned(),
            shape: vec![-1, 8, 8],
        }],
        outputs: Vec::new(),
        max_batch_rows: 128,
        control_offset: -1,
        canary_percent: 0,
        delivery: String::new(),
        lanes: Vec::new(),
        backlog_records: 7,
        lease_until_unix_ms: i64::MAX,
    }
}

/// A line on which two replicas speak of a model: one serves it, one has failed.
fn served() -> Line {
    let line = Line::new(&["digits"]);
    let mut failed = descriptor("b", ModelState::Failed);
    failed.reason = "no such operator".to_owned();
    let serving = descriptor("a", ModelState::Available);
    let records = [serving, failed].map(|it| {
        let mut record = record(Some(it.encode().unwrap()));
        record.key = Some(it.key().into_bytes());
        record
    });
    line.write("models", records.into());
    line
}

#[test]
fn topics_that_were_applied_are_as_described() {
    let line = Line::new(&["digits"]);
    let checked = line.json(&["topics", "check"]);
    let findings = checked.as_array().unwrap();
    assert_eq!(findings.len(), 8, "{checked}");
    assert!(
        findings.iter().all(|it| it["verdict"] != "error"),
        "{checked}"
    );
    line.run(&["topics", "check", "--model", "fraud"])
        .refused(1, "topics apply --model fraud");
}

#[test]
fn a_model_is_shown_with_its_signature_and_its_replicas() {
    let line = served();
    let listed = line.json(&["models", "list"]);
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(listed[0]["state"], "AVAILABLE");
    assert_eq!(listed[0]["replicas"], 2);
    assert_eq!(listed[0]["reason"], "no such operator");
    let shown = line.json(&["models", "show", "digits"]);
    assert_eq!(shown["inputs"][0]["shape"], serde_json::json!([-1, 8, 8]));
    assert_eq!(shown["replicas"][1]["reason"], "no such operator");
    let text = line.run(&["models", "show", "digits"]).good().text();
    assert!(text.contains("image  FP32  [8, 8] per row"), "{text}");
    assert!(text.contains("b says: no such operator"), "{text}");
}

#[test]
fn what_nobody_reads_waits_and_nobody_knows_until_when() {
    let line = Line::new(&["digits"]);
    line.write(
        "requests.digits",
        (0..5).map(|_| record(Some(b"x".to_vec()))).collect(),
    );
    let lag = line.json(&["lag", "--over", "200ms"]);
    assert_eq!(lag.as_array().unwrap().len(), 1);
    assert_eq!(lag[0]["waiting_records"], 5);
    assert_eq!(lag[0]["drained"], "unknown");
    assert_eq!(lag[0]["out_per_s"], serde_json::Value::Null);
    assert!(lag[0]["oldest_s"].as_f64().unwrap() < 600.0, "{lag}");
    let partitions = line.json(&["lag", "digits", "--partitions", "--over", "0s"]);
    let waiting: Vec<i64> = partitions
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["waiting_records"].as_i64().unwrap())
        .collect();
    assert_eq!(waiting, [5, 0, 0, 0]);
    line.run(&["lag", "fraud"]).refused(5, "--model fraud");
}

#[test]
fn status_shows_models_served_or_not() {
    let line = served();
    line.write("requests.digits", vec![record(Some(b"x".to_vec()))]);
    let status = line.json(&["status"]);
    assert_eq!(status["models"][0]["name"], "digits");
    assert_eq!(status["models"][0]["served"]["replicas"], 2);
    assert_eq!(status["models"][0]["waiting_records"], 1);
    assert_eq!(status["dead_letters"]["records"], 0);
    // Without a terminal it is one picture.
    let text = line.run(&["status"]).good().text();
    assert!(text.lines().all(|it| it.chars().count() <= 80), "{text}");
    assert!(text.contains("AVAILABLE"), "{text}");
}

#[test]
fn check_finds_what_must_be_mended_and_says_how() {
    let line = served();
    let checked = line.run(&["check"]).refused(1, "no such operator");
    let text = checked.text();
    for part in [
        "ok       brokers:",
        "digits is served",
        "dead letters: there are none",
    ] {
        assert!(text.contains(part), "{part} is missing in: {text}");
    }
    assert!(
        text.lines()
            .all(|it| it.chars().count() <= 80 || !it.contains("  ")),
        "{text}"
    );
}
