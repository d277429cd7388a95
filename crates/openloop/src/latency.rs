//! Latencies without loss: an HdrHistogram in microseconds that grows as needed, so that nothing is cut off at its ends.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// Three digits: at 10 ms a step is 10 µs.
const SIGNIFICANT_DIGITS: u8 = 3;

/// Recorded latencies.
#[derive(Debug, Clone)]
pub struct Latencies {
    histogram: Histogram<u64>,
}

/// What a report says of latencies, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Summary {
    /// How many were recorded.
    pub count: u64,
    /// Median.
    pub p50_ms: f64,
    /// 90th percentile.
    pub p90_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
    /// 99.9th percentile.
    pub p999_ms: f64,
    /// The slowest.
    pub max_ms: f64,
}

impl Default for Latencies {
    fn default() -> Self {
        let histogram = Histogram::new(SIGNIFICANT_DIGITS)
            .expect("three digits are within the histogram's limits");
        Self { histogram }
    }
}

impl Latencies {
    /// Records one latency, rounded up to whole microseconds.
    pub fn record(&mut self, latency: Duration) {
        let microseconds = u64::try_from(latency.as_nanos().div_ceil(1000)).unwrap_or(u64::MAX);
        self.histogram
            .record(microseconds)
            .expect("the histogram grows by itself");
    }

    /// Adds everything that another one recorded.
    pub fn add(&mut self, other: &Self) {
        self.histogram
            .add(&other.histogram)
            .expect("histograms grow by themselves");
    }

    /// The percentiles.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let quantile = |q: f64| milliseconds(self.histogram.value_at_quantile(q));
        Summary {
            count: self.histogram.len(),
            p50_ms: quantile(0.5),
            p90_ms: quantile(0.9),
            p99_ms: quantile(0.99),
            p999_ms: quantile(0.999),
            max_ms: milliseconds(self.histogram.max()),
        }
    }
}

fn milliseconds(microseconds: u64) -> f64 {
    Duration::from_micros(microseconds).as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_recorded_latencies() {
        let mut latencies = Latencies::default();
        for millisecond in 1..=1000 {
            latencies.record(Duration::from_millis(millisecond));
        }
        let summary = latencies.summary();
        assert_eq!(summary.count, 1000);
        for (found, expected) in [
            (summary.p50_ms, 500.0),
            (summary.p99_ms, 990.0),
            (summary.max_ms, 1000.0),
        ] {
            assert!(
                (found - expected).abs() / expected < 2e-3,
                "{found} is not {expected}"
            );
        }
    }

    #[test]
    fn an_hour_is_not_cut_off() {
        let mut latencies = Latencies::default();
        latencies.record(Duration::from_millis(1));
        latencies.record(Duration::from_secs(3600));
        assert!(latencies.summary().max_ms > 3.59e6);
    }

    #[test]
    fn latencies_of_several_callers_add_up() {
        let (mut one, mut other) = (Latencies::default(), Latencies::default());
        one.record(Duration::from_millis(1));
        other.record(Duration::from_secs(100));
        one.add(&other);
        assert_eq!(one.summary().count, 2);
        assert!(one.summary().max_ms > 99_000.0);
    }
}
