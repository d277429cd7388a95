//! What is to be done with which messages.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// APIs of Kafka's protocol by their keys (<https://kafka.apache.org/protocol.html#protocol_api_keys>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i16)]
#[allow(missing_docs, reason = "they are the protocol's names")]
pub enum Api {
    Produce = 0,
    Fetch = 1,
    OffsetCommit = 8,
    JoinGroup = 11,
    Heartbeat = 12,
    SyncGroup = 14,
    InitProducerId = 22,
    AddPartitionsToTxn = 24,
    AddOffsetsToTxn = 25,
    EndTxn = 26,
    TxnOffsetCommit = 28,
}

/// Who says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The client, to the node.
    Request,
    /// The node, to the client.
    Response,
}

/// What happens to a message. What comes after it on the same connection waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// It arrives so much later.
    Delay(Duration),
    /// It never arrives.
    Lose,
    /// It arrives when the rule ends.
    Hold,
    /// The connection ends instead.
    Cut,
}

/// Messages and what happens to them.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Of one API, or of all.
    pub api: Option<Api>,
    /// On connections with one node (0, 1, 2), or with all.
    pub node: Option<usize>,
    /// Said by whom.
    pub side: Side,
    /// What is done.
    pub what: What,
    /// To so many of them, then to none.
    pub times: usize,
}

#[derive(Default)]
pub(super) struct Rules {
    entries: Mutex<Vec<Entry>>,
    changed: Condvar,
}

struct Entry {
    rule: Rule,
    followed: usize,
    ended: bool,
}

impl Rules {
    pub(super) fn add(&self, rule: Rule) -> usize {
        let mut entries = self.lock();
        let followed = 0;
        let ended = false;
        entries.push(Entry {
            rule,
            followed,
            ended,
        });
        entries.len() - 1
    }

    pub(super) fn followed(&self, rule: usize) -> usize {
        self.lock()[rule].followed
    }

    pub(super) fn end(&self, rule: usize) {
        self.lock()[rule].ended = true;
        self.changed.notify_all();
    }

    /// What happens to a message, counted. Waits where it is to be held.
    pub(super) fn decide(&self, node: usize, api: Option<i16>, side: Side) -> Option<What> {
        let mut entries = self.lock();
        let number = entries
            .iter()
            .position(|entry| entry.concerns(node, api, side))?;
        entries[number].followed += 1;
        let what = entries[number].rule.what;
        if what != What::Hold {
            return Some(what);
        }
        while !entries[number].ended {
            entries = self
                .changed
                .wait(entries)
                .unwrap_or_else(PoisonError::into_inner);
        }
        None
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn concerns(&self, node: usize, api: Option<i16>, side: Side) -> bool {
        let Rule {
            api: of,
            node: at,
            side: by,
            times,
            ..
        } = self.rule;
        !self.ended
            && self.followed < times
            && by == side
            && at.is_none_or(|at| at == node)
            && of.is_none_or(|of| Some(of as i16) == api)
    }
}
