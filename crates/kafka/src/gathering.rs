//! Records on their way to an intake that takes them in blocks.

use std::sync::Arc;

use rdkafka::message::BorrowedMessage;

use crate::block::RecordBlock;
use crate::error::Error;
use crate::intake::Intake;
use crate::ledger::Place;
use crate::member::Member;
use crate::partitions::{Assignment, Held};
use crate::ticket::Ticket;

/// A block is handed over at this size: it fits into a processor's cache.
const BLOCK_BYTES: usize = 256 << 10;

/// Records of one partition that were read and not handed over yet.
pub(crate) struct Gathered {
    assignment: Arc<Assignment>,
    block: RecordBlock,
}

impl Gathered {
    pub(crate) fn new(assignment: &Arc<Assignment>) -> Self {
        Self {
            block: RecordBlock::new(assignment.partition.clone()),
            assignment: Arc::clone(assignment),
        }
    }

    /// The next block of the same partition.
    fn next(&self) -> Self {
        Self {
            block: self.block.as_large(self.assignment.partition.clone()),
            assignment: Arc::clone(&self.assignment),
        }
    }

    pub(crate) fn is_of(&self, assignment: &Arc<Assignment>) -> bool {
        Arc::ptr_eq(&self.assignment, assignment)
    }
}

impl<I: Intake> Member<I> {
    /// Adds a record of the partition that is being gathered.
    pub(crate) fn gather(&mut self, message: &BorrowedMessage<'_>) -> Result<(), Error> {
        let Some(open) = &mut self.gathered else {
            return Ok(());
        };
        open.block.take(message);
        let records = open.block.len();
        let bytes = open.block.size_bytes(0..records);
        if bytes >= BLOCK_BYTES || self.budget.is_spent_with(bytes, records) {
            let next = open.next();
            self.hand_over_block();
            self.gathered = Some(next);
            return self.turn_valve();
        }
        Ok(())
    }

    /// Gives what was gathered to the intake.
    pub(crate) fn hand_over_block(&mut self) {
        let Some(Gathered { assignment, block }) = self.gathered.take() else {
            return;
        };
        let partition = &assignment.partition;
        let held = self.partitions.find(&partition.topic, partition.partition);
        // A block that was begun and got nothing is none.
        let Some(held) = held.filter(|_| !block.is_empty()) else {
            return;
        };
        let bytes = block.size_bytes(0..block.len());
        let (ticket, waiting) = issue(held, block.places(), bytes);
        self.crowded |= waiting > self.settings.max_waiting_records;
        self.intake.block(block, ticket);
    }
}

/// Counts records of a partition and makes their ticket; also says how many
/// records of it are uncommitted now.
pub(crate) fn issue(
    held: &Held,
    places: impl IntoIterator<Item = Place>,
    bytes: usize,
) -> (Ticket, usize) {
    let (ticket, waiting) = Ticket::issue(&held.assignment, places, bytes);
    held.records.inc_by(ticket.records() as u64);
    held.bytes.inc_by(bytes as u64);
    (ticket, waiting)
}
