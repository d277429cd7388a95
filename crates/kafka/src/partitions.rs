//! The partitions that a group member holds, and what it shares with their
//! tickets.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::metrics::counter::Counter;
use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};

use crate::budget::Budget;
use crate::error::Error;
use crate::intake::TopicPartition;
use crate::ledger::Ledger;
use crate::membership::Membership;

/// How tickets end, counted over all partitions of a group.
#[derive(Clone, Debug)]
pub(crate) struct Ends {
    pub(crate) done: Counter,
    pub(crate) abandoned: Counter,
    pub(crate) late: Counter,
}

/// One assignment of one partition, shared with its tickets. A partition that
/// is given up and comes back is a new assignment: tickets of the old one
/// change nothing any more.
#[derive(Debug)]
pub(crate) struct Assignment {
    pub(crate) partition: TopicPartition,
    pub(crate) budget: Arc<Budget>,
    pub(crate) ends: Ends,
    pub(crate) membership: Membership,
    ledger: Mutex<Ledger>,
    current: AtomicBool,
}

impl Assignment {
    pub(crate) fn new(
        partition: TopicPartition,
        membership: Membership,
        budget: Arc<Budget>,
        ends: Ends,
    ) -> Self {
        Self {
            partition,
            budget,
            ends,
            membership,
            ledger: Mutex::default(),
            current: AtomicBool::new(true),
        }
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_current(&self) -> bool {
        self.current.load(Ordering::Acquire)
    }

    pub(crate) fn retire(&self) {
        self.current.store(false, Ordering::Release);
    }
}

/// A held partition as its member sees it.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) assignment: Arc<Assignment>,
    /// No more records are taken; the partition is about to be given up.
    pub(crate) draining: bool,
    pub(crate) records: Counter,
    pub(crate) bytes: Counter,
    /// What the group has committed in this assignment.
    committed: Option<i64>,
    /// The first unfinished record, and since when it is that.
    head: (u64, Instant),
}

/// All held partitions.
#[derive(Debug, Default)]
pub(crate) struct Partitions {
    held: Vec<Held>,
    /// Where the last record was found: records come in runs.
    last: usize,
}

