//! No more requests per second than somebody allows.

use std::time::{Duration, Instant};

/// What was not sent is not made up for by more than this much at once.
const BURST: Duration = Duration::from_millis(100);

/// Says how many may be sent now.
pub(super) struct Pace {
    /// Requests per second; `None` is any number.
    rate: Option<f64>,
    /// When the next one is due.
    due: Instant,
}

impl Pace {
    pub(super) fn new(rate: Option<f64>) -> Self {
        Self {
            rate,
            due: Instant::now(),
        }
    }

    /// How many may be sent at this time.
    pub(super) fn allowed(&mut self, now: Instant) -> usize {
        let Some(rate) = self.rate else {
            return usize::MAX;
        };
        if let Some(least) = now.checked_sub(BURST) {
            self.due = self.due.max(least);
        }
        if self.due > now {
            return 0;
        }
        let late = now.duration_since(self.due).as_secs_f64();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "both are not negative, and the cast saturates"
        )]
        let more = (late * rate) as usize;
        more.saturating_add(1)
    }

    /// So many were sent.
    pub(super) fn spend(&mut self, count: usize) {
        if let Some(rate) = self.rate {
            let count = u32::try_from(count).unwrap_or(u32::MAX);
            self.due += Duration::from_secs_f64(1.0 / rate).saturating_mul(count);
        }
    }
}

/// A rate on the command line.
pub(super) fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse::<f64>().ok();
    rate.filter(|rate| (0.001..=1e6).contains(rate))
        .ok_or_else(|| "expected requests per second, from 0.001 to 1000000".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_a_second_are_ten_a_second_and_a_pause_is_not_made_up_for() {
        let mut pace = Pace::new(Some(10.0));
        let mut now = pace.due;
        let mut sent = 0;
        for _ in 0..2_000 {
            let allowed = pace.allowed(now);
            pace.spend(allowed);
            sent += allowed;
            now += Duration::from_millis(1);
        }
        assert!((20..=21).contains(&sent), "{sent} in two seconds");
        now += Duration::from_secs(60);
        assert!(pace.allowed(now) <= 2);
        assert_eq!(Pace::new(None).allowed(now), usize::MAX);
    }

    #[test]
    fn a_rate_is_above_nothing() {
        assert_eq!(rate("2.5"), Ok(2.5));
        for wrong in ["0", "-1", "nan", "inf", "fast"] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
    }
}
