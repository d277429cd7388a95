//! Which records of one partition are finished, and with that the offset that
//! may be committed: the end of the contiguous finished prefix.

use std::collections::VecDeque;
use std::ops::Range;

/// The offset of a record, and its timestamp if it has one.
pub(crate) type Place = (i64, Option<i64>);

/// Finished and unfinished records of one partition assignment, in the order
/// they were read. Sequence numbers are dense; offsets may have gaps, which
/// compaction and transaction markers leave as a matter of course.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Records from the first unfinished one on.
    entries: VecDeque<Entry>,
    /// Sequence number of `entries[0]`.
    head: u64,
    /// Entries that have not ended.
    open: usize,
    /// Offset after the last record of the finished prefix.
    committable: Option<i64>,
}

#[derive(Debug)]
struct Entry {
    offset: i64,
    timestamp_unix_ms: Option<i64>,
    end: End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Open,
    Done,
    Abandoned,
}

impl Ledger {
    /// The sequence number of the next record.
    pub(crate) fn next(&self) -> u64 {
        self.head + self.entries.len() as u64
    }

    #[cfg(test)]
    fn enter(&mut self, offset: i64) -> u64 {
        self.enter_of((offset, None))
    }

    /// Enters the next record and returns its sequence number.
    pub(crate) fn enter_of(&mut self, (offset, timestamp_unix_ms): Place) -> u64 {
        let sequence = self.next();
        self.entries.push_back(Entry {
            offset,
            timestamp_unix_ms,
            end: End::Open,
        });
        self.open += 1;
        sequence
    }

    /// The outcome of these records is durable.
    pub(crate) fn finish(&mut self, sequences: Range<u64>) {
        for sequence in sequences {
            self.end(sequence, End::Done);
        }
        while let Some(entry) = self.entries.front() {
            if entry.end != End::Done {
                break;
            }
            self.committable = Some(entry.offset + 1);
            self.head += 1;
            self.entries.pop_front();
        }
    }

    /// Nobody will ever finish these records: the prefix ends before them.
    pub(crate) fn abandon(&mut self, sequences: Range<u64>) {
        for sequence in sequences {
            self.end(sequence, End::Abandoned);
        }
    }

    fn end(&mut self, sequence: u64, end: End) {
        let index = sequence
            .checked_sub(self.head)
            .and_then(|index| usize::try_from(index).ok());
        let Some(entry) = index.and_then(|index| self.entries.get_mut(index)) else {
            return;
        };
        if entry.end == End::Open {
            entry.end = end;
            self.open -= 1;
        }
    }

    /// The offset to commit, `None` as long as no prefix is finished.
    pub(crate) fn committable(&self) -> Option<i64> {
        self.committable
    }

    /// Records handed out and not ended.
    pub(crate) fn open(&self) -> usize {
        self.open
    }

    /// Records entered and not covered by the finished prefix.
    pub(crate) fn waiting(&self) -> usize {
        self.entries.len()
    }

    /// Sequence number of the first record that is not finished.
    pub(crate) fn head(&self) -> u64 {
        self.head
    }

    /// Timestamp of the first record that is not finished, if it has one.
    pub(crate) fn oldest_unix_ms(&self) -> Option<i64> {
        self.entries.front()?.timestamp_unix_ms
    }

    /// Offset of the abandoned record that holds the prefix back, if one does.
    pub(crate) fn stuck_at(&self) -> Option<i64> {
        self.entries
            .front()
            .filter(|entry| entry.end == End::Abandoned)
            .map(|entry| entry.offset)
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::seq::SliceRandom;
    use rand::{RngExt, SeedableRng};

    use super::*;

    /// What the ledger should say, by looking at every record each time.
    fn model(offsets: &[i64], done: &[bool]) -> Option<i64> {
        let finished = done.iter().take_while(|done| **done).count();
        finished.checked_sub(1).map(|last| offsets[last] + 1)
    }

    #[test]
    fn any_order_of_finishing_commits_exactly_the_finished_prefix() {
        for seed in 0..200 {
            let mut random = StdRng::seed_from_u64(seed);
            let mut ledger = Ledger::default();
            let mut offsets = Vec::new();
            let mut offset = random.random_range(0..1000);
            for _ in 0..random.random_range(1..300) {
                assert_eq!(ledger.enter(offset), offsets.len() as u64);
                offsets.push(offset);
                offset += random.random_range(1..4); // gaps are normal
            }
            let mut order: Vec<usize> = (0..offsets.len()).collect();
            order.shuffle(&mut random);
            let mut done = vec![false; offsets.len()];
            for (finished, index) in order.into_iter().enumerate() {
                ledger.finish(index as u64..index as u64 + 1);
                done[index] = true;
                assert_eq!(ledger.committable(), model(&offsets, &done), "seed {seed}");
                assert_eq!(ledger.open(), offsets.len() - finished - 1, "seed {seed}");
            }
            assert_eq!(ledger.waiting(), 0);
        }
    }

    #[test]
    fn entering_and_finishing_may_alternate() {
        for seed in 0..200 {
            let mut random = StdRng::seed_from_u64(seed);
            let mut ledger = Ledger::default();
            let (mut offsets, mut done, mut open) = (Vec::new(), Vec::new(), Vec::new());
            for offset in 0..500 {
                open.push(ledger.enter(offset * 2));
                offsets.push(offset * 2);
                done.push(false);
                while !open.is_empty() && random.random_bool(0.5) {
                    let sequence = open.swap_remove(random.random_range(0..open.len()));
                    ledger.finish(sequence..sequence + 1);
                    done[usize::try_from(sequence).unwrap()] = true;
                }
                assert_eq!(ledger.committable(), model(&offsets, &done), "seed {seed}");
            }
        }
    }

    #[test]
    fn an_abandoned_record_holds_the_prefix_back_for_ever() {
        let mut ledger = Ledger::default();
        for offset in 10..14 {
            ledger.enter(offset);
        }
        ledger.finish(0..1);
        ledger.abandon(1..2);
        ledger.finish(2..4);
        assert_eq!(ledger.committable(), Some(11));
        assert_eq!(ledger.stuck_at(), Some(11));
        assert_eq!(ledger.open(), 0, "nothing more to wait for");
        assert_eq!(ledger.waiting(), 3);
        ledger.finish(1..2);
        assert_eq!(ledger.committable(), Some(11), "an end is final");
    }

    #[test]
    fn the_oldest_is_the_first_that_is_not_finished() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.oldest_unix_ms(), None);
        for (offset, timestamp) in [(5, Some(100)), (6, Some(200)), (8, None)] {
            ledger.enter_of((offset, timestamp));
        }
        ledger.finish(1..2);
        assert_eq!(ledger.oldest_unix_ms(), Some(100));
        ledger.finish(0..1);
        assert_eq!(ledger.oldest_unix_ms(), None, "it has no timestamp");
        ledger.finish(2..3);
        assert_eq!(ledger.oldest_unix_ms(), None);
    }

    #[test]
    fn a_sequence_that_was_never_given_out_is_ignored() {
        let mut ledger = Ledger::default();
        ledger.enter(5);
        ledger.finish(7..8);
        ledger.finish(u64::MAX - 1..u64::MAX);
        assert_eq!(ledger.committable(), None);
        assert_eq!(ledger.open(), 1);
    }
}
