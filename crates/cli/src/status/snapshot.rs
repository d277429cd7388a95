//! What the screen shows, as it was at one time.

use std::time::Duration;

use serde::Serialize;

use crate::board::Version;

/// The whole line.
#[derive(Debug, Serialize)]
pub(super) struct Snapshot {
    pub(super) at_unix_ms: i64,
    pub(super) prefix: String,
    /// As the settings name them.
    pub(super) brokers: String,
    pub(super) brokers_answering: usize,
    /// Partitions of the line's topics that cannot be written now, or whose copies are behind.
    pub(super) partitions_unwell: usize,
    pub(super) models: Vec<Model>,
    pub(super) pipelines: Vec<Waiting>,
    pub(super) dead_letters: DeadLetters,
}

/// A model, served or not, with what waits for it.
#[derive(Debug, Serialize)]
pub(super) struct Model {
    /// `None` if nobody speaks of the model.
    pub(super) served: Option<Version>,
    #[serde(flatten)]
    pub(super) waiting: Waiting,
    /// `None` before the second look.
    pub(super) results_per_s: Option<f64>,
}

/// How far a reader is behind.
#[derive(Debug, Serialize)]
pub(super) struct Waiting {
    /// The model, or pipeline and model.
    pub(super) name: String,
    pub(super) waiting_records: i64,
    /// Age of the oldest record that waits; `None` if none does, or if it has no time.
    pub(super) oldest_s: Option<f64>,
    /// Finished by the reader, by its committed offsets.
    pub(super) done_per_s: Option<f64>,
}

/// The topic of dead letters.
#[derive(Debug, Default, Serialize)]
pub(super) struct DeadLetters {
    /// Notes that letters were written back count, too.
    pub(super) records: i64,
    /// Since the first look.
    pub(super) more: i64,
    pub(super) watched_s: f64,
}

impl Waiting {
    pub(super) fn oldest(&self) -> Option<Duration> {
        self.oldest_s
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
    }
}
