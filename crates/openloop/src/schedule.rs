//! When requests should be sent: evenly spaced, whatever the server does. Latency counts from these times, so a server
//! that stalls pays for every request that should have been sent meanwhile.

use std::time::Duration;

/// Evenly spaced send times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    rate_per_s: u32,
    count: u64,
}

impl Schedule {
    /// As many requests as fit into `duration` at this rate; the first is due at once.
    #[must_use]
    pub fn new(rate_per_s: u32, duration: Duration) -> Self {
        let nanoseconds = u128::from(rate_per_s) * duration.as_nanos();
        let count = u64::try_from(nanoseconds / 1_000_000_000).unwrap_or(u64::MAX);
        Self { rate_per_s, count }
    }

    /// How many requests it holds.
    #[must_use]
    pub fn count(self) -> u64 {
        self.count
    }

    /// When a request is due, counted from the start. Computed from its number, so that nothing adds up to a drift.
    #[must_use]
    pub fn due(self, number: u64) -> Duration {
        let rate = u64::from(self.rate_per_s.max(1));
        let rest = (number % rate) * 1_000_000_000 / rate;
        Duration::from_secs(number / rate) + Duration::from_nanos(rest)
    }

    /// The requests that one of `callers` connections sends: every so many-th, so that all together keep the rate.
    pub fn of_caller(self, caller: usize, callers: usize) -> impl Iterator<Item = u64> {
        let first = u64::try_from(caller).unwrap_or(u64::MAX);
        (first..self.count).step_by(callers.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_evenly_spaced_and_do_not_drift() {
        let schedule = Schedule::new(3, Duration::from_secs(1000));
        assert_eq!(schedule.count(), 3000);
        assert_eq!(schedule.due(0), Duration::ZERO);
        assert_eq!(schedule.due(1), Duration::from_nanos(333_333_333));
        assert_eq!(
            schedule.due(2999),
            Duration::from_secs(999) + Duration::from_nanos(666_666_666)
        );
        assert_eq!(schedule.due(3000), Duration::from_secs(1000));
    }

    #[test]
    fn callers_share_all_requests_without_overlap() {
        let schedule = Schedule::new(100, Duration::from_secs(1));
        let mut all: Vec<u64> = (0..7)
            .flat_map(|caller| schedule.of_caller(caller, 7))
            .collect();
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn neighbouring_requests_go_to_different_callers() {
        let schedule = Schedule::new(100, Duration::from_secs(1));
        assert_eq!(
            schedule.of_caller(1, 16).take(3).collect::<Vec<_>>(),
            [1, 17, 33]
        );
    }
}
