//! Who waits for which reply: request id to caller, for as long as the caller waits.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard};

use millrace_kafka::{DeliveryError, Record};
use sha2::{Digest, Sha256};
use tokio::sync::oneshot;

use super::metrics::{Metrics, Unmatched};

/// Names one request for all time: 96 random bits, of which the first 32 are
/// drawn once per process, so that a process knows its own ids. The last 32
/// bits tell whose request it is, without a word to anybody else: whoever
/// fetches its result later must be the one who asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct RequestId(u128);

impl RequestId {
    const EPOCH_SHIFT: u32 = 96;
    const CALLER_BITS: u32 = 32;

    /// The id for a request of this caller.
    pub(crate) fn of_caller(self, caller: &str) -> Self {
        let random = self.0 >> Self::CALLER_BITS;
        let mut hasher = Sha256::new();
        hasher.update(random.to_be_bytes());
        hasher.update(caller);
        let [a, b, c, d, ..] = <[u8; 32]>::from(hasher.finalize());
        let mark = u32::from_be_bytes([a, b, c, d]);
        Self(random << Self::CALLER_BITS | u128::from(mark))
    }

    /// Whether the request was this caller's.
    pub(crate) fn is_of(self, caller: &str) -> bool {
        self.of_caller(caller) == self
    }

    /// 32 lower-case hexadecimal digits.
    pub(crate) fn to_text(self) -> String {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digit = |half: u8| char::from(DIGITS[usize::from(half)]);
        let bytes = self.0.to_be_bytes().into_iter();
        bytes
            .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
            .collect()
    }

    fn epoch(self) -> u128 {
        self.0 >> Self::EPOCH_SHIFT
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.to_text())
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
    /// [`super::admission::Admission`] lets in.
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
