//! Start-up on a thread of its own, so that `/live` and signals are answered while brokers are awaited and models load.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use anyhow::Context;
use millrace_boot::Shutdown;
use millrace_kafka::{Admin, Producer, ProducerSettings};
use millrace_wire::avro::ModelState;
use tokio::sync::mpsc;
use tracing::info;

use crate::descriptors::{Publisher, announcement};
use crate::engine::Libraries;
use crate::fatal::Fatal;
use crate::metrics::Metrics;
use crate::models;
use crate::pipeline::{Pipeline, Slot, Surroundings, Table};
use crate::repository::{ModelEntry, ModelError, ModelSource, Repository};
use crate::safety::Safety;
use crate::settings::Settings;
use crate::topics::{ModelTopics, Stopping, TopicWait};

/// What start-up has reached.
#[derive(Debug)]
pub(crate) enum Event {
    /// The broker and the shared topics are there.
    Connected {
        producer: Producer,
        publisher: Publisher,
    },
    /// A model is loaded and warmed up, and its consumer is joining.
    Started(Box<Pipeline>),
    /// A model cannot be served; the others go on.
    Refused {
        model: String,
        version: i64,
        reason: String,
    },
    /// Nothing more comes.
    Finished,
}

/// Everything that start-up needs.
#[derive(Debug)]
pub(crate) struct Startup {
    pub(crate) settings: Settings,
    pub(crate) replica: String,
    pub(crate) libraries: Libraries,
    pub(crate) repository: Repository,
    pub(crate) found: Vec<ModelEntry>,
    pub(crate) shutdown: Shutdown,
    pub(crate) metrics: Metrics,
    pub(crate) kafka_metrics: millrace_kafka::Metrics,
    pub(crate) fatal: Fatal,
    pub(crate) safety: Safety,
}

impl Startup {
    /// Begins; events come in the order of [`Event`], the channel closes at the end. A failure is fatal.
    pub(crate) fn spawn(self) -> anyhow::Result<(JoinHandle<()>, mpsc::UnboundedReceiver<Event>)> {
        // There are as many events as models, so the channel is bounded by the model folder.
        let (events, receiver) = mpsc::unbounded_channel();
        let run = move || match self.run(&events) {
            Err(error) if !error.is::<Stopping>() => self.fatal.report(error),
            Ok(()) | Err(_) => {}
        };
        let thread = thread::Builder::new()
            .name("start-up".to_owned())
            .spawn(run)
            .context("cannot start a thread")?;
        Ok((thread, receiver))
    }

    fn run(&self, events: &mpsc::UnboundedSender<Event>) -> anyhow::Result<()> {
        let admin = Admin::connect(&self.settings.kafka)?;
        let producer = Producer::start(&self.producer_settings(), &self.kafka_metrics)?;
        let mut wait = TopicWait::new(&admin, &self.settings.topics, &self.shutdown);
        let shared = wait.shared(&self.settings.topics.prefix)?;
        let publisher = Publisher::start(
            producer.clone(),
            shared.models.clone(),
            self.settings.models.lease,
        )?;
        for found in &self.found {
            publisher.publish(announcement(
                &self.replica,
                &found.name,
                version(found),
                ModelState::Loading,
            ));
        }
        let _ = events.send(Event::Connected {
            producer: producer.clone(),
            publisher,
        });
        for found in &self.found {
            if self.shutdown.is_begun() {
                return Err(Stopping.into());
            }
            let event = match self.start(found, &producer, &mut || {
                wait.of_model(&shared, &found.name)
            })? {
                Ok(pipeline) => Event::Started(Box::new(pipeline)),
                Err(reason) => Event::Refused {
                    model: found.name.clone(),
                    version: version(found),
                    reason,
                },
            };
            let _ = events.send(event);
        }
        let _ = events.send(Event::Finished);
        Ok(())
    }

    /// The inner error is the model's own fault; the outer one is everybody's.
    fn start(
        &self,
        found: &ModelEntry,
        producer: &Producer,
        topics: &mut dyn FnMut() -> anyhow::Result<ModelTopics>,
    ) -> anyhow::Result<Result<Pipeline, String>> {
        let source = match self.fetch(found) {
            Ok(source) => source,
            Err(error) => return Ok(Err(with_causes(&error))),
        };
        info!(
            model = source.name,
            version = source.version,
            size_bytes = source.size_bytes,
            "loading"
        );
        let model = match models::load(&source, &self.libraries, &self.safety) {
            Ok(model) => model,
            Err(error) => return Ok(Err(format!("{error:#}"))),
        };
        let surroundings = Surroundings {
            settings: &self.settings,
            producer,
            topics: topics()?,
            kafka_metrics: &self.kafka_metrics,
            metrics: self.metrics.of_model(&source.name),
            fatal: self.fatal.clone(),
            safety: self.safety.clone(),
        };
        let mut pipeline = Pipeline::start(&source.name, surroundings)?;
        let slot = Arc::new(Slot::new(source.version));
        pipeline.open(&slot, model, Box::new(|| {}))?;
        pipeline.switch().set(Table {
            model: source.name.clone(),
            slots: BTreeMap::from([(source.version, slot)]),
            default: Some(source.version),
            ..Table::default()
        });
        pipeline.consume()?;
        Ok(Ok(pipeline))
    }

    /// The highest version that is wanted.
    fn fetch(&self, found: &ModelEntry) -> Result<ModelSource, ModelError> {
        let wanted = found.wanted()?;
        let version = wanted.last().ok_or_else(|| ModelError::NoVersion {
            model: found.name.clone(),
        })?;
        self.repository.fetch(&found.name, version)
    }

    fn producer_settings(&self) -> ProducerSettings {
        let producer = &self.settings.producer;
        ProducerSettings {
            cluster: self.settings.kafka.clone(),
            linger: producer.linger,
            message_timeout: None,
            max_queue_bytes: producer.max_queue_bytes,
            max_record_bytes: producer.max_record_bytes,
            ..ProducerSettings::default()
        }
    }
}

/// An error and its causes in one line.
fn with_causes(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    line
}

/// 0 for a model of which no version could be found.
fn version(found: &ModelEntry) -> i64 {
    let wanted = found.wanted().ok();
    wanted
        .and_then(|wanted| Some(wanted.last()?.version))
        .unwrap_or(0)
}
