//! The one place where offsets become durable.
//!
//! Everything before this type speaks of finished prefixes; only this type
//! knows how they are committed, so that committing inside a transaction can
//! later take its place.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::{Offset, TopicPartitionList};

use crate::closing;
use crate::context::Context;
use crate::error::Error;
use crate::intake::TopicPartition;
use crate::partitions;

/// Next offsets to read, by partition.
pub(crate) type Offsets = Vec<(TopicPartition, i64)>;

/// Commits offsets on a thread of its own, one request at a time.
///
/// rdkafka 0.39 moved consumers to librdkafka's event API, under which an
/// asynchronous commit reports its result to nobody (`rd_kafka_commit` in
/// librdkafka `src/rdkafka_offset.c` gives it no reply queue, and the callback
/// that would be used instead is not set). A synchronous commit does report,
/// and on its own thread it cannot hold up polling.
pub(crate) struct Committer {
    requests: Option<Sender<TopicPartitionList>>,
    results: Receiver<KafkaResult<()>>,
    ended: Receiver<Result<(), Error>>,
    outstanding: Option<Offsets>,
}

impl Committer {
    pub(crate) fn start(consumer: Arc<BaseConsumer<Context>>, group: &str) -> Result<Self, Error> {
        let (requests, incoming) = bounded::<TopicPartitionList>(1);
        let (outgoing, results) = bounded(1);
        let ended = closing::spawn(&format!("commit {group}"), move || {
            for list in incoming {
                if outgoing
                    .send(consumer.commit(&list, CommitMode::Sync))
                    .is_err()
                {
                    break;
                }
            }
            Ok(())
        })?;
        Ok(Self {
            requests: Some(requests),
            results,
            ended,
            outstanding: None,
        })
    }

    /// Whether no commit is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.outstanding.is_none()
    }

    /// Begins to commit; only when idle.
    pub(crate) fn request(&mut self, offsets: Offsets) -> KafkaResult<()> {
        debug_assert!(self.is_idle(), "one commit at a time");
        let positions: Vec<(TopicPartition, Offset)> = offsets
            .iter()
            .map(|(partition, offset)| (partition.clone(), Offset::Offset(*offset)))
            .collect();
        let list = partitions::to_list(&positions)?;
        if let Some(requests) = &self.requests
            && requests.send(list).is_ok()
        {
            self.outstanding = Some(offsets);
        }
        Ok(())
    }

    /// The result of the commit under way, once it is there.
    pub(crate) fn result(&mut self) -> Option<(Offsets, KafkaResult<()>)> {
        self.outstanding.as_ref()?;
        match self.results.try_recv() {
            Ok(result) => Some((self.outstanding.take()?, result)),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => {
                Some((self.outstanding.take()?, Err(KafkaError::Canceled)))
            }
        }
    }

    /// Ends the thread; `false` if a commit still hangs after `within`.
    pub(crate) fn stop(mut self, within: Duration) -> bool {
        self.requests = None;
        self.ended.recv_timeout(within).is_ok()
    }
}
