//! One model from its requests topic to its results topic: poll thread → queue → engine threads → producer. A record's
//! ticket ends when the broker has acknowledged its result, and its dead letter if it has one.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Context;
use millrace_kafka::{GroupConsumer, GroupSettings, Producer, State};
use millrace_wire::Signature;

use crate::batch::BatchQueue;
use crate::fatal::Fatal;
use crate::metrics::ModelMetrics;
use crate::models::LoadedModel;
use crate::settings::Settings;
use crate::topics::ModelTopics;

mod intake;
mod lane;
mod outcome;
mod request;
mod results;
mod worker;

use intake::RequestIntake;
use outcome::Settled;
use request::Part;
use results::Results;
use worker::Worker;

/// What waits between the poll thread and the engine threads.
type Queue = BatchQueue<Part, Settled>;

/// Engine threads get this long to end once their queue is closed and empty.
const JOIN_DEADLINE: Duration = Duration::from_secs(5);

/// The parts of the process that every pipeline uses.
pub(crate) struct Surroundings<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) producer: &'a Producer,
    pub(crate) topics: ModelTopics,
    pub(crate) kafka_metrics: &'a millrace_kafka::Metrics,
    pub(crate) metrics: ModelMetrics,
    pub(crate) fatal: Fatal,
}

/// A model that is being served.
#[derive(Debug)]
pub(crate) struct Pipeline {
    pub(crate) model: Served,
    consumer: GroupConsumer,
    queue: Arc<Queue>,
    engines: Vec<JoinHandle<()>>,
    metrics: ModelMetrics,
    kafka_metrics: millrace_kafka::Metrics,
    group: String,
    requests: String,
}

/// What is said about a model that is being served.
#[derive(Debug, Clone)]
pub(crate) struct Served {
    pub(crate) name: String,
    pub(crate) version: i64,
    pub(crate) sha256: String,
    pub(crate) signature: Signature,
    pub(crate) max_batch_rows: usize,
}

impl Pipeline {
    /// Starts the engine threads, then the consumer.
    pub(crate) fn start(
        model: LoadedModel,
        surroundings: Surroundings<'_>,
    ) -> anyhow::Result<Self> {
        let served = Served::of(&model);
        let max_batch_rows = i64::try_from(served.max_batch_rows).unwrap_or(i64::MAX);
        surroundings.metrics.max_batch_rows.set(max_batch_rows);
        let queue = Arc::new(Queue::new(model.batch));
        let results = Arc::new(Results::new(
            surroundings.producer.clone(),
            surroundings.topics.clone(),
            results::Shared {
                model: served.clone(),
                queue: Arc::clone(&queue),
                metrics: surroundings.metrics.clone(),
                fatal: surroundings.fatal.clone(),
            },
        ));
        let mut engines = Vec::with_capacity(model.engines.len());
        for (index, engine) in model.engines.into_iter().enumerate() {
            let worker = Worker::new(engine, Arc::clone(&model.build), Arc::clone(&results));
            engines.push(worker.spawn(&format!("engine {} {index}", served.name))?);
        }
        let group = group_settings(&surroundings, &served.name);
        let intake = RequestIntake::new(
            &served,
            &surroundings.settings.consumer,
            Arc::clone(&queue),
            surroundings.metrics.clone(),
        );
        let consumer = GroupConsumer::start(group.clone(), intake, surroundings.kafka_metrics)
            .context("the consumer cannot start")?;
        Ok(Self {
            model: served,
            group: group.group,
            requests: surroundings.topics.requests.to_string(),
            kafka_metrics: surroundings.kafka_metrics.clone(),
            metrics: surroundings.metrics,
            queue,
            consumer,
            engines,
        })
    }

    /// Records of this process's partitions that are not answered yet.
    pub(crate) fn backlog_records(&self) -> i64 {
        self.kafka_metrics.lag_records(&self.group, &self.requests)
    }

    /// What the consumer is doing.
    pub(crate) fn state(&self) -> State {
        self.consumer.state().borrow().clone()
    }

    /// Sets the gauge that says whether the model is served.
    pub(crate) fn mark_available(&self, available: bool) {
        self.metrics.available.set(i64::from(available));
    }

    /// Takes no more records, finishes those it has, commits, leaves the group and ends the engine threads.
    pub(crate) fn stop(self, deadline: Duration) -> anyhow::Result<()> {
        self.mark_available(false);
        self.queue.hurry();
        let stopped = self.consumer.stop(deadline);
        self.queue.close();
        let until = Instant::now() + JOIN_DEADLINE;
        for engine in self.engines {
            // There is no join with a deadline; a run that hangs must not keep the process.
            while !engine.is_finished() && Instant::now() < until {
                thread::sleep(Duration::from_millis(1));
            }
            anyhow::ensure!(
                engine.is_finished(),
                "an engine of model {} does not end",
                self.model.name
            );
            anyhow::ensure!(
                engine.join().is_ok(),
                "an engine of model {} panicked",
                self.model.name
            );
        }
        stopped.with_context(|| format!("model {}", self.model.name))
    }
}

impl Served {
    fn of(model: &LoadedModel) -> Self {
        Self {
            name: model.name.clone(),
            version: model.version,
            sha256: model.sha256.clone(),
            signature: model.signature.clone(),
            max_batch_rows: model.batch.max_rows,
        }
    }
}

fn group_settings(surroundings: &Surroundings<'_>, model: &str) -> GroupSettings {
    let settings = surroundings.settings;
    GroupSettings {
        cluster: settings.kafka.clone(),
        group: format!("{}.infer.{model}", settings.topics.prefix),
        topics: vec![surroundings.topics.requests.to_string()],
        max_in_flight_bytes: settings.consumer.max_in_flight_bytes,
        max_in_flight_records: settings.consumer.max_in_flight_records,
        commit_interval: settings.consumer.commit_interval,
        drain_deadline: settings.drain_deadline,
        instance_id: settings.consumer.instance_id.clone(),
        max_record_bytes: settings.consumer.max_record_bytes,
        ..GroupSettings::default()
    }
}
