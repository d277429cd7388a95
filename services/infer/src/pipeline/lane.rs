//! Results of one partition leave in the order of its records, whichever engine thread finishes first.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// One assigned partition. A partition that is revoked and assigned again gets a new lane.
#[derive(Debug)]
pub(crate) struct Lane<T> {
    state: Mutex<State<T>>,
    /// Beside the lock, which may be held for as long as the producer has no room.
    closed: AtomicBool,
}

#[derive(Debug)]
struct State<T> {
    /// The sequence number that leaves next; `waiting[0]` belongs to it.
    next: u64,
    waiting: VecDeque<Option<T>>,
}

impl<T> Lane<T> {
    /// A lane whose first record has sequence number 0.
    pub(crate) fn new() -> Self {
        let state = State {
            next: 0,
            waiting: VecDeque::new(),
        };
        Self {
            state: Mutex::new(state),
            closed: AtomicBool::new(false),
        }
    }

    /// Hands in the outcome of one record, then lets every outcome leave whose turn has come. `leave` runs under the
    /// lane's lock, which is what keeps two engine threads from overtaking each other.
    pub(crate) fn offer(&self, sequence: u64, outcome: T, leave: impl FnMut(T)) {
        if !self.is_closed() {
            self.pass(self.lock(), (sequence, outcome), leave);
        }
        if self.is_closed() {
            self.lock().waiting.clear();
        }
    }

    fn pass(
        &self,
        mut state: MutexGuard<'_, State<T>>,
        (sequence, outcome): (u64, T),
        mut leave: impl FnMut(T),
    ) {
        let ahead = sequence.checked_sub(state.next);
        let Some(position) = ahead.and_then(|ahead| usize::try_from(ahead).ok()) else {
            return;
        };
        if state.waiting.len() <= position {
            state.waiting.resize_with(position + 1, || None);
        }
        state.waiting[position] = Some(outcome);
        while let Some(Some(_)) = state.waiting.front() {
            state.next += 1;
            if let Some(Some(outcome)) = state.waiting.pop_front()
                && !self.is_closed()
            {
                leave(outcome);
            }
        }
    }

    /// The partition is no longer ours: what waits is dropped, and nothing leaves any more. Never waits: whoever holds
    /// the lock drops what is there when it is done.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        if let Ok(mut state) = self.state.try_lock() {
            state.waiting.clear();
        }
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // A panic in `leave` loses that one outcome, never the order of the others.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::thread;

    use super::Lane;

    fn offered(order: &[u64]) -> Vec<u64> {
        let lane = Lane::new();
        let mut left = Vec::new();
        for sequence in order {
            lane.offer(*sequence, *sequence, |outcome| left.push(outcome));
        }
        left
    }

    #[test]
    fn outcomes_leave_in_input_order() {
        assert_eq!(offered(&[0, 1, 2]), [0, 1, 2]);
        assert_eq!(offered(&[2, 1, 0]), [0, 1, 2]);
        assert_eq!(offered(&[1, 0, 3, 4, 2]), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn an_outcome_waits_for_all_before_it() {
        assert!(offered(&[1, 2, 3]).is_empty());
        assert_eq!(offered(&[0, 2, 3]), [0]);
    }

    #[test]
    fn an_outcome_that_comes_twice_leaves_once() {
        assert_eq!(offered(&[0, 0, 1]), [0, 1]);
    }

    #[test]
    fn a_closed_lane_lets_nothing_out() {
        let lane = Lane::new();
        let mut left = Vec::new();
        lane.offer(1, "one", |outcome| left.push(outcome));
        lane.close();
        lane.offer(0, "zero", |outcome| left.push(outcome));
        assert!(left.is_empty());
    }

    #[test]
    fn closing_does_not_wait_for_an_outcome_that_is_leaving() {
        let lane = Lane::new();
        let mut left = Vec::new();
        lane.offer(1, "one", |outcome| left.push(outcome));
        // The lane's lock is held in here, as it is while the producer has no room.
        lane.offer(0, "zero", |outcome| {
            lane.close();
            left.push(outcome);
        });
        assert_eq!(left, ["zero"]);
    }

    #[test]
    fn threads_that_finish_out_of_order_do_not_overtake_each_other() {
        let lane = Lane::new();
        let left = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for thread in 0..4 {
                let (lane, left) = (&lane, &left);
                scope.spawn(move || {
                    for sequence in (thread..4_000).step_by(4) {
                        lane.offer(sequence, sequence, |outcome| {
                            left.lock().unwrap().push(outcome)
                        });
                    }
                });
            }
        });
        assert_eq!(left.into_inner().unwrap(), (0..4_000).collect::<Vec<u64>>());
    }
}
