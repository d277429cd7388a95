//! Start-up on a thread of its own, so that `/live` and signals are answered while brokers are awaited and models load.
//! The same thread then is that of the lifecycle, and takes everything back at the end.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Context;
use millrace_boot::{Gate, Shutdown};
use millrace_claims::Store;
use millrace_kafka::{Admin, Producer, ProducerSettings};

use crate::descriptors::Publisher;
use crate::engine::Libraries;
use crate::fatal::Fatal;
use crate::lifecycle::{Furniture, Lifecycle, Means};
use crate::metrics::Metrics;
use crate::repository::{ModelEntry, Repository};
use crate::safety::Safety;
use crate::settings::Settings;
use crate::topics::{Stopping, TopicWait};

/// A stop waits this long for the last results and tombstones.
pub(crate) const PRODUCER_DEADLINE: Duration = Duration::from_secs(10);

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
    pub(crate) store: Option<Arc<Store>>,
    pub(crate) gate: Gate,
}

impl Startup {
    /// Begins; the thread ends some time after the shutdown began, with what could not be finished. A failure before
    /// that is fatal.
    pub(crate) fn spawn(self) -> anyhow::Result<JoinHandle<anyhow::Result<()>>> {
        let fatal = self.fatal.clone();
        let run = move || match self.run() {
            Err(error) if !error.is::<Stopping>() => {
                fatal.report(error);
                Ok(())
            }
            Ok(stopped) => stopped,
            Err(_) => Ok(()),
        };
        thread::Builder::new()
            .name("lifecycle".to_owned())
            .spawn(run)
            .context("cannot start a thread")
    }

    /// The inner result is that of the stop.
    fn run(self) -> anyhow::Result<anyhow::Result<()>> {
        let admin = Admin::connect(&self.settings.kafka)?;
        let producer = Producer::start(&self.producer_settings(), &self.kafka_metrics)?;
        let mut wait = TopicWait::new(&admin, &self.settings.topics, &self.shutdown);
        let shared = wait.shared(&self.settings.topics.prefix)?;
        let publisher = Publisher::start(
            producer.clone(),
            shared.models.clone(),
            self.settings.models.lease,
        )?;
        let furniture = Furniture {
            settings: self.settings,
            replica: self.replica,
            producer: producer.clone(),
            metrics: self.metrics,
            kafka_metrics: self.kafka_metrics,
            fatal: self.fatal.clone(),
            safety: self.safety.clone(),
            store: self.store,
        };
        let means = Means {
            repository: self.repository,
            libraries: self.libraries,
            admin,
            shared,
            shutdown: self.shutdown,
            publisher,
            gate: self.gate.clone(),
        };
        let mut lifecycle = Lifecycle::new(furniture, means, &self.found)?;
        if let Err(error) = lifecycle.run(self.found) {
            self.fatal.report(error);
        }
        self.gate.close("stopping");
        let stopped = lifecycle.stop();
        let sent = producer.stop(PRODUCER_DEADLINE).map_err(Into::into);
        Ok(stopped.and(sent))
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
