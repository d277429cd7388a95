//! What this service counts. Labels are models and small enumerations.

use std::sync::atomic::{AtomicI64, AtomicU64};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::batch::Release;

/// Records taken from the requests topic. Counter, by model.
pub const RECORDS: &str = "millrace_infer_records";
/// Rows that ran through the engine and were answered. Counter, by model.
pub const ROWS: &str = "millrace_infer_rows";
/// Results that the broker has acknowledged, by model and status (`OK`, `INVALID_ARGUMENT`, …). Counter.
pub const RESULTS: &str = "millrace_infer_results";
/// Replies to waiting callers, by model and outcome: `sent`, `refused` (an address that is not ours), `failed`. Counter.
pub const REPLIES: &str = "millrace_infer_replies";
/// Records refused before inference, by model, stage (`headers`, `decode`, `validate`) and code. Counter.
pub const REFUSED: &str = "millrace_infer_refused_records";
/// Dead letters that the broker has acknowledged, by model, stage and code. Counter.
pub const DEAD_LETTERS: &str = "millrace_infer_dead_letters";
/// Records dropped unfinished because their partition went to another process. Counter, by model.
pub const SKIPPED: &str = "millrace_infer_skipped_records";
/// Batches, by model and why they were released: `rows`, `bytes`, `idle`, `delay`, `deadline`, `drain`. Counter.
pub const BATCHES: &str = "millrace_infer_batches";
/// Rows of each batch. Histogram, by model.
pub const BATCH_ROWS: &str = "millrace_infer_batch_rows";
/// Rows that a batch may have, measured or set. Gauge, by model.
pub const MAX_BATCH_ROWS: &str = "millrace_infer_max_batch_rows";
/// Rows that wait for an engine. Gauge, by model.
pub const QUEUE_ROWS: &str = "millrace_infer_queue_rows";
/// Bytes of records that wait for an engine. Gauge, by model.
pub const QUEUE_BYTES: &str = "millrace_infer_queue_bytes";
/// Duration of each run, failed ones included. Histogram, by model.
pub const ENGINE_SECONDS: &str = "millrace_infer_engine_seconds";
/// Runs made only to find which record of a batch fails. Counter, by model.
pub const ISOLATION_RUNS: &str = "millrace_infer_isolation_runs";
/// Engines built again after a panic. Counter, by model.
pub const ENGINE_REBUILDS: &str = "millrace_infer_engine_rebuilds";
/// 1 while the model is served, else 0. Gauge, by model.
pub const MODEL_AVAILABLE: &str = "millrace_infer_model_available";

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Model {
    model: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ModelStatus {
    model: String,
    status: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ModelOutcome {
    model: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ModelStage {
    model: String,
    stage: &'static str,
    code: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ModelRelease {
    model: String,
    release: &'static str,
}

/// The families of all models.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    records: Family<Model, Counter>,
    rows: Family<Model, Counter>,
    results: Family<ModelStatus, Counter>,
    replies: Family<ModelOutcome, Counter>,
    refused: Family<ModelStage, Counter>,
    dead_letters: Family<ModelStage, Counter>,
    skipped: Family<Model, Counter>,
    batches: Family<ModelRelease, Counter>,
    batch_rows: Histograms,
    max_batch_rows: Family<Model, Gauge<i64, AtomicI64>>,
    queue_rows: Family<Model, Gauge<i64, AtomicI64>>,
    queue_bytes: Family<Model, Gauge<i64, AtomicI64>>,
    engine_seconds: EngineHistograms,
    isolation_runs: Family<Model, Counter>,
    engine_rebuilds: Family<Model, Counter>,
    available: Family<Model, Gauge<i64, AtomicI64>>,
}

#[derive(Clone, Debug)]
struct Histograms(Family<Model, Histogram, fn() -> Histogram>);

impl Default for Histograms {
    fn default() -> Self {
        Self(Family::new_with_constructor(|| {
            Histogram::new([
                1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0,
            ])
        }))
    }
}

#[derive(Clone, Debug)]
struct EngineHistograms(Family<Model, Histogram, fn() -> Histogram>);

impl Default for EngineHistograms {
    fn default() -> Self {
        Self(Family::new_with_constructor(|| {
            Histogram::new([
                20e-6, 50e-6, 100e-6, 200e-6, 500e-6, 1e-3, 2e-3, 5e-3, 10e-3, 20e-3, 50e-3, 0.1,
                0.2, 0.5, 1.0, 2.0, 5.0,
            ])
        }))
    }
}

impl Metrics {
    /// Adds every metric to the registry.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let it = metrics.clone();
        registry.register(RECORDS, "Records taken from the requests topic", it.records);
        registry.register(ROWS, "Rows answered by the engine", it.rows);
        registry.register(RESULTS, "Results acknowledged by the broker", it.results);
        registry.register(REPLIES, "Replies to waiting callers", it.replies);
        registry.register(REFUSED, "Records refused before inference", it.refused);
        registry.register(
            DEAD_LETTERS,
            "Dead letters acknowledged by the broker",
            it.dead_letters,
        );
        registry.register(
            SKIPPED,
            "Records dropped unfinished after a rebalance",
            it.skipped,
        );
        registry.register(
            BATCHES,
            "Batches by the reason of their release",
            it.batches,
        );
        registry.register(BATCH_ROWS, "Rows of each batch", it.batch_rows.0);
        registry.register(
            MAX_BATCH_ROWS,
            "Rows that a batch may have",
            it.max_batch_rows,
        );
        registry.register(QUEUE_ROWS, "Rows that wait for an engine", it.queue_rows);
        registry.register(QUEUE_BYTES, "Bytes that wait for an engine", it.queue_bytes);
        registry.register(ENGINE_SECONDS, "Duration of each run", it.engine_seconds.0);
        registry.register(
            ISOLATION_RUNS,
            "Runs to find the record that fails",
            it.isolation_runs,
        );
        registry.register(
            ENGINE_REBUILDS,
            "Engines built again after a panic",
            it.engine_rebuilds,
        );
        registry.register(MODEL_AVAILABLE, "Whether the model is served", it.available);
        metrics
    }

    /// The metrics of one model, looked up once so that records do not pay for it.
    pub(crate) fn of_model(&self, model: &str) -> ModelMetrics {
        let by_model = Model {
            model: model.to_owned(),
        };
        ModelMetrics {
            model: model.to_owned(),
            records: self.records.get_or_create_owned(&by_model),
            rows: self.rows.get_or_create_owned(&by_model),
            results_ok: self.results.get_or_create_owned(&ModelStatus {
                model: model.to_owned(),
                status: "OK",
            }),
            replies_sent: self.replies.get_or_create_owned(&ModelOutcome {
                model: model.to_owned(),
                outcome: "sent",
            }),
            skipped: self.skipped.get_or_create_owned(&by_model),
            batch_rows: self.batch_rows.0.get_or_create_owned(&by_model),
            max_batch_rows: self.max_batch_rows.get_or_create_owned(&by_model),
            queue_rows: self.queue_rows.get_or_create_owned(&by_model),
            queue_bytes: self.queue_bytes.get_or_create_owned(&by_model),
            engine_seconds: self.engine_seconds.0.get_or_create_owned(&by_model),
            isolation_runs: self.isolation_runs.get_or_create_owned(&by_model),
            engine_rebuilds: self.engine_rebuilds.get_or_create_owned(&by_model),
            available: self.available.get_or_create_owned(&by_model),
            families: self.clone(),
        }
    }
}

/// The metrics of one model.
#[derive(Clone, Debug)]
pub(crate) struct ModelMetrics {
    model: String,
    pub(crate) records: Counter<u64, AtomicU64>,
    pub(crate) rows: Counter<u64, AtomicU64>,
    results_ok: Counter<u64, AtomicU64>,
    pub(crate) replies_sent: Counter<u64, AtomicU64>,
    pub(crate) skipped: Counter<u64, AtomicU64>,
    pub(crate) batch_rows: Histogram,
    pub(crate) max_batch_rows: Gauge<i64, AtomicI64>,
    pub(crate) queue_rows: Gauge<i64, AtomicI64>,
    pub(crate) queue_bytes: Gauge<i64, AtomicI64>,
    pub(crate) engine_seconds: Histogram,
    pub(crate) isolation_runs: Counter<u64, AtomicU64>,
    pub(crate) engine_rebuilds: Counter<u64, AtomicU64>,
    pub(crate) available: Gauge<i64, AtomicI64>,
    families: Metrics,
}

impl ModelMetrics {
    /// One result was acknowledged.
    pub(crate) fn count_result(&self, status: millrace_wire::Status) {
        if status == millrace_wire::Status::Ok {
            self.results_ok.inc();
            return;
        }
        let labels = ModelStatus {
            model: self.model.clone(),
            status: status.name(),
        };
        self.families.results.get_or_create(&labels).inc();
    }

    /// A reply did not go out: `refused` or `failed`.
    pub(crate) fn count_lost_reply(&self, outcome: &'static str) {
        let labels = ModelOutcome {
            model: self.model.clone(),
            outcome,
        };
        self.families.replies.get_or_create(&labels).inc();
    }

    /// One record was refused before inference.
    pub(crate) fn count_refused(&self, stage: &'static str, code: &'static str) {
        self.families
            .refused
            .get_or_create(&ModelStage {
                model: self.model.clone(),
                stage,
                code,
            })
            .inc();
    }

    /// One dead letter was acknowledged.
    pub(crate) fn count_dead_letter(&self, stage: &'static str, code: &'static str) {
        self.families
            .dead_letters
            .get_or_create(&ModelStage {
                model: self.model.clone(),
                stage,
                code,
            })
            .inc();
    }

    /// One batch begins to run.
    pub(crate) fn count_batch(&self, release: Release, rows: usize) {
        let release = match release {
            Release::Rows => "rows",
            Release::Bytes => "bytes",
            Release::Idle => "idle",
            Release::Delay => "delay",
            Release::Deadline => "deadline",
            Release::Drain => "drain",
            Release::Aside => return,
        };
        self.families
            .batches
            .get_or_create(&ModelRelease {
                model: self.model.clone(),
                release,
            })
            .inc();
        self.batch_rows
            .observe(f64::from(u32::try_from(rows).unwrap_or(u32::MAX)));
    }
}
