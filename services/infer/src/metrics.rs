//! What this service counts. Labels are models and small enumerations.

use std::sync::atomic::{AtomicI64, AtomicU64};
use std::time::Duration;

use millrace_boot::Latency;
use millrace_wire::avro::ModelState;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::batch::Priority;

mod state;
mod version;

use state::States;
pub(crate) use version::VersionMetrics;
use version::Versions;

/// Records taken from the requests topic. Counter, by model.
pub const RECORDS: &str = "millrace_infer_records";
/// Rows that ran through the engine and were answered. Counter, by model and version.
pub const ROWS: &str = "millrace_infer_rows";
/// Results that the broker has acknowledged, by model and status (`OK`, `INVALID_ARGUMENT`, …). Counter.
pub const RESULTS: &str = "millrace_infer_results";
/// Replies to waiting callers, by model and outcome: `sent`, `refused` (an address that is not ours), `failed`. Counter.
pub const REPLIES: &str = "millrace_infer_replies";
/// Records refused before inference, by model, stage (`headers`, `decode`, `validate`) and code. Counter.
pub const REFUSED: &str = "millrace_infer_refused_records";
/// Dead letters that the broker has acknowledged, by model, stage and code. Counter.
pub const DEAD_LETTERS: &str = "millrace_infer_dead_letters";
/// Records that were running when processes died and were therefore tried alone, by model and outcome: `answered`,
/// `refused`, `died`. Counter.
pub const SUSPECTS: &str = "millrace_infer_suspect_records";
/// Records dropped unfinished because their partition went to another process, or because reading has ended; they are
/// read again. Counter, by model.
pub const SKIPPED: &str = "millrace_infer_skipped_records";
/// Time of engines, by model and lane (`interactive`, `bulk`). Counter of seconds.
pub const LANE_SECONDS: &str = "millrace_infer_lane_seconds";
/// 1 while nothing is read because dead letters have become the rule, by model and lane. Gauge.
pub const READING_STOPPED: &str = "millrace_infer_reading_stopped";
/// Batches, by model, version and why they were released: `rows`, `bytes`, `idle`, `delay`, `deadline`,
/// `drain`. Counter.
pub const BATCHES: &str = "millrace_infer_batches";
/// Rows of each batch. Histogram, by model and version.
pub const BATCH_ROWS: &str = "millrace_infer_batch_rows";
/// Rows that a batch may have, measured or set. Gauge, by model and version.
pub const MAX_BATCH_ROWS: &str = "millrace_infer_max_batch_rows";
/// Rows that wait for an engine. Gauge, by model.
pub const QUEUE_ROWS: &str = "millrace_infer_queue_rows";
/// Bytes of records that wait for an engine. Gauge, by model.
pub const QUEUE_BYTES: &str = "millrace_infer_queue_bytes";
/// Duration of making a record's tensors of its value and checking them. Histogram, by model.
pub const DECODE_SECONDS: &str = "millrace_infer_decode_seconds";
/// Duration from giving a result to the producer to its acknowledgement. Histogram, by model.
pub const PRODUCE_SECONDS: &str = "millrace_infer_produce_seconds";
/// How long rows waited for an engine. Histogram, by model and version.
pub const QUEUE_WAIT_SECONDS: &str = "millrace_infer_queue_wait_seconds";
/// Duration of making a batch's outputs records and handing them to the producer. Histogram, by model and version.
pub const ENCODE_SECONDS: &str = "millrace_infer_encode_seconds";
/// Share of the engines' time that was spent in runs lately, 0 to 1. Gauge, by model and version.
pub const ENGINE_BUSY_RATIO: &str = "millrace_infer_engine_busy_ratio";
/// Engine threads. Gauge, by model and version.
pub const ENGINES: &str = "millrace_infer_engines";
/// 1 for the state that a version is in: `loading`, `available`, `unloading`, `failed`, `end`. Gauge, by model and
/// version.
pub const MODEL_STATE: &str = "millrace_infer_model_state";
/// Duration of each run, failed ones included. Histogram, by model and version.
pub const ENGINE_SECONDS: &str = "millrace_infer_engine_seconds";
/// Duration of decoding and resizing each image. Histogram, by model and version.
pub const IMAGE_SECONDS: &str = "millrace_infer_image_seconds";
/// Runs made only to find which record of a batch fails. Counter, by model and version.
pub const ISOLATION_RUNS: &str = "millrace_infer_isolation_runs";
/// Engines built again after a panic. Counter, by model and version.
pub const ENGINE_REBUILDS: &str = "millrace_infer_engine_rebuilds";
/// 1 while the version is served, else 0. Gauge, by model and version.
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
struct ModelLane {
    model: String,
    lane: &'static str,
}
/// What dead letters are about, mostly. They are there with 0, so that the first one is seen.
const COMMON_LETTERS: [(&str, &str); 4] = [
    ("headers", "INVALID_ARGUMENT"),
    ("decode", "INVALID_ARGUMENT"),
    ("validate", "INVALID_ARGUMENT"),
    ("infer", "INTERNAL"),
];

