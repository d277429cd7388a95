//! Bounds on what is in flight: bytes and records.
//!
//! Pausing a partition makes librdkafka throw away what it has prefetched and
//! fetch it again at the resume; measured, a reader that paused whenever its
//! budget was spent read everything ten times over. So a spent budget first
//! only holds back the next poll, for a time that the group does not notice,
//! while librdkafka's own bounded queue fills up. Only a budget that stays
//! spent pauses, and then until half of it is free.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// How long polling is held back before partitions are paused. Rebalances wait
/// meanwhile.
const HOLD: Duration = Duration::from_millis(80);
/// Between two pauses; polling is held back for longer rather than paused more
/// often.
const BETWEEN_PAUSES: Duration = Duration::from_secs(1);

/// What may be in flight and what is. Shared by a member and its tickets.
#[derive(Debug)]
pub(crate) struct Budget {
    max_bytes: usize,
    max_records: usize,
    bytes: AtomicUsize,
    records: AtomicUsize,
    /// The polling thread wants to know when there is room.
    waiting: AtomicBool,
    waiter: OnceLock<Thread>,
}

impl Budget {
    pub(crate) fn new(max_bytes: usize, max_records: usize) -> Self {
        Self {
            max_bytes,
            max_records,
            bytes: AtomicUsize::new(0),
            records: AtomicUsize::new(0),
            waiting: AtomicBool::new(false),
            waiter: OnceLock::new(),
        }
    }

    pub(crate) fn take(&self, bytes: usize, records: usize) {
        self.bytes.fetch_add(bytes, Ordering::SeqCst);
        self.records.fetch_add(records, Ordering::SeqCst);
    }

    pub(crate) fn give_back(&self, bytes: usize, records: usize) {
        self.bytes.fetch_sub(bytes, Ordering::SeqCst);
        self.records.fetch_sub(records, Ordering::SeqCst);
        if self.waiting.load(Ordering::SeqCst)
            && !self.is_spent()
            && let Some(waiter) = self.waiter.get()
        {
            waiter.unpark();
        }
    }

    /// Waits until there is room, at most for `patience`. Only the polling
    /// thread may call this.
    pub(crate) fn wait_for_room(&self, patience: Duration) {
        self.waiter.get_or_init(thread::current);
        let until = Instant::now() + patience;
        self.waiting.store(true, Ordering::SeqCst);
        while self.is_spent() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            thread::park_timeout(left);
        }
        self.waiting.store(false, Ordering::SeqCst);
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::SeqCst)
    }

    pub(crate) fn records(&self) -> usize {
        self.records.load(Ordering::SeqCst)
    }

    /// Whether this much more, which is not taken yet, spends it.
    pub(crate) fn is_spent_with(&self, bytes: usize, records: usize) -> bool {
        self.bytes() + bytes >= self.max_bytes || self.records() + records >= self.max_records
    }

    fn is_spent(&self) -> bool {
        self.is_spent_with(0, 0)
    }

    fn is_half_free(&self) -> bool {
        self.bytes() <= self.max_bytes / 2 && self.records() <= self.max_records / 2
    }
}

/// Whether records are taken, and when they last were not.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Valve {
    position: Position,
    paused_at: Option<Instant>,
}

/// Whether records are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Position {
    /// Yes.
    #[default]
    Open,
    /// Not at the moment: nothing is polled, nothing is lost.
    Held(Instant),
    /// Not for longer: the partitions are paused, and polling goes on.
    Paused,
}

/// What to do with the partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    Pause,
    Resume,
}

impl Valve {
    pub(crate) fn is_open(&self) -> bool {
        self.position == Position::Open
    }

    pub(crate) fn is_held(&self) -> bool {
        matches!(self.position, Position::Held(_))
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.position == Position::Paused
    }

