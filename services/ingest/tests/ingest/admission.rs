//! What is too much is refused, with a sentence and a time to come back, and costs no memory.

use std::time::{Duration, Instant};

use super::client::{Answer, Connection, get, post, raw, request};
use super::played::{echo, model_m};
use super::process::Process;
use super::scene::{Scene, create_topics, settings};

const M: &str = "/v1/models/m:predict";
const GOOD: &str = r#"{"instances": [[1,2,3,4]]}"#;

fn scene(change: impl FnOnce(&mut millrace_ingest::Settings)) -> Scene {
    let scene = Scene::start(change);
    scene.serve(&model_m(), echo);
    scene.wait_ready();
    scene
}

fn ask_as(scene: &Scene, forwarded_for: &str) -> Answer {
    let header = format!("X-Forwarded-For: {forwarded_for}");
    let bytes = request("POST", M, &[&header], GOOD.as_bytes());
    raw(scene.address, &bytes)
}

#[test]
fn a_client_that_asks_too_often_is_told_when_to_come_back() {
    let scene = scene(|settings| {
        settings.limits.rate.per_second = 0.01;
        settings.limits.rate.burst = 3;
    });
    for _ in 0..3 {
        assert_eq!(post(scene.address, M, GOOD).status, 200);
    }
    let refused = post(scene.address, M, GOOD);
    refused.check_refusal(429, "too many requests of this client");
    refused.check_refusal(429, "0.01 a second, 3 at once");
    let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((50..=100).contains(&seconds), "{seconds}");
    // Anybody can write a header: it makes nobody another client.
    ask_as(&scene, "10.0.0.9").check_refusal(429, "too many requests");
    let results = "/v1/results/m/0123456789abcdef0123456789abcdef-0-0-0-rows";
    get(scene.address, results).check_refusal(429, "too many requests");
    let rejected = scene.metric("millrace_ingest_rejected_total{reason=\"rate\"}");
    assert_eq!(rejected, 3.0);
    assert_eq!(get(scene.address, "/ready").status, 200);
}

#[test]
fn a_trusted_proxy_tells_clients_apart_by_its_own_entry() {
    let scene = scene(|settings| {
        settings.limits.rate.per_second = 0.01;
        settings.limits.rate.burst = 1;
        settings.limits.rate.address_header = Some("x-forwarded-for".to_owned());
    });
    assert_eq!(ask_as(&scene, "10.0.0.1").status, 200);
    assert_eq!(ask_as(&scene, "10.0.0.1, 10.0.0.2").status, 200);
    ask_as(&scene, "10.0.0.1").check_refusal(429, "too many requests");
    ask_as(&scene, "10.0.0.3, 10.0.0.2").check_refusal(429, "too many requests");
    // Without the header, or with nonsense in it, the peer is the client.
    assert_eq!(ask_as(&scene, "nonsense").status, 200);
    post(scene.address, M, GOOD).check_refusal(429, "too many requests");
}

#[test]
fn a_model_that_is_behind_gets_no_more_to_do() {
    let scene = scene(|settings| settings.limits.max_lag_records = Some(100));
    let report = |backlog_records: i64| {
        let mut descriptor = model_m();
        descriptor.backlog_records = backlog_records;
        let mut other = descriptor.clone();
        other.replica = "another".to_owned();
        scene.publish(&descriptor);
        scene.publish(&other);
    };
    report(51);
    let refused = eventually(&scene, 503);
    refused.check_refusal(
        503,
        "model m has 102 requests to answer first: the limit is 100",
    );
    assert_eq!(refused.header("retry-after"), Some("5"));
    report(50);
    assert_eq!(eventually(&scene, 200).status, 200);
}

#[track_caller]
fn eventually(scene: &Scene, status: u16) -> Answer {
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        let answer = post(scene.address, M, GOOD);
        let complete = !answer.text().contains(" 51 requests");
        if answer.status == status && complete {
            return answer;
        }
        assert!(Instant::now() < until, "{}", answer.text());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Forty times what fits is offered to an infer that does not answer.
#[test]
fn memory_stays_bounded_whatever_is_offered() {
    let prefix = format!("ingest-{:016x}", rand::random::<u64>());
    create_topics(&prefix);
    let mut settings = settings(&prefix);
    settings.limits.in_flight_bytes = 16 << 20;
    settings.limits.body_bytes = 1 << 20;
    settings.limits.decompressed_bytes = 1 << 20;
    settings.limits.record_bytes = 2_000_000;
    settings.request_timeout = Duration::from_secs(3);
    // On a busy machine 200 callers at once take their time to send.
    settings.http.read_timeout = Duration::from_secs(30);
    let ingest = Process::start(settings);
    let scene = Scene::around(ingest.address, prefix);
    scene.serve(&model_m(), |_| Vec::new());
    scene.wait_ready();
    let row = "[1.25,2.5,3.75,4.125],".repeat(40_000);
    let body = format!(r#"{{"instances": [{row}[1,2,3,4]]}}"#);
    assert!(body.len() > 800 << 10);
    let bytes = request("POST", M, &[], body.as_bytes());
    let before = ingest.resident_bytes();
    let (mut most, mut refused) = (0, 0);
    for _ in 0..3 {
        let mut callers: Vec<_> = (0..200).map(|_| Connection::open(ingest.address)).collect();
        std::thread::scope(|scope| {
            for caller in &mut callers {
                scope.spawn(|| caller.send(&bytes));
            }
        });
        most = most.max(ingest.resident_bytes());
        for caller in &mut callers {
            // A refused caller who still sends may find the connection closed.
            let status = caller.read().map_or(503, |answer| answer.status);
            // 408: the whole time of the request has passed before its body was there.
            assert!([408, 503, 504].contains(&status), "{status}");
            refused += u32::from(status != 504);
        }
        most = most.max(ingest.resident_bytes());
    }
    assert!(refused > 300, "{refused} of 600 were refused");
    let grown = most.saturating_sub(before);
    println!(
        "600 bodies of 860 kB, {} MiB more resident at most",
        grown >> 20
    );
    // The budget of 16 MiB; the copies of a record on its way through the
    // producer; what sockets and the parser hold of the rest.
    assert!(grown < 96 << 20, "{} MiB", grown >> 20);
}
