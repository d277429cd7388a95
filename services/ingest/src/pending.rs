//! Who waits for which reply: request id to caller, for as long as the caller waits.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard};

use millrace_kafka::{DeliveryError, Record};
use tokio::sync::oneshot;

use crate::metrics::{Metrics, Unmatched};

/// Names one request for all time: 128 random bits, of which the first 32 are
/// drawn once per process, so that a process knows its own ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct RequestId(u128);

impl RequestId {
    const EPOCH_SHIFT: u32 = 96;

    fn epoch(self) -> u128 {
        self.0 >> Self::EPOCH_SHIFT
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// The text is not 32 lower-case hexadecimal digits.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotAnId;

impl FromStr for RequestId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != 32 || !text.bytes().all(digit) {
            return Err(NotAnId);
        }
        u128::from_str_radix(text, 16)
            .map(Self)
            .map_err(|_| NotAnId)
    }
}

/// How a wait ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The reply record, not yet looked into.
    Reply(Record),
    /// The request record did not reach the broker.
    Undelivered(DeliveryError),
    /// This process stops and waits no longer.
    Stopping,
}

/// All callers that wait; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Pending {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Held for one map operation at a time.
    waiting: Mutex<Waiting>,
    epoch: u128,
    metrics: Metrics,
}

#[derive(Debug, Default)]
struct Waiting {
    callers: HashMap<RequestId, oneshot::Sender<Outcome>>,
    stopping: bool,
}

impl Pending {
    pub(crate) fn new(metrics: Metrics) -> Self {
        let epoch = u128::from(rand::random::<u32>());
        Self {
            shared: Arc::new(Shared {
                waiting: Mutex::default(),
                epoch,
                metrics,
            }),
        }
    }

    /// A new id.
    pub(crate) fn new_id(&self) -> RequestId {
        let random = rand::random::<u128>() & (u128::MAX >> 32);
        RequestId(self.shared.epoch << RequestId::EPOCH_SHIFT | random)
    }

    /// A place to wait for the reply to a request. As many can wait as
    /// [`crate::admission::Admission`] lets in.
    pub(crate) fn enter(&self, id: RequestId) -> Waiter {
        let (sender, outcome) = oneshot::channel();
        let mut waiting = self.shared.waiting();
        if waiting.stopping {
            // The receiver is at hand, so this cannot fail.
            let _ = sender.send(Outcome::Stopping);
        } else {
            waiting.callers.insert(id, sender);
        }
        drop(waiting);
        self.shared.metrics.pending.inc();
        Waiter {
            id,
            outcome,
            shared: Arc::clone(&self.shared),
        }
    }

    /// Hands a reply record to the caller who waits for it, or counts it.
    pub(crate) fn reply(&self, record: Record) {
        let Some(id) = id_of(&record) else {
            self.shared.metrics.unmatched(Unmatched::NoId);
            return;
        };
        if !self.end(id, Outcome::Reply(record)) {
            let own = id.epoch() == self.shared.epoch;
            let how = if own {
                Unmatched::LateOrDuplicate
            } else {
                Unmatched::Foreign
            };
            self.shared.metrics.unmatched(how);
        }
    }

    /// Tells a caller that the request never reached the broker.
    pub(crate) fn undelivered(&self, id: RequestId, error: DeliveryError) {
        // A caller who has left meanwhile was told about the deadline.
        self.end(id, Outcome::Undelivered(error));
    }

    /// Ends every wait, now and from now on.
    pub(crate) fn stop(&self) {
        let mut waiting = self.shared.waiting();
        waiting.stopping = true;
        for (_, caller) in waiting.callers.drain() {
            let _ = caller.send(Outcome::Stopping);
        }
    }

    /// Whether somebody was still waiting.
    fn end(&self, id: RequestId, outcome: Outcome) -> bool {
        let caller = self.shared.waiting().callers.remove(&id);
        caller.is_some_and(|caller| caller.send(outcome).is_ok())
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting
            .lock()
            .expect("no holder of this lock can panic")
    }
}

/// The id in the record's key or its `mr-id` header; both when there are both.
fn id_of(record: &Record) -> Option<RequestId> {
    let text = |bytes: &[u8]| std::str::from_utf8(bytes).ok()?.parse().ok();
    let header = record.headers.get_first(millrace_wire::headers::ID);
    match (record.key.as_deref(), header) {
        (Some(key), Some(header)) if key == header => text(key),
        (Some(id), None) | (None, Some(id)) => text(id),
        _ => None,
    }
}

/// One caller's wait; dropping it ends the wait.
#[derive(Debug)]
pub(crate) struct Waiter {
    id: RequestId,
    pub(crate) outcome: oneshot::Receiver<Outcome>,
    shared: Arc<Shared>,
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.shared.waiting().callers.remove(&self.id);
        self.shared.metrics.pending.dec();
    }
}

#[cfg(test)]
mod tests {
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
        scene.check_metric(
            "millrace_ingest_replies_unmatched_total{reason=\"late_or_duplicate\"} 1",
        );
        drop(waiter);
        scene.pending.reply(reply_to(&id));
        scene.check_metric(
            "millrace_ingest_replies_unmatched_total{reason=\"late_or_duplicate\"} 2",
        );
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
}
