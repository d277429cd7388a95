//! What all models need of the process: where jobs go, and what pipelines are made of.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use millrace_claims::Store;
use millrace_kafka::Producer;

use super::messages::{Job, Message};
use crate::fatal::Fatal;
use crate::metrics::Metrics;
use crate::pipeline::{Bell, Pipeline, Surroundings};
use crate::repository::{ReadingOptions, VersionEntry};
use crate::safety::Safety;
use crate::settings::Settings;
use crate::topics::ModelTopics;

/// Shared by all models.
#[derive(Debug)]
pub(super) struct Office {
    pub(super) settings: Settings,
    pub(super) replica: String,
    pub(super) producer: Producer,
    pub(super) metrics: Metrics,
    pub(super) kafka_metrics: millrace_kafka::Metrics,
    pub(super) fatal: Fatal,
    pub(super) safety: Safety,
    pub(super) store: Option<Arc<Store>>,
    pub(super) messages: Sender<Message>,
    /// Versions for which records wait go first.
    urgent: VecDeque<Job>,
    patient: VecDeque<Job>,
    serial: u64,
}

/// What an office is made of.
#[derive(Debug)]
pub(crate) struct Furniture {
    pub(crate) settings: Settings,
    pub(crate) replica: String,
    pub(crate) producer: Producer,
    pub(crate) metrics: Metrics,
    pub(crate) kafka_metrics: millrace_kafka::Metrics,
    pub(crate) fatal: Fatal,
    pub(crate) safety: Safety,
    /// Where values are that are too large for their records.
    pub(crate) store: Option<Arc<Store>>,
}

impl Office {
    pub(super) fn new(furniture: Furniture, messages: Sender<Message>) -> Self {
        Self {
            settings: furniture.settings,
            replica: furniture.replica,
            producer: furniture.producer,
            metrics: furniture.metrics,
            kafka_metrics: furniture.kafka_metrics,
            fatal: furniture.fatal,
            safety: furniture.safety,
            store: furniture.store,
            messages,
            urgent: VecDeque::new(),
            patient: VecDeque::new(),
            serial: 0,
        }
    }

    /// A new job for a version.
    pub(super) fn job(&mut self, model: &str, version: &VersionEntry) -> Job {
        self.serial += 1;
        Job {
            model: model.to_owned(),
            version: version.clone(),
            serial: self.serial,
        }
    }

    pub(super) fn queue_load(&mut self, job: Job) {
        self.patient.push_back(job);
    }

    pub(super) fn queue_wake(&mut self, job: Job) {
        self.urgent.push_back(job);
    }

    pub(super) fn next_job(&mut self) -> Option<Job> {
        self.urgent.pop_front().or_else(|| self.patient.pop_front())
    }

    pub(super) fn pipeline(
        &self,
        model: &str,
        (topics, options): (ModelTopics, ReadingOptions),
    ) -> anyhow::Result<Pipeline> {
        let surroundings = Surroundings {
            settings: &self.settings,
            replica: &self.replica,
            producer: &self.producer,
            topics,
            options,
            kafka_metrics: &self.kafka_metrics,
            metrics: self.metrics.of_model(model),
            fatal: self.fatal.clone(),
            safety: self.safety.clone(),
            store: self.store.clone(),
        };
        Pipeline::start(model, surroundings)
    }

    /// Rung when a record comes for a version whose engines are away.
    pub(super) fn bell(&self, model: &str, version: i64) -> Bell {
        let (messages, model) = (self.messages.clone(), model.to_owned());
        Box::new(move || {
            let _ = messages.send(Message::Called {
                model: model.clone(),
                version,
            });
        })
    }
}
