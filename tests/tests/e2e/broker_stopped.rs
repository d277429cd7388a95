//! The broker may go away for a while: callers are told, and nothing that was taken is lost.

use std::path::Path;
use std::process::Command;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use e2e::{Feed, Infer, Line, PATIENCE, Tap, digits, header, project_path, wait_for};
use serde_json::json;

use crate::digit_records::image_record;

const OUTAGE: Duration = Duration::from_secs(20);

#[test]
fn a_broker_outage_of_twenty_seconds_loses_nothing_and_callers_are_told() {
    let folder = tempfile::TempDir::new().expect("a temporary folder can be made");
    let broker = Broker::start(folder.path());
    let line = Line::on(&broker.address, &["digits"], 2);
    let results = Tap::open(&line, "results.digits");
    let mut infer = line.infer(Infer::default());
    let mut ingest = line.ingest("request_timeout = \"5s\"\n");
    infer.wait_ready();
    ingest.wait_ready();
    let feed = Feed::new(&line, "requests.digits");
    let send = |range: std::ops::Range<usize>| {
        for number in range {
            feed.send(
                None,
                Some(image_record(number)),
                &[("mr-id", &number.to_string())],
            );
        }
    };

    send(0..500);
    let url = ingest.url("/v1/models/digits:predict");
    assert_eq!(predict(&url).0, 200);
    broker.stop();
    let stopped = Instant::now();
    send(500..1_000);
    while stopped.elapsed() < OUTAGE {
        let (status, body, took) = predict(&url);
        assert!(status == 503 || status == 504, "{status}: {body}");
        assert!(body.contains("\"error\""), "{body}");
        assert!(took < Duration::from_secs(10), "a caller waited {took:?}");
        sleep(Duration::from_millis(500));
    }
    let _broker = Broker::start(folder.path());
    send(1_000..1_500);

    wait_for(PATIENCE, "an answer over HTTP", || {
        (predict(&url).0 == 200).then_some(())
    });
    wait_for(PATIENCE, "an answer to all 1,500 records", || {
        let records = results.records();
        let ids: std::collections::HashSet<_> = records
            .iter()
            .filter_map(|record| header(record, "mr-id")?.parse::<usize>().ok())
            .collect();
        (0..1_500).all(|number| ids.contains(&number)).then_some(())
    });
    assert!(infer.is_running() && ingest.is_running());
}

fn predict(url: &str) -> (u16, String, Duration) {
    let body = json!({"instances": [{"image": digits().json(0)}]}).to_string();
    let started = Instant::now();
    let answer = reqwest::blocking::Client::new()
        .post(url)
        .body(body)
        .send()
        .expect("ingest answers");
    (
        answer.status().as_u16(),
        answer.text().expect("text"),
        started.elapsed(),
    )
}

/// A broker of this test alone, since it is stopped.
struct Broker<'d> {
    folder: &'d Path,
    address: String,
}

impl<'d> Broker<'d> {
    fn start(folder: &'d Path) -> Self {
        let mut arguments = vec!["start"];
        if !folder.join("server.properties").exists() {
            arguments.extend(["--port", "0"]);
        }
        let address = run(folder, &arguments);
        Self {
            folder,
            address: address.trim().to_owned(),
        }
    }

    fn stop(&self) {
        run(self.folder, &["stop"]);
    }
}

impl Drop for Broker<'_> {
    fn drop(&mut self) {
        if !thread::panicking() {
            return self.stop();
        }
        let _ = Command::new(project_path("scripts/broker"))
            .args(["stop", "--dir"])
            .arg(self.folder)
            .status();
    }
}

fn run(folder: &Path, arguments: &[&str]) -> String {
    let command = Command::new(project_path("scripts/broker"))
        .args(arguments)
        .arg("--dir")
        .arg(folder)
        .output();
    let output = command.expect("scripts/broker runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("an address")
}
