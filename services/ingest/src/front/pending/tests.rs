//! Waits that end well, and replies that nobody waits for.

use super::*;
use millrace_kafka::Headers;
use prometheus_client::registry::Registry;

struct Scene {
    pending: Pending,
    registry: Registry,
}

impl Scene {
    fn new() -> Self {
        let mut registry = Registry::default();
        let pending = Pending::new(Metrics::register(&mut registry));
        Self { pending, registry }
    }

    fn enter(&self) -> Waiter {
        self.pending.enter(self.pending.new_id())
    }

    fn check_metric(&self, line: &str) {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        assert!(
            text.lines().any(|given| given == line),
            "{line} is not in\n{text}"
        );
    }
}

fn reply_to(id: &str) -> Record {
    Record {
        topic: "replies".into(),
        partition: 0,
        offset: 0,
        timestamp_unix_ms: None,
        key: Some(id.as_bytes().to_vec()),
        value: None,
        headers: Headers::default(),
    }
}

#[test]
fn a_reply_reaches_only_its_own_caller() {
    let scene = Scene::new();
    let mut first = scene.enter();
    let mut second = scene.enter();
    scene.pending.reply(reply_to(&second.id.to_string()));
    assert!(matches!(second.outcome.try_recv(), Ok(Outcome::Reply(_))));
    assert!(first.outcome.try_recv().is_err());
}

#[test]
fn a_duplicate_and_a_late_reply_are_counted_and_harm_nobody() {
    let scene = Scene::new();
    let waiter = scene.enter();
    let id = waiter.id.to_string();
    scene.pending.reply(reply_to(&id));
    scene.pending.reply(reply_to(&id));
    scene.check_metric("millrace_ingest_replies_unmatched_total{reason=\"late_or_duplicate\"} 1");
    drop(waiter);
    scene.pending.reply(reply_to(&id));
    scene.check_metric("millrace_ingest_replies_unmatched_total{reason=\"late_or_duplicate\"} 2");
}

#[test]
fn replies_of_others_and_without_an_id_are_counted() {
    let scene = Scene::new();
    let other = Scene::new().enter();
    scene.pending.reply(reply_to(&other.id.to_string()));
    scene.check_metric("millrace_ingest_replies_unmatched_total{reason=\"foreign\"} 1");
    for id in [
        "",
        "x",
        "+0000000000000000000000000000000",
        &"F".repeat(32),
        &"0".repeat(1000),
    ] {
        scene.pending.reply(reply_to(id));
    }
    scene.check_metric("millrace_ingest_replies_unmatched_total{reason=\"no_id\"} 5");
}

#[test]
fn a_reply_whose_key_and_header_differ_reaches_nobody() {
    let scene = Scene::new();
    let mut waiter = scene.enter();
    let mut record = reply_to(&waiter.id.to_string());
    record
        .headers
        .push(millrace_wire::headers::ID, Some(b"another".to_vec()));
    scene.pending.reply(record);
    assert!(waiter.outcome.try_recv().is_err());
    scene.check_metric("millrace_ingest_replies_unmatched_total{reason=\"no_id\"} 1");
}

#[test]
fn a_caller_who_leaves_is_forgotten() {
    let scene = Scene::new();
    let waiter = scene.enter();
    scene.check_metric("millrace_ingest_pending 1");
    drop(waiter);
    scene.check_metric("millrace_ingest_pending 0");
    assert!(scene.pending.shared.waiting().callers.is_empty());
}

#[test]
fn stopping_ends_every_wait_and_those_that_come_later() {
    let scene = Scene::new();
    let mut before = scene.enter();
    scene.pending.stop();
    let mut after = scene.enter();
    assert!(matches!(before.outcome.try_recv(), Ok(Outcome::Stopping)));
    assert!(matches!(after.outcome.try_recv(), Ok(Outcome::Stopping)));
}

#[test]
fn ids_are_unlike_each_other_and_read_back() {
    let scene = Scene::new();
    let first = scene.enter();
    let second = scene.enter();
    assert_ne!(first.id, second.id);
    assert_eq!(first.id.to_string().parse(), Ok(first.id));
    assert_eq!(first.id.to_string().len(), 32);
}
