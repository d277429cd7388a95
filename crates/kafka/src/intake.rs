//! What a consumer group member's owner implements.

use std::fmt;
use std::sync::Arc;

use crate::block::RecordBlock;
use crate::error::IntakeError;
use crate::record::Record;
use crate::ticket::Ticket;

/// One partition of one topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    /// Topic.
    pub topic: Arc<str>,
    /// Partition of the topic, from 0.
    pub partition: i32,
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.topic, self.partition)
    }
}

/// Where reading of an assigned partition begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartAt {
    /// After the group's committed offset; at the earliest record if the group
    /// has never committed.
    Committed,
    /// At this offset, for owners that keep their progress elsewhere.
    At(i64),
}

/// Receiver of a group member's records.
///
/// All calls come from the member's one polling thread, in the order of the
/// records of each partition. None may block for long: while a call runs, the
/// member polls nothing, and after `max.poll.interval.ms` it is expelled.
pub trait Intake: Send + 'static {
    /// Whether records come in blocks rather than one by one: cheaper where
    /// there are many small ones, and no later, since a block holds what was
    /// there to be read at once.
    const IN_BLOCKS: bool = false;

    /// Partitions were gained. The answer has one entry per partition, in the
    /// same order.
    ///
    /// # Errors
    /// An error stops the consumer with `Error::Intake`.
    fn assigned(&mut self, partitions: &[TopicPartition]) -> Result<Vec<StartAt>, IntakeError>;

    /// One record. Finish the ticket once the record's outcome is durable.
    fn record(&mut self, record: Record, ticket: Ticket);

    /// Records of one partition, at least one, under one ticket. Called in place
    /// of `record` if [`Intake::IN_BLOCKS`].
    fn block(&mut self, block: RecordBlock, mut ticket: Ticket) {
        for index in 0..block.len() {
            let left = block.size_bytes(index + 1..block.len());
            let rest = ticket.split_off(1, left);
            self.record(block.get(index).to_record(), ticket);
            ticket = rest;
        }
    }

    /// These partitions will be given up: no further records of them come.
    /// Flush what is open and finish tickets; the member waits for them until
    /// its drain deadline, polling and ticking on. Not called for partitions
    /// that another member already owns.
    fn revoking(&mut self, partitions: &[TopicPartition]);

    /// These partitions are gone; tickets of them no longer count.
    fn revoked(&mut self, partitions: &[TopicPartition]);

    /// Called at least every 100 ms.
    fn tick(&mut self);
}
