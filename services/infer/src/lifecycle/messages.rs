//! What the lifecycle thread is told, by the threads that wait for disks, brokers and engines.

use millrace_wire::avro::ModelControl;

use crate::models::LoadedModel;
use crate::repository::{ModelEntry, ModelError, ModelSource, VersionEntry};
use crate::settings::EngineSettings;
use crate::topics::ModelTopics;

/// Something has happened.
#[derive(Debug)]
pub(super) enum Message {
    /// The repository was looked at.
    Scanned(Result<Vec<ModelEntry>, ModelError>),
    /// A record of the control topic; `None` takes back what was asked for.
    Asked {
        model: String,
        offset: i64,
        control: Option<ModelControl>,
    },
    /// The loader is done with its job.
    Done(Job, Outcome),
    /// A record waits for a version whose engines are away.
    Called { model: String, version: i64 },
    /// A pipeline has ended.
    Stopped { model: String },
}

/// One version that is to be loaded.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) model: String,
    pub(super) version: VersionEntry,
    /// Tells jobs for the same version apart.
    pub(super) serial: u64,
}

/// What the loader does.
#[derive(Debug)]
pub(super) enum Task {
    /// Brings the files here, and looks for the model's topics.
    Fetch(Job),
    /// Builds the engines.
    Load(Job, Box<Fetched>),
}

/// A version's files, and where its model's records come from and go to.
#[derive(Debug, Clone)]
pub(super) struct Fetched {
    pub(super) source: ModelSource,
    pub(super) engine: EngineSettings,
    pub(super) topics: Option<ModelTopics>,
}

/// What became of a job.
#[derive(Debug)]
pub(super) enum Outcome {
    Fetched(Box<Fetched>),
    Loaded(Box<LoadedModel>, Box<Fetched>),
    /// It cannot be served, in one sentence.
    Failed(String),
    /// The model's topics are not there yet, in one sentence.
    NoTopics(String),
}
