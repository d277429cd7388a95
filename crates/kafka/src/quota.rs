//! The producer's byte budget: try to take, or wait for room.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Instant;

/// Bytes accepted and not acknowledged, at most `limit` of them.
#[derive(Debug)]
pub(crate) struct Quota {
    limit: usize,
    bytes: AtomicUsize,
    records: AtomicUsize,
    waiting: AtomicUsize,
    lock: Mutex<()>,
    room: Condvar,
}

impl Quota {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            bytes: AtomicUsize::new(0),
            records: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            lock: Mutex::new(()),
            room: Condvar::new(),
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Acquire)
    }

    pub(crate) fn records(&self) -> usize {
        self.records.load(Ordering::Acquire)
    }

    /// Takes `bytes` if they fit.
    pub(crate) fn try_take(&self, bytes: usize) -> bool {
        let taken = self
            .bytes
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |used| {
                used.checked_add(bytes).filter(|sum| *sum <= self.limit)
            });
        if taken.is_ok() {
            self.records.fetch_add(1, Ordering::AcqRel);
        }
        taken.is_ok()
    }

    pub(crate) fn give_back(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::AcqRel);
        self.records.fetch_sub(1, Ordering::AcqRel);
        if self.waiting.load(Ordering::SeqCst) > 0 {
            // Under the lock, so that nobody falls asleep between looking and
            // waiting.
            drop(self.lock.lock().unwrap_or_else(PoisonError::into_inner));
            self.room.notify_all();
        }
    }

    /// Waits until `bytes` would fit; `false` at the deadline.
    pub(crate) fn wait_for_room(&self, bytes: usize, until: Instant) -> bool {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let mut guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = loop {
            if self.bytes().saturating_add(bytes) <= self.limit {
                break true;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break false;
            }
            guard = self
                .room
                .wait_timeout(guard, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        };
        drop(guard);
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        fits
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_does_not_fit_is_not_taken() {
        let quota = Quota::new(100);
        assert!(quota.try_take(60));
        assert!(!quota.try_take(41));
        assert!(quota.try_take(40));
        quota.give_back(60);
        assert_eq!((quota.bytes(), quota.records()), (40, 1));
    }

    #[test]
    fn a_waiter_wakes_when_room_is_made() {
        let quota = Quota::new(100);
        assert!(quota.try_take(100));
        std::thread::scope(|scope| {
            let until = Instant::now() + Duration::from_secs(20);
            let quota = &quota;
            let waiter = scope.spawn(move || quota.wait_for_room(10, until));
            quota.give_back(100);
            assert!(waiter.join().unwrap());
        });
    }

    #[test]
    fn a_waiter_gives_up_at_its_deadline() {
        let quota = Quota::new(100);
        assert!(quota.try_take(100));
        let until = Instant::now() + Duration::from_millis(5);
        assert!(!quota.wait_for_room(1, until));
    }
}