/// The families of all models.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    records: Family<Model, Counter>,
    results: Family<ModelStatus, Counter>,
    replies: Family<ModelOutcome, Counter>,
    refused: Family<ModelStage, Counter>,
    dead_letters: Family<ModelStage, Counter>,
    skipped: Family<Model, Counter>,
    suspects: Family<ModelOutcome, Counter>,
    lane_seconds: Family<ModelLane, Counter<f64, AtomicU64>>,
    reading_stopped: Family<ModelLane, Gauge<i64, AtomicI64>>,
    queue_rows: Family<Model, Gauge<i64, AtomicI64>>,
    queue_bytes: Family<Model, Gauge<i64, AtomicI64>>,
    decode: Family<Model, Latency>,
    produce: Family<Model, Latency>,
    states: States,
    versions: Versions,
}

impl Metrics {
    /// Adds every metric to the registry.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let it = metrics.clone();
        registry.register(RECORDS, "Records taken from the requests topic", it.records);
        registry.register(RESULTS, "Results acknowledged by the broker", it.results);
        registry.register(REPLIES, "Replies to waiting callers", it.replies);
        registry.register(REFUSED, "Records refused before inference", it.refused);
        registry.register(
            DEAD_LETTERS,
            "Dead letters acknowledged by the broker",
            it.dead_letters,
        );
        registry.register(
            SUSPECTS,
            "Records tried alone after processes died of them",
            it.suspects,
        );
        registry.register(
            SKIPPED,
            "Records dropped unfinished after a rebalance",
            it.skipped,
        );
        registry.register(LANE_SECONDS, "Time of engines by lane", it.lane_seconds);
        registry.register(
            READING_STOPPED,
            "Whether nothing is read because dead letters are the rule",
            it.reading_stopped,
        );
        registry.register(QUEUE_ROWS, "Rows that wait for an engine", it.queue_rows);
        registry.register(QUEUE_BYTES, "Bytes that wait for an engine", it.queue_bytes);
        registry.register(
            DECODE_SECONDS,
            "Duration of making tensors of a record's value and checking them",
            it.decode,
        );
        registry.register(
            PRODUCE_SECONDS,
            "Duration from giving a result to the producer to its acknowledgement",
            it.produce,
        );
        it.states.register(registry);
        it.versions.register(registry);
        metrics
    }

    /// The states of all versions of a model; those of others are forgotten.
    pub(crate) fn tell_states(&self, model: &str, states: &[(i64, ModelState)]) {
        self.states.tell(model, states);
    }

    /// The metrics of one model, looked up once so that records do not pay for it.
    pub(crate) fn of_model(&self, model: &str) -> ModelMetrics {
        let by_model = Model {
            model: model.to_owned(),
        };
        for (stage, code) in COMMON_LETTERS {
            let model = model.to_owned();
            let letter = ModelStage { model, stage, code };
            drop(self.dead_letters.get_or_create(&letter));
        }
        for outcome in ["answered", "refused", "died"] {
            let model = model.to_owned();
            drop(
                self.suspects
                    .get_or_create(&ModelOutcome { model, outcome }),
            );
        }
        ModelMetrics {
            model: model.to_owned(),
            records: self.records.get_or_create_owned(&by_model),
            results_ok: self.results.get_or_create_owned(&ModelStatus {
                model: model.to_owned(),
                status: "OK",
            }),
            replies_sent: self.replies.get_or_create_owned(&ModelOutcome {
                model: model.to_owned(),
                outcome: "sent",
            }),
            skipped: self.skipped.get_or_create_owned(&by_model),
            lane_seconds: Priority::ALL.map(|lane| {
                let model = model.to_owned();
                let lane = lane.name();
                let labels = ModelLane { model, lane };
                self.lane_seconds.get_or_create_owned(&labels)
            }),
            queue_rows: self.queue_rows.get_or_create_owned(&by_model),
            queue_bytes: self.queue_bytes.get_or_create_owned(&by_model),
            decode: self.decode.get_or_create_owned(&by_model),
            produce: self.produce.get_or_create_owned(&by_model),
            families: self.clone(),
        }
    }
}

/// The metrics of one model.
#[derive(Clone, Debug)]
pub(crate) struct ModelMetrics {
    model: String,
    pub(crate) records: Counter<u64, AtomicU64>,
    results_ok: Counter<u64, AtomicU64>,
    pub(crate) replies_sent: Counter<u64, AtomicU64>,
    pub(crate) skipped: Counter<u64, AtomicU64>,
    /// By [`Priority::index`].
    lane_seconds: [Counter<f64, AtomicU64>; 2],
    pub(crate) queue_rows: Gauge<i64, AtomicI64>,
    pub(crate) queue_bytes: Gauge<i64, AtomicI64>,
    pub(crate) decode: Latency,
    pub(crate) produce: Latency,
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

    /// One record was tried alone.
    pub(crate) fn count_suspect(&self, outcome: &'static str) {
        let labels = ModelOutcome {
            model: self.model.clone(),
            outcome,
        };
        self.families.suspects.get_or_create(&labels).inc();
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

    /// An engine has worked for a lane for so long.
    pub(crate) fn count_engine_time(&self, lane: Priority, took: Duration) {
        self.lane_seconds[lane.index()].inc_by(took.as_secs_f64());
    }

    /// Whether nothing of a lane is read because dead letters are the rule.
    pub(crate) fn set_stopped(&self, lane: &'static str, is_stopped: bool) {
        let labels = ModelLane {
            model: self.model.clone(),
            lane,
        };
        let gauge = self.families.reading_stopped.get_or_create(&labels);
        gauge.set(i64::from(is_stopped));
    }

    /// The metrics of one version of the model.
    pub(crate) fn of_version(&self, version: i64) -> VersionMetrics {
        self.families.versions.of(&self.model, version)
    }
}
