//! Bounds on what is in flight: bytes and records, with hysteresis.
//!
//! Pausing a partition throws away what librdkafka has prefetched, so reading
//! pauses at the full budget and resumes at half of it, not at every record.

use std::sync::atomic::{AtomicUsize, Ordering};

/// What may be in flight and what is. Shared by a member and its tickets.
#[derive(Debug)]
pub(crate) struct Budget {
    max_bytes: usize,
    max_records: usize,
    bytes: AtomicUsize,
    records: AtomicUsize,
}

impl Budget {
    pub(crate) fn new(max_bytes: usize, max_records: usize) -> Self {
        Self {
            max_bytes,
            max_records,
            bytes: AtomicUsize::new(0),
            records: AtomicUsize::new(0),
        }
    }

    pub(crate) fn take(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.records.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn give_back(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.records.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn records(&self) -> usize {
        self.records.load(Ordering::Relaxed)
    }

    fn is_spent(&self) -> bool {
        self.bytes() >= self.max_bytes || self.records() >= self.max_records
    }

    fn is_half_free(&self) -> bool {
        self.bytes() <= self.max_bytes / 2 && self.records() <= self.max_records / 2
    }
}

/// Whether reading is paused; changes only at the two marks.
#[derive(Debug, Default)]
pub(crate) struct Valve {
    closed: bool,
}

/// What to do with the partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    Pause,
    Resume,
}

impl Valve {
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// `crowded`: a partition has so many uncommitted records that reading
    /// on would only cost memory.
    pub(crate) fn turn(&mut self, budget: &Budget, crowded: bool) -> Option<Turn> {
        if !self.closed && (crowded || budget.is_spent()) {
            self.closed = true;
            return Some(Turn::Pause);
        }
        if self.closed && !crowded && budget.is_half_free() {
            self.closed = false;
            return Some(Turn::Resume);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_pauses_at_the_mark_and_resumes_only_at_half_of_it() {
        let budget = Budget::new(100, 1000);
        let mut valve = Valve::default();
        budget.take(60);
        assert_eq!(valve.turn(&budget, false), None);
        budget.take(40);
        assert_eq!(valve.turn(&budget, false), Some(Turn::Pause));
        assert_eq!(valve.turn(&budget, false), None);
        budget.give_back(40);
        assert_eq!(valve.turn(&budget, false), None, "60 of 100 is not half");
        budget.give_back(60);
        assert_eq!(valve.turn(&budget, false), Some(Turn::Resume));
        assert_eq!(valve.turn(&budget, false), None);
    }

    #[test]
    fn many_empty_records_spend_the_budget_of_records() {
        let budget = Budget::new(usize::MAX, 4);
        let mut valve = Valve::default();
        for _ in 0..4 {
            budget.take(0);
        }
        assert_eq!(valve.turn(&budget, false), Some(Turn::Pause));
        budget.give_back(0);
        assert_eq!(valve.turn(&budget, false), None);
        budget.give_back(0);
        assert_eq!(valve.turn(&budget, false), Some(Turn::Resume));
    }

    #[test]
    fn a_crowded_partition_pauses_whatever_the_budget() {
        let budget = Budget::new(100, 100);
        let mut valve = Valve::default();
        assert_eq!(valve.turn(&budget, true), Some(Turn::Pause));
        assert_eq!(valve.turn(&budget, true), None);
        assert_eq!(valve.turn(&budget, false), Some(Turn::Resume));
    }

    #[test]
    fn one_record_above_the_whole_budget_still_flows() {
        let budget = Budget::new(10, 10);
        let mut valve = Valve::default();
        assert_eq!(valve.turn(&budget, false), None);
        budget.take(1000);
        assert_eq!(valve.turn(&budget, false), Some(Turn::Pause));
        budget.give_back(1000);
        assert_eq!(valve.turn(&budget, false), Some(Turn::Resume));
    }
}
