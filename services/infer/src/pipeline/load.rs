//! How much of their time the engines of a version spend in runs.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Between two looks that count.
const STEP: Duration = Duration::from_secs(1);
/// What was that long ago weighs a third of what is now.
const MEMORY: Duration = Duration::from_secs(10);

/// Counted by the engine threads, twice per run, and read by the poll thread.
#[derive(Debug)]
pub(crate) struct EngineLoad(Mutex<State>);

#[derive(Debug)]
struct State {
    /// Runs that are under way, and since when there are so many.
    running: u32,
    since: Instant,
    /// Time in runs of all engines, up to `since`.
    busy: Duration,
    /// As of the last look.
    looked_at: Instant,
    busy_then: Duration,
    ratio: f64,
}

impl EngineLoad {
    pub(crate) fn new(now: Instant) -> Self {
        Self(Mutex::new(State {
            running: 0,
            since: now,
            busy: Duration::ZERO,
            looked_at: now,
            busy_then: Duration::ZERO,
            ratio: 0.0,
        }))
    }

    /// An engine begins a run.
    pub(crate) fn begin(&self, now: Instant) {
        let mut state = self.state();
        state.go_on(now);
        state.running += 1;
    }

    /// An engine has ended a run.
    pub(crate) fn end(&self, now: Instant) {
        let mut state = self.state();
        state.go_on(now);
        state.running = state.running.saturating_sub(1);
    }

    /// The share of the time of so many engines, 0 to 1, smoothed; `None` between two steps.
    pub(crate) fn ratio(&self, engines: usize, now: Instant) -> Option<f64> {
        let mut state = self.state();
        let passed = now.saturating_duration_since(state.looked_at);
        if passed < STEP {
            return None;
        }
        state.go_on(now);
        let busy = state.busy - state.busy_then;
        let engines = f64::from(u32::try_from(engines.max(1)).unwrap_or(u32::MAX));
        let latest = busy.as_secs_f64() / passed.as_secs_f64() / engines;
        let weight = 1.0 - (-passed.as_secs_f64() / MEMORY.as_secs_f64()).exp();
        state.ratio += (latest.min(1.0) - state.ratio) * weight;
        (state.looked_at, state.busy_then) = (now, state.busy);
        Some(state.ratio)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn go_on(&mut self, now: Instant) {
        self.busy += now.saturating_duration_since(self.since) * self.running;
        self.since = self.since.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_counts_while_it_is_under_way() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let load = EngineLoad::new(start);
        assert_eq!(load.ratio(1, start), None);
        load.begin(start);
        let mut ratio = 0.0;
        for second in 1..=60 {
            ratio = load.ratio(1, at(second)).unwrap();
        }
        assert!(ratio > 0.99 && ratio <= 1.0, "{ratio}");
        load.end(at(60));
        for second in 61..=120 {
            ratio = load.ratio(1, at(second)).unwrap();
        }
        assert!(ratio < 0.01, "{ratio}");
    }

    #[test]
    fn one_of_two_engines_is_half_of_their_time() {
        let start = Instant::now();
        let load = EngineLoad::new(start);
        load.begin(start);
        let mut ratio = 0.0;
        for second in 1..=60 {
            let now = start + Duration::from_secs(second);
            ratio = load.ratio(2, now).unwrap();
        }
        assert!((0.49..0.51).contains(&ratio), "{ratio}");
    }
}