    /// `crowded`: a partition has so many uncommitted records that reading
    /// on would only cost memory.
    pub(crate) fn turn(&mut self, budget: &Budget, crowded: bool, now: Instant) -> Option<Turn> {
        let full = crowded || budget.is_spent();
        let ago = |then: Instant| now.saturating_duration_since(then);
        let may_pause = self.paused_at.is_none_or(|at| ago(at) >= BETWEEN_PAUSES);
        match self.position {
            Position::Open if full => self.position = Position::Held(now),
            Position::Held(_) if !full => self.position = Position::Open,
            Position::Held(since) if may_pause && ago(since) >= HOLD => {
                self.position = Position::Paused;
                self.paused_at = Some(now);
                return Some(Turn::Pause);
            }
            Position::Paused if !crowded && budget.is_half_free() => {
                self.position = Position::Open;
                return Some(Turn::Resume);
            }
            Position::Open | Position::Held(_) | Position::Paused => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after_holding(start: Instant) -> Instant {
        start + HOLD
    }

    #[test]
    fn a_budget_that_frees_up_at_once_pauses_nothing() {
        let budget = Budget::new(100, 1000);
        let mut valve = Valve::default();
        let now = Instant::now();
        budget.take(100, 1);
        assert_eq!(valve.turn(&budget, false, now), None);
        assert!(valve.is_held());
        budget.give_back(10, 1);
        assert_eq!(valve.turn(&budget, false, now), None);
        assert!(valve.is_open());
    }

    #[test]
    fn a_budget_that_stays_spent_pauses_until_half_of_it_is_free() {
        let budget = Budget::new(100, 1000);
        let mut valve = Valve::default();
        let now = Instant::now();
        budget.take(60, 1);
        budget.take(40, 1);
        assert_eq!(valve.turn(&budget, false, now), None);
        let later = after_holding(now);
        assert_eq!(valve.turn(&budget, false, later), Some(Turn::Pause));
        assert_eq!(valve.turn(&budget, false, later), None);
        budget.give_back(40, 1);
        assert_eq!(valve.turn(&budget, false, later), None, "60 is not half");
        budget.give_back(60, 1);
        assert_eq!(valve.turn(&budget, false, later), Some(Turn::Resume));
        assert_eq!(valve.turn(&budget, false, later), None);
    }

    #[test]
    fn partitions_are_paused_once_a_second_at_most() {
        let budget = Budget::new(100, 1000);
        let mut valve = Valve::default();
        let start = Instant::now();
        let mut pauses = 0;
        for step in 0..1_000 {
            // Full and empty again every 100 ms, for ten seconds.
            let now = start + Duration::from_millis(10) * step;
            match step % 10 {
                0 => budget.take(100, 1),
                9 => budget.give_back(100, 1),
                _ => {}
            }
            pauses += usize::from(valve.turn(&budget, false, now) == Some(Turn::Pause));
        }
        assert!((8..=10).contains(&pauses), "{pauses} in ten seconds");
    }

    #[test]
    fn many_empty_records_spend_the_budget_of_records() {
        let budget = Budget::new(usize::MAX, 4);
        let mut valve = Valve::default();
        for _ in 0..4 {
            budget.take(0, 1);
        }
        valve.turn(&budget, false, Instant::now());
        assert!(!valve.is_open());
    }

    #[test]
    fn a_crowded_partition_pauses_whatever_the_budget() {
        let budget = Budget::new(100, 100);
        let mut valve = Valve::default();
        let now = Instant::now();
        assert_eq!(valve.turn(&budget, true, now), None);
        let later = after_holding(now);
        assert_eq!(valve.turn(&budget, true, later), Some(Turn::Pause));
        assert_eq!(valve.turn(&budget, false, later), Some(Turn::Resume));
    }

    #[test]
    fn one_record_above_the_whole_budget_still_flows() {
        let budget = Budget::new(10, 10);
        let mut valve = Valve::default();
        let now = Instant::now();
        assert_eq!(valve.turn(&budget, false, now), None);
        assert!(valve.is_open(), "an empty budget takes any record");
        budget.take(1000, 1);
        valve.turn(&budget, false, now);
        budget.give_back(1000, 1);
        valve.turn(&budget, false, now);
        assert!(valve.is_open());
    }

    #[test]
    fn waiting_ends_when_there_is_room() {
        let budget = Budget::new(10, 10);
        budget.take(10, 1);
        thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                let begin = Instant::now();
                budget.wait_for_room(Duration::from_secs(30));
                begin.elapsed()
            });
            budget.give_back(10, 1);
            let waited = waiter.join().unwrap();
            assert!(waited < Duration::from_secs(10), "{waited:?}");
        });
    }
}
