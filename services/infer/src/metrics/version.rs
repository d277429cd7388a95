//! What is counted for each version of a model. A version that is gone takes its series with it.

use std::sync::atomic::{AtomicI64, AtomicU64};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::{
    BATCH_ROWS, BATCHES, ENGINE_REBUILDS, ENGINE_SECONDS, IMAGE_SECONDS, ISOLATION_RUNS,
    MAX_BATCH_ROWS, MODEL_AVAILABLE, ROWS,
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
    image_seconds: EngineHistograms,
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
struct EngineHistograms(Family<Version, Histogram, fn() -> Histogram>);

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
            self.image_seconds.0,
        );
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
            image_seconds: self.image_seconds.0.get_or_create_owned(&by_version),
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
    pub(crate) engine_seconds: Histogram,
    pub(crate) image_seconds: Histogram,
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
            release: name(release),
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
        self.families.image_seconds.0.remove(&self.version);
        self.families.isolation_runs.remove(&self.version);
        self.families.engine_rebuilds.remove(&self.version);
        self.families.available.remove(&self.version);
        for release in Release::ALL {
            self.families.batches.remove(&VersionRelease {
                model: self.version.model.clone(),
                version: self.version.version,
                release: name(release),
            });
        }
    }
}

fn name(release: Release) -> &'static str {
    match release {
        Release::Rows => "rows",
        Release::Bytes => "bytes",
        Release::Idle => "idle",
        Release::Delay => "delay",
        Release::Deadline => "deadline",
        Release::Drain => "drain",
    }
}
