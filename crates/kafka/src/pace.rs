//! How fast records are finished, and with that how long a backlog lasts.

use std::time::{Duration, Instant};

/// Between two looks that count.
const STEP: Duration = Duration::from_secs(1);
/// What was that long ago weighs a third of what is now.
const MEMORY: Duration = Duration::from_secs(30);
/// The longest estimate: without any pace there is none.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Records per second, smoothed.
#[derive(Debug)]
pub(crate) struct Pace {
    at: Instant,
    finished: u64,
    /// `None` before the first step.
    per_second: Option<f64>,
}

impl Pace {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            at: now,
            finished: 0,
            per_second: None,
        }
    }

    /// Takes note of how many records were ever finished.
    pub(crate) fn look(&mut self, finished: u64, now: Instant) {
        let passed = now.saturating_duration_since(self.at);
        if passed < STEP {
            return;
        }
        let records = u32::try_from(finished.saturating_sub(self.finished)).unwrap_or(u32::MAX);
        let latest = f64::from(records) / passed.as_secs_f64();
        let weight = 1.0 - (-passed.as_secs_f64() / MEMORY.as_secs_f64()).exp();
        let known = self.per_second.unwrap_or(latest);
        self.per_second = Some(known + (latest - known) * weight);
        (self.at, self.finished) = (now, finished);
    }

    /// How long it takes to finish so many records; a day at most.
    pub(crate) fn drain_estimate(&self, lag_records: i64) -> Duration {
        if lag_records <= 0 {
            return Duration::ZERO;
        }
        let records = f64::from(u32::try_from(lag_records).unwrap_or(u32::MAX));
        let seconds = records / self.per_second.unwrap_or(0.0);
        Duration::try_from_secs_f64(seconds).map_or(LONGEST, |it| it.min(LONGEST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backlog_lasts_as_long_as_the_pace_says() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        assert_eq!(pace.drain_estimate(0), Duration::ZERO);
        assert_eq!(pace.drain_estimate(1), LONGEST);
        for second in 1..=100 {
            pace.look(second * 50, start + Duration::from_secs(second));
        }
        let estimate = pace.drain_estimate(1000);
        assert!(
            (19.9..20.1).contains(&estimate.as_secs_f64()),
            "{estimate:?}"
        );
        for second in 101..=400 {
            pace.look(5000, start + Duration::from_secs(second));
        }
        assert!(pace.drain_estimate(1000) > Duration::from_secs(3600));
        assert_eq!(pace.drain_estimate(-5), Duration::ZERO);
    }
}
