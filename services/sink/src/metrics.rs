//! The numbers of a sink process; every name stands here.

use std::sync::atomic::AtomicU64;

use millrace_boot::Latency;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Pipeline {
    pipeline: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    pipeline: String,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

/// What dead letters are about, mostly. They are there with 0, so that the first one is seen.
const COMMON_LETTERS: [&str; 5] = ["headers", "malformed", "no_value", "outputs", "refused"];

/// The metrics of all pipelines.
#[derive(Clone)]
pub(crate) struct Metrics {
    rows: Family<Pipeline, Counter>,
    records: Family<Pipeline, Counter>,
    files: Family<Pipeline, Counter>,
    stored_bytes: Family<Pipeline, Counter>,
    commit_seconds: Family<Pipeline, Histogram>,
    write_seconds: Family<Pipeline, Latency>,
    delay_seconds: Family<Pipeline, Latency>,
    commit_failures: Family<Pipeline, Counter>,
    fenced: Family<Pipeline, Counter>,
    pending_bytes: Family<Pipeline, Gauge>,
    oldest_seconds: Family<Pipeline, Gauge<f64, AtomicU64>>,
    dead_letters: Family<Reason, Counter>,
    already_written: Family<Pipeline, Counter>,
    skipped_offsets: Family<Pipeline, Counter>,
    reloads: Family<Outcome, Counter>,
}

/// The metrics of one pipeline.
#[derive(Clone)]
pub(crate) struct PipelineMetrics {
    pub(crate) rows: Counter,
    pub(crate) records: Counter,
    pub(crate) files: Counter,
    pub(crate) stored_bytes: Counter,
    pub(crate) commit_seconds: Histogram,
    pub(crate) write_seconds: Latency,
    pub(crate) delay_seconds: Latency,
    pub(crate) commit_failures: Counter,
    pub(crate) fenced: Counter,
    pub(crate) pending_bytes: Gauge,
    pub(crate) oldest_seconds: Gauge<f64, AtomicU64>,
    pub(crate) already_written: Counter,
    pub(crate) skipped_offsets: Counter,
    dead_letters: Family<Reason, Counter>,
    pub(crate) pipeline: String,
}

impl Metrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            rows: Family::default(),
            records: Family::default(),
            files: Family::default(),
            stored_bytes: Family::default(),
            commit_seconds: Family::new_with_constructor(commit_histogram),
            write_seconds: Family::default(),
            delay_seconds: Family::default(),
            commit_failures: Family::default(),
            fenced: Family::default(),
            pending_bytes: Family::default(),
            oldest_seconds: Family::default(),
            dead_letters: Family::default(),
            already_written: Family::default(),
            skipped_offsets: Family::default(),
            reloads: Family::default(),
        };
        let registry = registry.sub_registry_with_prefix("millrace_sink");
        metrics.register_writing(registry);
        metrics.register_trouble(registry);
        metrics
    }

    fn register_writing(&self, registry: &mut Registry) {
        registry.register("rows", "Rows written", self.rows.clone());
        registry.register(
            "records",
            "Records written or dead-lettered",
            self.records.clone(),
        );
        registry.register("files", "Files that became visible", self.files.clone());
        registry.register(
            "stored_bytes",
            "Bytes of those files",
            self.stored_bytes.clone(),
        );
        registry.register(
            "commit_seconds",
            "Time to make one batch durable",
            self.commit_seconds.clone(),
        );
        registry.register(
            "write_seconds",
            "Duration of each attempt to write a batch",
            self.write_seconds.clone(),
        );
        registry.register(
            "delay_seconds",
            "Age of a batch's oldest record when it was durable",
            self.delay_seconds.clone(),
        );
        registry.register(
            "pending_bytes",
            "Bytes of records read and not yet written",
            self.pending_bytes.clone(),
        );
        registry.register(
            "oldest_pending_seconds",
            "Age of the oldest record that is read and not yet written",
            self.oldest_seconds.clone(),
        );
    }

    fn register_trouble(&self, registry: &mut Registry) {
        registry.register(
            "commit_failures",
            "Attempts to write a batch that failed and were repeated",
            self.commit_failures.clone(),
        );
        registry.register(
            "fenced",
            "Batches given up because another process owns the partition",
            self.fenced.clone(),
        );
        registry.register(
            "dead_letters",
            "Records that cannot be decoded, by reason",
            self.dead_letters.clone(),
        );
        registry.register(
            "already_written",
            "Records read again that the destination has already",
            self.already_written.clone(),
        );
        registry.register(
            "skipped_offsets",
            "Offsets that Kafka no longer had when they were wanted, or never showed",
            self.skipped_offsets.clone(),
        );
        registry.register(
            "reloads",
            "Times that the settings were read again, by what became of it",
            self.reloads.clone(),
        );
    }

    /// Counts a reload by what became of it: `applied`, `unchanged` or `refused`.
    pub(crate) fn reloaded(&self, outcome: &'static str) {
        self.reloads.get_or_create(&Outcome { outcome }).inc();
    }

    pub(crate) fn of(&self, pipeline: &str) -> PipelineMetrics {
        let label = Pipeline {
            pipeline: pipeline.to_owned(),
        };
        for reason in COMMON_LETTERS {
            let pipeline = pipeline.to_owned();
            drop(
                self.dead_letters
                    .get_or_create(&Reason { pipeline, reason }),
            );
        }
        PipelineMetrics {
            rows: self.rows.get_or_create(&label).clone(),
            records: self.records.get_or_create(&label).clone(),
            files: self.files.get_or_create(&label).clone(),
            stored_bytes: self.stored_bytes.get_or_create(&label).clone(),
            commit_seconds: self.commit_seconds.get_or_create(&label).clone(),
            write_seconds: self.write_seconds.get_or_create(&label).clone(),
            delay_seconds: self.delay_seconds.get_or_create(&label).clone(),
            commit_failures: self.commit_failures.get_or_create(&label).clone(),
            fenced: self.fenced.get_or_create(&label).clone(),
            pending_bytes: self.pending_bytes.get_or_create(&label).clone(),
            oldest_seconds: self.oldest_seconds.get_or_create(&label).clone(),
            already_written: self.already_written.get_or_create(&label).clone(),
            skipped_offsets: self.skipped_offsets.get_or_create(&label).clone(),
            dead_letters: self.dead_letters.clone(),
            pipeline: pipeline.to_owned(),
        }
    }
}

impl PipelineMetrics {
    /// Counts one dead letter.
    pub(crate) fn dead_letter(&self, reason: &'static str) {
        let label = Reason {
            pipeline: self.pipeline.clone(),
            reason,
        };
        self.dead_letters.get_or_create(&label).inc();
    }
}

/// From a transaction on a fast disk, 0.5 ms, to a large file on a slow one, 16 s.
fn commit_histogram() -> Histogram {
    Histogram::new(exponential_buckets(0.0005, 2.0, 16))
}
