//! For how long no result came.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How finely it is looked.
const GRAIN: Duration = Duration::from_millis(10);

/// The longest time between two results while something was wrong.
#[derive(Default)]
pub(crate) struct Silence {
    begun: AtomicBool,
    longest_ms: AtomicU64,
}

impl Silence {
    /// From now on silence counts.
    pub(crate) fn begin(&self) {
        self.begun.store(true, Ordering::Relaxed);
    }

    pub(crate) fn longest(&self) -> Duration {
        Duration::from_millis(self.longest_ms.load(Ordering::Relaxed))
    }

    /// Looks until it is over, and then until the next result comes.
    pub(crate) fn watch(&self, over: &AtomicBool, count: impl Fn() -> usize) {
        let (mut known, mut since) = (count(), Instant::now());
        loop {
            let now = count();
            if now != known || !self.begun.load(Ordering::Relaxed) {
                (known, since) = (now, Instant::now());
            }
            let silence = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.longest_ms.fetch_max(silence, Ordering::Relaxed);
            if over.load(Ordering::Relaxed) {
                return;
            }
            thread::sleep(GRAIN);
        }
    }
}
