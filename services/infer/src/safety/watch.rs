//! How long runs and loads take. A native thread that hangs cannot be ended, so the process is: its journal then says
//! what it hung on.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tracing::error;

use crate::fatal::Fatal;

/// One thread that runs batches, or one load.
#[derive(Debug)]
pub(crate) struct Slot {
    name: String,
    limit: Duration,
    epoch: Instant,
    /// Milliseconds after `epoch`, and one; 0 while nothing runs.
    began: AtomicU64,
    overdue: AtomicBool,
}

impl Slot {
    pub(super) fn new(name: String, limit: Duration) -> Self {
        Self {
            name,
            limit,
            epoch: Instant::now(),
            began: AtomicU64::new(0),
            overdue: AtomicBool::new(false),
        }
    }

    pub(super) fn begin(&self) {
        self.began.store(self.now(), Ordering::Relaxed);
    }

    pub(super) fn end(&self) {
        self.began.store(0, Ordering::Relaxed);
    }

    /// Whether it was given up.
    pub(super) fn is_overdue(&self) -> bool {
        self.overdue.load(Ordering::Relaxed)
    }

    /// True once, when what runs has taken too long.
    fn is_newly_overdue(&self) -> bool {
        let began = self.began.load(Ordering::Relaxed);
        let limit = u64::try_from(self.limit.as_millis()).unwrap_or(u64::MAX);
        began != 0
            && self.now().saturating_sub(began) > limit
            && !self.overdue.swap(true, Ordering::Relaxed)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX) + 1
    }
}

/// All slots of the process.
#[derive(Debug, Clone, Default)]
pub(super) struct Slots {
    slots: Arc<Mutex<Vec<Weak<Slot>>>>,
}

impl Slots {
    pub(super) fn add(&self, slot: &Arc<Slot>) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|slot| slot.strong_count() > 0);
        slots.push(Arc::downgrade(slot));
    }

    fn all(&self) -> Vec<Arc<Slot>> {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.iter().filter_map(Weak::upgrade).collect()
    }

    /// Whether anything was given up.
    pub(super) fn any_overdue(&self) -> bool {
        self.all().iter().any(|slot| slot.is_overdue())
    }

    /// What has newly taken too long.
    fn overdue(&self) -> Option<Arc<Slot>> {
        self.all().into_iter().find(|slot| slot.is_newly_overdue())
    }
}

/// Looks at the slots from a thread of its own, as long as there are any. What takes too long is a fatal error; if the
/// process has not ended `patience` later, it is aborted.
pub(super) fn start(
    slots: &Slots,
    interval: Duration,
    patience: Duration,
    fatal: Fatal,
) -> anyhow::Result<()> {
    let slots_alive = Arc::downgrade(&slots.slots);
    let look = move || {
        while let Some(slots) = slots_alive.upgrade() {
            if let Some(slot) = (Slots { slots }).overdue() {
                let limit_s = slot.limit.as_secs_f64();
                fatal.report(anyhow::anyhow!(
                    "{} has taken longer than {limit_s} s and cannot be ended; the process ends, and what ran is \
                     remembered",
                    slot.name
                ));
                thread::sleep(patience);
                error!("the process does not end; aborting it");
                std::process::abort();
            }
            thread::sleep(interval);
        }
    };
    thread::Builder::new()
        .name("run times".to_owned())
        .spawn(look)
        .context("cannot start the thread that watches run times")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait_until(what: &str, is_so: impl Fn() -> bool) {
        let until = Instant::now() + Duration::from_secs(30);
        while !is_so() {
            assert!(Instant::now() < until, "waited 30 s for {what}");
            thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn a_run_that_takes_too_long_is_told_once() {
        let slots = Slots::default();
        let slot = Arc::new(Slot::new("it".to_owned(), Duration::from_millis(5)));
        slots.add(&slot);
        assert!(slots.overdue().is_none(), "nothing runs");
        slot.begin();
        wait_until("the run to be overdue", || slots.overdue().is_some());
        assert!(slot.is_overdue());
        assert!(slots.overdue().is_none(), "once is enough");
    }

    #[test]
    fn a_run_that_ends_in_time_is_not_overdue() {
        let slots = Slots::default();
        let slot = Arc::new(Slot::new("it".to_owned(), Duration::from_secs(600)));
        slots.add(&slot);
        slot.begin();
        assert!(slots.overdue().is_none());
        slot.end();
        assert!(slots.overdue().is_none());
    }

    #[test]
    fn slots_that_are_gone_are_forgotten() {
        let slots = Slots::default();
        let slot = Arc::new(Slot::new("it".to_owned(), Duration::ZERO));
        slots.add(&slot);
        drop(slot);
        assert!(slots.all().is_empty());
    }
}
