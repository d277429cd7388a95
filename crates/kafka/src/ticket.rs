//! The promise that comes with each record: end it, and its offset may be
//! committed once everything before it has ended too.

use std::sync::Arc;

use crate::intake::TopicPartition;
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

    /// The membership that the hold rests on.
    #[must_use]
    pub fn membership(&self) -> &Membership {
        &self.0.membership
    }
}

/// One record's place in its partition.
///
/// Call [`Ticket::done`] when the record's outcome is durable. A ticket that is
/// dropped without it releases the record's bytes but keeps the offset where it
/// is: the record will be read again after the next start.
#[derive(Debug)]
#[must_use = "dropping a ticket keeps its offset from ever being committed"]
pub struct Ticket {
    assignment: Arc<Assignment>,
    sequence: u64,
    bytes: usize,
    done: bool,
}

impl Ticket {
    /// Enters a record of `bytes` at `offset` into its partition's ledger; also
    /// says how many records there are uncommitted now.
    pub(crate) fn issue(assignment: &Arc<Assignment>, offset: i64, bytes: usize) -> (Self, usize) {
        assignment.budget.take(bytes);
        let mut ledger = assignment.ledger();
        let ticket = Self {
            assignment: Arc::clone(assignment),
            sequence: ledger.enter(offset),
            bytes,
            done: false,
        };
        let waiting = ledger.waiting();
        drop(ledger);
        (ticket, waiting)
    }

    /// The outcome of the record is durable.
    pub fn done(mut self) {
        self.done = true;
    }

    /// Whether the partition is still ours. Work for one that is not changes
    /// nothing any more.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.assignment.is_current()
    }

    /// Number of the record within its partition's assignment: 0, 1, 2, …
    /// without gaps.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The record's partition.
    #[must_use]
    pub fn partition(&self) -> &TopicPartition {
        &self.assignment.partition
    }

    /// The hold of the partition under which the record was read.
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
        let counter = if !self.assignment.is_current() {
            &ends.late
        } else if self.done {
            self.assignment.ledger().finish(self.sequence);
            &ends.done
        } else {
            self.assignment.ledger().abandon(self.sequence);
            &ends.abandoned
        };
        counter.inc();
        self.assignment.budget.give_back(self.bytes);
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

    #[test]
    fn bytes_are_released_however_the_ticket_ends() {
        let assignment = assignment();
        let (first, _) = Ticket::issue(&assignment, 0, 30);
        let (second, waiting) = Ticket::issue(&assignment, 1, 40);
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
    fn a_late_ticket_moves_no_offset() {
        let assignment = assignment();
        let (ticket, _) = Ticket::issue(&assignment, 7, 1);
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
            .map(|offset| Ticket::issue(&assignment, offset, 1).0)
            .collect();
        std::thread::scope(|scope| {
            for ticket in tickets {
                scope.spawn(move || ticket.done());
            }
        });
        assert_eq!(assignment.ledger().committable(), Some(100));
    }
}
