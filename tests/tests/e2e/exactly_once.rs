//! Under `exactly_once` results become readable together with their offsets, and callers need not wait for that. What
//! happens when processes and brokers die is tried on three brokers, in `tests/tests/faults`.

use std::time::{Duration, Instant};

use e2e::{Feed, Infer, Line, PATIENCE, Tap, digits, header, wait_for};
use serde_json::json;

use crate::digit_records::{image_record, send_images};

/// Longer than an answer takes on a busy machine, so that it shows who waits for it.
const SLOW_COMMITS: &str =
    "delivery = \"exactly_once\"\n[transactions]\ncommit_interval = \"20s\"\ntimeout = \"60s\"";

#[test]
fn a_caller_is_answered_before_the_transaction_is_committed() {
    let line = Line::new(&["digits"], 1);
    let results = Tap::open(&line, "results.digits");
    let mut infer = line.infer(Infer {
        settings: SLOW_COMMITS,
        ..Infer::default()
    });
    infer.wait_ready();
    let mut ingest = line.ingest("");
    ingest.wait_ready();
    let asked = Instant::now();
    let body = json!({ "instances": [digits().json(0)] });
    let answer = reqwest::blocking::Client::new()
        .post(ingest.url("/v1/models/digits:predict"))
        .body(body.to_string())
        .send()
        .expect("ingest answers");
    assert_eq!(answer.status(), 200);
    assert!(
        asked.elapsed() < Duration::from_secs(10),
        "it waited {:?} for the commit",
        asked.elapsed()
    );
    assert!(
        results.records().is_empty(),
        "nobody reads what is not committed"
    );
    results.wait_for(1);
}

#[test]
fn a_clean_stop_commits_what_was_computed() {
    let line = Line::new(&["digits"], 2);
    let results = Tap::open(&line, "results.digits");
    let mut infer = line.infer(Infer {
        settings: SLOW_COMMITS,
        ..Infer::default()
    });
    infer.wait_ready();
    send_images(&line, 0..100);
    wait_for(PATIENCE, "all rows to run", || {
        (infer.metric("millrace_infer_rows_total") >= 100.0).then_some(())
    });
    assert!(infer.terminate().success(), "a clean stop");
    assert_eq!(results.wait_for(100).len(), 100);
    // The next process finds the work done.
    let mut next = line.infer(Infer {
        settings: "delivery = \"exactly_once\"",
        ..Infer::default()
    });
    next.wait_ready();
    Feed::new(&line, "requests.digits").send(None, Some(image_record(0)), &[("mr-id", "last")]);
    let all = results.wait_for(101);
    let last: Vec<_> = all
        .iter()
        .filter(|it| header(it, "mr-id") == Some("last"))
        .collect();
    assert_eq!((all.len(), last.len()), (101, 1));
}
