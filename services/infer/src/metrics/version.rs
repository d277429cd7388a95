//! What is counted for each version of a model. A version that is gone takes its series with it.

use std::sync::atomic::{AtomicI64, AtomicU64};

use millrace_boot::{Latency, TracedLatency, traced_latency};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::{
    BATCH_ROWS, BATCHES, ENCODE_SECONDS, ENGINE_BUSY_RATIO, ENGINE_REBUILDS, ENGINE_SECONDS,
    ENGINES, IMAGE_SECONDS, ISOLATION_RUNS, MAX_BATCH_ROWS, MODEL_AVAILABLE, QUEUE_WAIT_SECONDS,
    ROWS,
};
use crate::batch::Release;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Version {
    model: String,
    version: i64,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct VersionRelease {
    model: String,
    version: i64,
    release: &'static str,
}

/// The families of all versions.
#[derive(Clone, Debug, Default)]
pub(super) struct Versions {
    rows: Family<Version, Counter>,
    batches: Family<VersionRelease, Counter>,
    batch_rows: Histograms,
    max_batch_rows: Family<Version, Gauge<i64, AtomicI64>>,
    engine_seconds: EngineHistograms,
    queue_wait: Family<Version, Latency>,
    encode: Family<Version, Latency>,
    busy_ratio: Family<Version, Gauge<f64, AtomicU64>>,
    engines: Family<Version, Gauge<i64, AtomicI64>>,
    image_seconds: Family<Version, Latency>,
    isolation_runs: Family<Version, Counter>,
    engine_rebuilds: Family<Version, Counter>,
    available: Family<Version, Gauge<i64, AtomicI64>>,
}

#[derive(Clone, Debug)]
struct Histograms(Family<Version, Histogram, fn() -> Histogram>);

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
struct EngineHistograms(Family<Version, TracedLatency, fn() -> TracedLatency>);

impl Default for EngineHistograms {
    fn default() -> Self {
        Self(Family::new_with_constructor(traced_latency))
    }
}

impl Versions {
    pub(super) fn register(self, registry: &mut Registry) {
        registry.register(ROWS, "Rows answered by the engine", self.rows);
        registry.register(
            BATCHES,
            "Batches by the reason of their release",
            self.batches,
        );
        registry.register(BATCH_ROWS, "Rows of each batch", self.batch_rows.0);
        registry.register(
            MAX_BATCH_ROWS,
            "Rows that a batch may have",
            self.max_batch_rows,
        );
        registry.register(
            ENGINE_SECONDS,
            "Duration of each run",
            self.engine_seconds.0,
        );
        registry.register(
            IMAGE_SECONDS,
            "Duration of decoding and resizing each image",
            self.image_seconds,
        );
        registry.register(
            QUEUE_WAIT_SECONDS,
            "Time that rows waited for an engine",
            self.queue_wait,
        );
        registry.register(
            ENCODE_SECONDS,
            "Duration of making a batch's outputs records and handing them over",
            self.encode,
        );
        registry.register(
            ENGINE_BUSY_RATIO,
            "Share of the engines' time that was spent in runs lately",
            self.busy_ratio,
        );
        registry.register(ENGINES, "Engine threads", self.engines);
        registry.register(
            ISOLATION_RUNS,
            "Runs to find the record that fails",
            self.isolation_runs,
        );
        registry.register(
            ENGINE_REBUILDS,
            "Engines built again after a panic",
            self.engine_rebuilds,
        );
        registry.register(
            MODEL_AVAILABLE,
            "Whether the version is served",
            self.available,
        );
    }

    /// The metrics of one version, looked up once so that batches do not pay for it.
    pub(super) fn of(&self, model: &str, version: i64) -> VersionMetrics {
        let by_version = Version {
            model: model.to_owned(),
            version,
        };
        VersionMetrics {
            rows: self.rows.get_or_create_owned(&by_version),
            batch_rows: self.batch_rows.0.get_or_create_owned(&by_version),
            max_batch_rows: self.max_batch_rows.get_or_create_owned(&by_version),
            engine_seconds: self.engine_seconds.0.get_or_create_owned(&by_version),
            image_seconds: self.image_seconds.get_or_create_owned(&by_version),
            queue_wait: self.queue_wait.get_or_create_owned(&by_version),
            encode: self.encode.get_or_create_owned(&by_version),
            busy_ratio: self.busy_ratio.get_or_create_owned(&by_version),
            engines: self.engines.get_or_create_owned(&by_version),
            isolation_runs: self.isolation_runs.get_or_create_owned(&by_version),
            engine_rebuilds: self.engine_rebuilds.get_or_create_owned(&by_version),
            available: self.available.get_or_create_owned(&by_version),
            version: by_version,
            families: self.clone(),
        }
    }
}

/// The metrics of one version.
#[derive(Clone, Debug)]
pub(crate) struct VersionMetrics {
    version: Version,
    pub(crate) rows: Counter<u64, AtomicU64>,
    batch_rows: Histogram,
    pub(crate) max_batch_rows: Gauge<i64, AtomicI64>,
    pub(crate) engine_seconds: TracedLatency,
    pub(crate) image_seconds: Latency,
    pub(crate) queue_wait: Latency,
    pub(crate) encode: Latency,
    pub(crate) busy_ratio: Gauge<f64, AtomicU64>,
    pub(crate) engines: Gauge<i64, AtomicI64>,
    pub(crate) isolation_runs: Counter<u64, AtomicU64>,
    pub(crate) engine_rebuilds: Counter<u64, AtomicU64>,
    pub(crate) available: Gauge<i64, AtomicI64>,
    families: Versions,
}

impl VersionMetrics {
    /// One batch begins to run.
    pub(crate) fn count_batch(&self, release: Release, rows: usize) {
        let labels = VersionRelease {
            model: self.version.model.clone(),
            version: self.version.version,
            release: release.name(),
        };
        self.families.batches.get_or_create(&labels).inc();
        self.batch_rows
            .observe(f64::from(u32::try_from(rows).unwrap_or(u32::MAX)));
    }

    /// The version is gone.
    pub(crate) fn forget(&self) {
        self.families.rows.remove(&self.version);
        self.families.batch_rows.0.remove(&self.version);
        self.families.max_batch_rows.remove(&self.version);
        self.families.engine_seconds.0.remove(&self.version);
        self.families.image_seconds.remove(&self.version);
        self.families.queue_wait.remove(&self.version);
        self.families.encode.remove(&self.version);
        self.families.busy_ratio.remove(&self.version);
        self.families.engines.remove(&self.version);
        self.families.isolation_runs.remove(&self.version);
        self.families.engine_rebuilds.remove(&self.version);
        self.families.available.remove(&self.version);
        for release in Release::ALL {
            self.families.batches.remove(&VersionRelease {
                model: self.version.model.clone(),
                version: self.version.version,
                release: release.name(),
            });
        }
    }
}
