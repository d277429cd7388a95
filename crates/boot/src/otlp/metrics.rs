//! The metrics of a process as OTLP, sent again and again. They are made of the text that `/metrics` answers, so that
//! both say the same.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
    ResourceMetrics, ScopeMetrics, Sum, metric, number_data_point,
};
use prometheus_client::registry::Registry;

use super::{Address, Collector, attribute, scope, totals};
use crate::exposition::{Line, Sample, open_metrics};

/// The thread that sends metrics; a last time when this is dropped.
#[derive(Debug)]
pub(crate) struct MetricExport {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl MetricExport {
    /// Starts the thread.
    ///
    /// # Errors
    /// When it cannot start.
    pub(crate) fn start(
        address: Address,
        registry: Arc<Registry>,
        every: Duration,
    ) -> std::io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let begun = unix_ns();
        let run = move || {
            let Some(collector) = address.connect() else {
                return;
            };
            loop {
                let last = stopped.recv_timeout(every) != Err(RecvTimeoutError::Timeout);
                send(&collector, &registry, begun);
                if last {
                    return;
                }
            }
        };
        let thread = thread::Builder::new()
            .name("metrics".to_owned())
            .spawn(run)?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for MetricExport {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that sends metrics panicked");
        }
    }
}

fn send(collector: &Collector, registry: &Registry, begun: u64) {
    let Ok(text) = open_metrics(registry) else {
        totals().metrics_failed.inc();
        return;
    };
    let span = (begun, unix_ns());
    let metrics = ScopeMetrics {
        scope: Some(scope()),
        metrics: metrics_of(&text, span),
        ..ScopeMetrics::default()
    };
    let metrics = ResourceMetrics {
        resource: Some(collector.resource()),
        scope_metrics: vec![metrics],
        ..ResourceMetrics::default()
    };
    let request = ExportMetricsServiceRequest {
        resource_metrics: vec![metrics],
    };
    match collector.send("v1/metrics", &request) {
        Ok(()) => totals().metrics_sent.inc(),
        Err(error) => {
            tracing::debug!(%error, "the collector does not take metrics");
            totals().metrics_failed.inc()
        }
    };
}

/// The families of an OpenMetrics text; `times` are those of the process's start and of now.
fn metrics_of(text: &str, times: (u64, u64)) -> Vec<Metric> {
    let mut metrics: Vec<Metric> = Vec::new();
    let mut help = "";
    for line in text.lines() {
        match Line::of(line) {
            Line::Help { text, .. } => help = text,
            Line::Type { name, kind } => metrics.extend(family((name, help), kind)),
            Line::Sample(line) => {
                if let (Some(metric), Some(sample)) = (metrics.last_mut(), Sample::parse(line)) {
                    add(metric, sample, times);
                }
            }
            Line::Other => {}
        }
    }
    metrics
}

fn family((name, help): (&str, &str), kind: &str) -> Option<Metric> {
    let cumulative = AggregationTemporality::Cumulative.into();
    let data = match kind {
        "counter" => metric::Data::Sum(Sum {
            aggregation_temporality: cumulative,
            is_monotonic: true,
            ..Sum::default()
        }),
        "histogram" => metric::Data::Histogram(Histogram {
            aggregation_temporality: cumulative,
            ..Histogram::default()
        }),
        "gauge" => metric::Data::Gauge(Gauge::default()),
        _ => return None,
    };
    let unit = [("_seconds", "s"), ("_bytes", "By")];
    let unit = unit.iter().find(|(end, _)| name.ends_with(end));
    Some(Metric {
        name: name.to_owned(),
        description: help.to_owned(),
        unit: unit.map_or("1", |(_, unit)| unit).to_owned(),
        data: Some(data),
        ..Metric::default()
    })
}

fn add(metric: &mut Metric, sample: Sample<'_>, (begun, now): (u64, u64)) {
    let attributes = sample.labels.iter().filter(|(name, _)| *name != "le");
    let attributes = attributes
        .map(|(name, value)| attribute(name, value.as_str()))
        .collect();
    let start_time_unix_nano = begun;
    let number = |attributes| NumberDataPoint {
        attributes,
        start_time_unix_nano,
        time_unix_nano: now,
        value: Some(number_data_point::Value::AsDouble(sample.value)),
        ..NumberDataPoint::default()
    };
    match &mut metric.data {
        Some(metric::Data::Sum(sum)) => sum.data_points.push(number(attributes)),
        Some(metric::Data::Gauge(gauge)) => gauge.data_points.push(number(attributes)),
        Some(metric::Data::Histogram(histogram)) => {
            let points = &mut histogram.data_points;
            // The sum is the first line of each.
            if sample.name.ends_with("_sum") {
                points.push(HistogramDataPoint {
                    attributes,
                    start_time_unix_nano,
                    time_unix_nano: now,
                    sum: Some(sample.value),
                    ..HistogramDataPoint::default()
                });
            } else if let Some(point) = points.last_mut() {
                fill(point, &sample);
            }
        }
        _ => {}
    }
}

/// A count or a bucket. Buckets of the text hold those below them as well.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "our own counts, which are whole and not negative"
)]
fn fill(point: &mut HistogramDataPoint, sample: &Sample<'_>) {
    let count = sample.value as u64;
    let bound = sample.labels.iter().find(|(name, _)| *name == "le");
    let Some((_, bound)) = bound else {
        point.count = count;
        return;
    };
    let below: u64 = point.bucket_counts.iter().sum();
    point.bucket_counts.push(count.saturating_sub(below));
    if let Some(bound) = bound.parse().ok().filter(|bound: &f64| bound.is_finite()) {
        point.explicit_bounds.push(bound);
    }
}

pub(crate) fn unix_ns() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_become_sums_gauges_and_histograms_with_their_own_buckets() {
        let text = "# HELP a Things.\n# TYPE a counter\na_total{k=\"v\"} 2\na_total{k=\"w\"} 3\n\
                    # HELP b_bytes Size.\n# TYPE b_bytes gauge\nb_bytes 7.5\n\
                    # HELP c_seconds Time.\n# TYPE c_seconds histogram\n\
                    c_seconds_sum{k=\"v\"} 1.5\nc_seconds_count{k=\"v\"} 6\n\
                    c_seconds_bucket{le=\"0.1\",k=\"v\"} 1\n\
                    c_seconds_bucket{le=\"1.0\",k=\"v\"} 4 # {trace_id=\"ab\"} 0.5\n\
                    c_seconds_bucket{le=\"+Inf\",k=\"v\"} 6\n# EOF\n";
        let metrics = metrics_of(text, (1, 2));
        let names: Vec<_> = metrics.iter().map(|it| (&*it.name, &*it.unit)).collect();
        assert_eq!(names, [("a", "1"), ("b_bytes", "By"), ("c_seconds", "s")]);
        let Some(metric::Data::Sum(sum)) = &metrics[0].data else {
            panic!("{:?}", metrics[0]);
        };
        assert!(sum.is_monotonic);
        assert_eq!(sum.data_points.len(), 2);
        assert_eq!(sum.data_points[1].attributes, [attribute("k", "w")]);
        let Some(metric::Data::Histogram(histogram)) = &metrics[2].data else {
            panic!("{:?}", metrics[2]);
        };
        let [point] = &histogram.data_points[..] else {
            panic!("{histogram:?}");
        };
        assert_eq!(point.bucket_counts, [1, 3, 2]);
        assert_eq!(point.explicit_bounds, [0.1, 1.0]);
        assert_eq!((point.count, point.sum), (6, Some(1.5)));
    }
}
