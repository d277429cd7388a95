//! The promise that comes with each record: end it, and its offset may be
//! committed once everything before it has ended too.

use std::sync::Arc;

use crate::intake::TopicPartition;
use crate::ledger::Place;
use crate::membership::Membership;
use crate::partitions::Assignment;

/// This member's hold of one partition, from assignment to revocation.
#[derive(Clone, Debug)]
pub struct Tenure(Arc<Assignment>);

impl Tenure {
    /// Whether the partition is still ours.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.0.is_current()
    }

    /// What is held.
    #[must_use]
    pub fn partition(&self) -> &TopicPartition {
        &self.0.partition
    }

    /// The membership that the hold rests on.
    #[must_use]
    pub fn membership(&self) -> &Membership {
        &self.0.membership
    }
}

/// The place of a record in its partition, or of consecutive records that were
/// handed over together.
///
/// Call [`Ticket::done`] when their outcome is durable. A ticket that is dropped
/// without it releases the bytes but keeps the offset where it is: the records
/// will be read again after the next start.
#[derive(Debug)]
#[must_use = "dropping a ticket keeps its offset from ever being committed"]
pub struct Ticket {
    assignment: Arc<Assignment>,
    /// Of the first record.
    sequence: u64,
    records: usize,
    bytes: usize,
    done: bool,
}

impl Ticket {
    /// Enters records of `bytes` together, at these places, into their
    /// partition's ledger; also says how many records there are uncommitted now.
    pub(crate) fn issue(
        assignment: &Arc<Assignment>,
        places: impl IntoIterator<Item = Place>,
        bytes: usize,
    ) -> (Self, usize) {
        let mut ledger = assignment.ledger();
        let sequence = ledger.next();
        let mut records = 0;
        for place in places {
            ledger.enter_of(place);
            records += 1;
        }
        let waiting = ledger.waiting();
        drop(ledger);
        assignment.budget.take(bytes, records);
        let ticket = Self {
            assignment: Arc::clone(assignment),
            sequence,
            records,
            bytes,
            done: false,
        };
        (ticket, waiting)
    }

    /// The outcome of all its records is durable.
    pub fn done(mut self) {
        self.done = true;
    }

    /// How many records it stands for.
    #[must_use]
    pub fn records(&self) -> usize {
        self.records
    }

    /// Keeps the first `records` records; the others, of `bytes` together, get
    /// the ticket that is returned.
    ///
    /// # Panics
    /// If it has not that many records or bytes.
    pub fn split_off(&mut self, records: usize, bytes: usize) -> Self {
        assert!(records <= self.records && bytes <= self.bytes);
        let rest = Self {
            assignment: Arc::clone(&self.assignment),
            sequence: self.sequence + records as u64,
            records: self.records - records,
            bytes,
            done: false,
        };
        self.records = records;
        self.bytes -= bytes;
        rest
    }

    /// Its records hold `bytes` more, such as a value that was fetched from
    /// elsewhere: they count against the budget until the ticket ends.
    pub fn grow(&mut self, bytes: usize) {
        self.assignment.budget.take(bytes, 0);
        self.bytes += bytes;
    }

