//! One model: its versions, their slots, and the pipeline that its records go through.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use millrace_wire::avro::ModelControl;
use tracing::warn;

use super::live::{Failure, Live, Retired};
use super::messages::{Fetched, Job};
use super::plan::Plan;
use crate::models::LoadedModel;
use crate::pipeline::{Pipeline, Slot};
use crate::repository::{ModelEntry, ReadingOptions, VersionEntry, VersionOptions};

/// One model of the repository, or one that was there and is being let go.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) name: String,
    /// The newest `model.toml` that could be read.
    pub(super) options: Option<VersionOptions>,
    /// What it says of its consumer; that of now goes by what held at its start.
    pub(super) reading: Option<ReadingOptions>,
    /// Why nothing is read although versions are loaded.
    pub(super) halted: Option<String>,
    /// What is wrong with the model as a whole.
    pub(super) fault: Option<String>,
    pub(super) present: BTreeMap<i64, VersionEntry>,
    pub(super) plan: Plan,
    pub(super) control: Option<ModelControl>,
    pub(super) control_offset: i64,
    pub(super) live: BTreeMap<i64, Live>,
    pub(super) failed: BTreeMap<i64, Failure>,
    pub(super) retired: Vec<Retired>,
    pub(super) labels: BTreeMap<String, i64>,
    pub(super) canary: Option<(i64, f64)>,
    pub(super) pipeline: Option<Pipeline>,
    /// Its consumer has joined its group once.
    pub(super) has_joined: bool,
    /// A pipeline of before is ending on a thread of its own.
    pub(super) is_stopping: bool,
    /// The versions that it serves to their end.
    pub(super) ending: BTreeSet<i64>,
    /// What was loaded meanwhile.
    pub(super) held: Vec<(Job, LoadedModel, Fetched)>,
    /// Something that is said in descriptors has changed.
    pub(super) has_news: bool,
}

impl Model {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            options: None,
            reading: None,
            halted: None,
            fault: None,
            present: BTreeMap::new(),
            plan: Plan::default(),
            control: None,
            control_offset: -1,
            live: BTreeMap::new(),
            failed: BTreeMap::new(),
            retired: Vec::new(),
            labels: BTreeMap::new(),
            canary: None,
            pipeline: None,
            has_joined: false,
            is_stopping: false,
            ending: BTreeSet::new(),
            held: Vec::new(),
            has_news: true,
        }
    }

    /// What lies in the repository now. A `model.toml` that cannot be read changes nothing of what is served.
    pub(super) fn found(&mut self, entry: &ModelEntry) {
        let versions = entry.versions.iter();
        for version in &entry.versions {
            self.compare(version);
        }
        self.present = versions
            .map(|version| (version.version, version.clone()))
            .collect();
        let fault = match &entry.options {
            Ok(options) => {
                self.options = Some(options.versions.clone());
                self.asked_to_read(options.reading);
                entry.wanted().err()
            }
            Err(error) => Some(error.clone()),
        };
        let fault = fault.map(|error| format!("{:#}", anyhow::Error::from(error)));
        if fault != self.fault {
            if let Some(fault) = &fault {
                warn!(model = self.name, "{fault}");
            }
            self.fault = fault;
        }
    }

    /// A consumer that reads goes on as it is: to change it would be an outage that nobody asked for.
    fn asked_to_read(&mut self, reading: ReadingOptions) {
        let before = self.reading.replace(reading);
        if before != Some(reading)
            && let Some(note) = self.reading_note()
        {
            warn!(model = self.name, "{note}");
        }
    }

    /// What is asked for and does not hold yet.
    pub(super) fn reading_note(&self) -> Option<String> {
        let held = self.pipeline.as_ref()?.options();
        let asked = self.reading.filter(|asked| *asked != held)?;
        Some(format!(
            "{asked} is asked for, {held} holds until its consumer starts anew: restart infer, or `millrace models \
             unload` and `load` it"
        ))
    }

    /// Files of a version that is loaded should not change.
    fn compare(&mut self, found: &VersionEntry) {
        let live = self.live.get_mut(&found.version);
        if let Some(live) = live.filter(|live| live.is_usable())
            && live.version.fingerprint != found.fingerprint
            && self
                .present
                .get(&found.version)
                .is_some_and(|known| known != found)
        {
            let note = "its files have changed since it was loaded, and what was loaded serves on: put changes into \
                        a new version";
            warn!(model = self.name, version = found.version, "{note}");
            live.note = Some(note.to_owned());
        }
    }

    /// It is not in the repository any more.
    pub(super) fn vanished(&mut self) {
        self.present.clear();
        self.fault = None;
    }

    /// Nothing is left of it.
    pub(super) fn is_gone(&self) -> bool {
        self.present.is_empty()
            && self.fault.is_none()
            && self.live.is_empty()
            && self.retired.is_empty()
            && !self.is_stopping
    }

    /// What operators want. To ask for the model is also to ask for what failed to be tried again.
    pub(super) fn asked(&mut self, offset: i64, control: Option<ModelControl>) {
        if control.as_ref().is_none_or(|control| !control.unloaded) {
            self.failed.clear();
        }
        if let Some(pipeline) = &mut self.pipeline {
            pipeline.try_again();
        }
        self.control = control;
        self.control_offset = offset;
    }

    /// The pipeline, and slots that its table does not have any more.
    pub(super) fn into_pipeline(self) -> Option<(Pipeline, Vec<Arc<Slot>>)> {
        let slots = self.retired.into_iter().map(|retired| retired.slot);
        Some((self.pipeline?, slots.collect()))
    }

    /// The version of a job, unless it is not wanted any more.
    pub(super) fn live_of(&mut self, job: &Job) -> Option<&mut Live> {
        let live = self.live.get_mut(&job.version.version);
        live.filter(|live| live.serial == job.serial)
    }
}
