//! A histogram of durations for hot paths: two additions without a lock, where the library's own takes one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::{MetricType, TypedMetric};

/// Upper bounds of the buckets in nanoseconds: 10 µs to 50 s in steps of 1, 2, 5. Above them is one more.
const BOUNDS_NS: [u64; 21] = [
    10_000,
    20_000,
    50_000,
    100_000,
    200_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    20_000_000,
    50_000_000,
    100_000_000,
    200_000_000,
    500_000_000,
    1_000_000_000,
    2_000_000_000,
    5_000_000_000,
    10_000_000_000,
    20_000_000_000,
    50_000_000_000,
];

/// Durations in seconds; clones count into the same place.
#[derive(Debug, Clone, Default)]
pub struct Latency(Arc<Buckets>);

#[derive(Debug, Default)]
struct Buckets {
    counts: [AtomicU64; BOUNDS_NS.len() + 1],
    sum_ns: AtomicU64,
}

impl Latency {
    /// Counts one duration.
    pub fn observe(&self, taken: Duration) {
        let ns = u64::try_from(taken.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_NS.partition_point(|bound| *bound < ns);
        if let Some(count) = self.0.counts.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.0.sum_ns.fetch_add(ns, Ordering::Relaxed);
    }

    /// All durations together.
    #[must_use]
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.0.sum_ns.load(Ordering::Relaxed))
    }
}

impl TypedMetric for Latency {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Latency {
    fn encode(&self, mut encoder: MetricEncoder) -> Result<(), std::fmt::Error> {
        let bounds = BOUNDS_NS.iter().map(|ns| Duration::from_nanos(*ns));
        let bounds = bounds.map(|bound| bound.as_secs_f64());
        let counts = self.0.counts.iter();
        let buckets: Vec<(f64, u64)> = bounds
            .chain([f64::INFINITY])
            .zip(counts.map(|count| count.load(Ordering::Relaxed)))
            .collect();
        // Of the buckets as they were read, so that the total is the last bucket's.
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = self.sum().as_secs_f64();
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

/// The label of an exemplar: `trace_id`.
pub type TraceLabel = [(&'static str, String); 1];

/// A histogram whose buckets name a trace each, of those that were recorded. For what happens once per request or
/// batch, not once per record.
pub type TracedLatency = HistogramWithExemplars<TraceLabel>;

/// A [`TracedLatency`] without values, with the buckets of [`Latency`].
#[must_use]
pub fn traced_latency() -> TracedLatency {
    let bounds = BOUNDS_NS.iter().map(|ns| Duration::from_nanos(*ns));
    TracedLatency::new(bounds.map(|bound| bound.as_secs_f64()))
}

#[cfg(test)]
mod tests {
    use prometheus_client::registry::Registry;

    use super::*;

    #[test]
    fn a_duration_falls_into_the_first_bucket_that_holds_it() {
        let mut registry = Registry::default();
        let latency = Latency::default();
        registry.register("wait_seconds", "Wait", latency.clone());
        for micros in [0, 10, 11, 900, 70_000_000] {
            latency.observe(Duration::from_micros(micros));
        }
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "wait_seconds_count 5\n",
            "wait_seconds_sum 70.000921\n",
            "wait_seconds_bucket{le=\"0.00001\"} 2\n",
            "wait_seconds_bucket{le=\"0.00002\"} 3\n",
            "wait_seconds_bucket{le=\"0.001\"} 4\n",
            "wait_seconds_bucket{le=\"50.0\"} 4\n",
            "wait_seconds_bucket{le=\"+Inf\"} 5\n",
        ] {
            assert!(text.contains(line), "{line}{text}");
        }
    }
}