    /// Whether the partition is still ours. Work for one that is not changes
    /// nothing any more.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.assignment.is_current()
    }

    /// Number of the first record within its partition's assignment: 0, 1, 2, …
    /// without gaps.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The partition of its records.
    #[must_use]
    pub fn partition(&self) -> &TopicPartition {
        &self.assignment.partition
    }

    /// The hold of the partition under which the records were read.
    #[must_use]
    pub fn tenure(&self) -> Tenure {
        Tenure(Arc::clone(&self.assignment))
    }

    /// Whether both tickets belong to the same assignment of the same
    /// partition, so that their sequence numbers compare.
    #[must_use]
    pub fn same_assignment(&self, other: &Ticket) -> bool {
        Arc::ptr_eq(&self.assignment, &other.assignment)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let ends = &self.assignment.ends;
        let sequences = self.sequence..self.sequence + self.records as u64;
        let counter = if !self.assignment.is_current() {
            &ends.late
        } else if self.done {
            self.assignment.ledger().finish(sequences);
            &ends.done
        } else {
            self.assignment.ledger().abandon(sequences);
            &ends.abandoned
        };
        counter.inc_by(self.records as u64);
        self.assignment.budget.give_back(self.bytes, self.records);
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::Counter;

    use super::*;
    use crate::budget::Budget;
    use crate::partitions::Ends;

    fn assignment() -> Arc<Assignment> {
        let partition = TopicPartition {
            topic: Arc::from("requests"),
            partition: 3,
        };
        let ends = Ends {
            done: Counter::default(),
            abandoned: Counter::default(),
            late: Counter::default(),
        };
        Arc::new(Assignment::new(
            partition,
            Membership::default(),
            Arc::new(Budget::new(100, 100)),
            ends,
        ))
    }

    fn issue(
        assignment: &Arc<Assignment>,
        offsets: impl IntoIterator<Item = i64>,
        bytes: usize,
    ) -> (Ticket, usize) {
        let places = offsets.into_iter().map(|offset| (offset, None));
        Ticket::issue(assignment, places, bytes)
    }

    #[test]
    fn bytes_are_released_however_the_ticket_ends() {
        let assignment = assignment();
        let (first, _) = issue(&assignment, [0], 30);
        let (second, waiting) = issue(&assignment, [1], 40);
        assert_eq!(waiting, 2);
        assert_eq!(assignment.budget.bytes(), 70);
        first.done();
        drop(second);
        assert_eq!(assignment.budget.bytes(), 0);
        assert_eq!(assignment.budget.records(), 0);
        assert_eq!(assignment.ends.done.get(), 1);
        assert_eq!(assignment.ends.abandoned.get(), 1);
    }

    #[test]
    fn what_a_ticket_grows_by_counts_until_it_ends() {
        let assignment = assignment();
        let (mut first, _) = issue(&assignment, [0, 1], 50);
        first.grow(20);
        assert_eq!(assignment.budget.bytes(), 70);
        let rest = first.split_off(1, 25);
        first.done();
        assert_eq!(assignment.budget.bytes(), 25, "it went with the first part");
        rest.done();
        assert_eq!(assignment.budget.bytes(), 0);
    }

    #[test]
    fn a_late_ticket_moves_no_offset() {
        let assignment = assignment();
        let (ticket, _) = issue(&assignment, [7], 1);
        assignment.retire();
        assert!(!ticket.is_current());
        ticket.done();
        assert_eq!(assignment.ledger().committable(), None);
        assert_eq!(assignment.ends.late.get(), 1);
        assert_eq!(assignment.budget.bytes(), 0);
    }

    #[test]
    fn tickets_may_end_on_other_threads() {
        let assignment = assignment();
        let tickets: Vec<Ticket> = (0..100)
            .map(|offset| issue(&assignment, [offset], 1).0)
            .collect();
        std::thread::scope(|scope| {
            for ticket in tickets {
                scope.spawn(move || ticket.done());
            }
        });
        assert_eq!(assignment.ledger().committable(), Some(100));
    }

    #[test]
    fn a_ticket_of_several_records_ends_in_parts() {
        let assignment = assignment();
        let (mut first, waiting) = issue(&assignment, [3, 5, 9], 60);
        assert_eq!((waiting, assignment.budget.records()), (3, 3));
        let rest = first.split_off(2, 25);
        assert_eq!((first.records(), rest.records()), (2, 1));
        assert_eq!(rest.sequence(), 2);
        rest.done();
        assert_eq!(assignment.ledger().committable(), None);
        assert_eq!(assignment.budget.bytes(), 35);
        first.done();
        assert_eq!(assignment.ledger().committable(), Some(10));
        assert_eq!(assignment.budget.bytes(), 0);
        assert_eq!(assignment.ends.done.get(), 3);
    }

    #[test]
    fn a_dropped_part_keeps_the_offset_where_it_is() {
        let assignment = assignment();
        let (mut first, _) = issue(&assignment, 0..4, 4);
        let rest = first.split_off(1, 3);
        drop(rest);
        first.done();
        assert_eq!(assignment.ledger().committable(), Some(1));
        assert_eq!(assignment.ledger().stuck_at(), Some(1));
        assert_eq!(assignment.ends.abandoned.get(), 3);
        assert_eq!(assignment.budget.records(), 0);
    }
}