impl Partitions {
    pub(crate) fn len(&self) -> usize {
        self.held.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Held> {
        self.held.iter()
    }

    pub(crate) fn add(&mut self, assignment: Arc<Assignment>, records: Counter, bytes: Counter) {
        self.held.push(Held {
            assignment,
            draining: false,
            records,
            bytes,
            committed: None,
            head: (0, Instant::now()),
        });
    }

    pub(crate) fn find(&mut self, topic: &str, partition: i32) -> Option<&Held> {
        let is_it = |held: &Held| {
            let candidate = &held.assignment.partition;
            candidate.partition == partition && &*candidate.topic == topic
        };
        if !self.held.get(self.last).is_some_and(is_it) {
            self.last = self.held.iter().position(is_it)?;
        }
        self.held.get(self.last)
    }

    pub(crate) fn drain(&mut self, given_up: &[TopicPartition]) {
        for held in &mut self.held {
            held.draining |= given_up.contains(&held.assignment.partition);
        }
    }

    /// Records of these partitions that have not ended.
    pub(crate) fn open(&self, of: &[TopicPartition]) -> usize {
        self.held
            .iter()
            .filter(|held| of.contains(&held.assignment.partition))
            .map(|held| held.assignment.ledger().open())
            .sum()
    }

    pub(crate) fn remove(&mut self, given_up: &[TopicPartition]) {
        self.held.retain(|held| {
            let stays = !given_up.contains(&held.assignment.partition);
            if !stays {
                held.assignment.retire();
            }
            stays
        });
        self.last = 0;
    }

    /// Offsets that could be committed and are not.
    pub(crate) fn uncommitted(&self) -> Vec<(TopicPartition, i64)> {
        let mut offsets = Vec::new();
        for held in &self.held {
            let committable = held.assignment.ledger().committable();
            if let Some(offset) = committable
                && Some(offset) != held.committed
            {
                offsets.push((held.assignment.partition.clone(), offset));
            }
        }
        offsets
    }

    /// Whether nothing of these partitions is left to be committed.
    pub(crate) fn is_committed(&self, of: &[TopicPartition]) -> bool {
        let mut uncommitted = self.uncommitted().into_iter();
        uncommitted.all(|(partition, _)| !of.contains(&partition))
    }

    pub(crate) fn mark_committed(&mut self, offsets: &[(TopicPartition, i64)]) {
        for (partition, offset) in offsets {
            for held in &mut self.held {
                if held.assignment.partition == *partition {
                    held.committed = Some(*offset);
                }
            }
        }
    }

    /// The list to pause or resume: everything that is not draining.
    pub(crate) fn flowing(&self) -> TopicPartitionList {
        let mut list = TopicPartitionList::with_capacity(self.held.len());
        for held in self.held.iter().filter(|held| !held.draining) {
            let partition = &held.assignment.partition;
            list.add_partition(&partition.topic, partition.partition);
        }
        list
    }

    /// The largest number of records waiting behind an unfinished one.
    pub(crate) fn longest_wait(&self) -> usize {
        let lengths = self
            .held
            .iter()
            .map(|held| held.assignment.ledger().waiting());
        lengths.max().unwrap_or(0)
    }

    /// The error about a partition where more than `limit` records wait behind
    /// one that was dropped without an outcome.
    pub(crate) fn abandoned(&self, limit: usize) -> Option<Error> {
        self.held.iter().find_map(|held| {
            let ledger = held.assignment.ledger();
            let partition = &held.assignment.partition;
            let offset = ledger.stuck_at().filter(|_| ledger.waiting() > limit)?;
            Some(Error::Abandoned {
                topic: partition.topic.to_string(),
                partition: partition.partition,
                offset,
                waiting: ledger.waiting() - 1,
            })
        })
    }

    /// Topics, and the timestamp of the oldest record of each that is not
    /// finished, if there is one that has a timestamp.
    pub(crate) fn oldest_unix_ms(&self) -> Vec<(Arc<str>, Option<i64>)> {
        let mut topics: Vec<(Arc<str>, Option<i64>)> = Vec::new();
        for held in &self.held {
            let topic = &held.assignment.partition.topic;
            let oldest = held.assignment.ledger().oldest_unix_ms();
            match topics.iter_mut().find(|(known, _)| known == topic) {
                Some((_, known)) => *known = known.iter().copied().chain(oldest).min(),
                None => topics.push((Arc::clone(topic), oldest)),
            }
        }
        topics
    }

    /// Age of the oldest record that holds a commit back.
    pub(crate) fn oldest_unfinished(&mut self, now: Instant) -> Duration {
        let mut oldest = Duration::ZERO;
        for held in &mut self.held {
            let ledger = held.assignment.ledger();
            if ledger.waiting() == 0 || held.head.0 != ledger.head() {
                held.head = (ledger.head(), now);
            }
            oldest = oldest.max(now.saturating_duration_since(held.head.1));
        }
        oldest
    }
}

/// Partitions of a librdkafka list.
pub(crate) fn from_list(list: &TopicPartitionList) -> Vec<TopicPartition> {
    // `elements()` of an empty list was undefined behaviour in older rdkafka:
    // https://github.com/fede1024/rust-rdkafka/issues/681
    if list.count() == 0 {
        return Vec::new();
    }
    let mut partitions: Vec<TopicPartition> = Vec::with_capacity(list.count());
    for element in list.elements() {
        let topic = match partitions.last() {
            Some(previous) if &*previous.topic == element.topic() => previous.topic.clone(),
            _ => Arc::from(element.topic()),
        };
        partitions.push(TopicPartition {
            topic,
            partition: element.partition(),
        });
    }
    partitions
}

/// A librdkafka list of partitions with offsets.
pub(crate) fn to_list(offsets: &[(TopicPartition, Offset)]) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::with_capacity(offsets.len());
    for (partition, offset) in offsets {
        list.add_partition_offset(&partition.topic, partition.partition, *offset)?;
    }
    Ok(list)
}
