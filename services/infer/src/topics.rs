//! The topics of this service: their names, and waiting for them at start.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::bail;
use millrace_boot::Shutdown;
use millrace_kafka::{Admin, Failure};
use tracing::{info, warn};

use crate::repository::BULK_END;
use crate::settings::TopicSettings;

/// How often missing topics are looked for again.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// librdkafka's `batch.size`, unless the user sets another one.
const BATCH_BYTES: usize = 1_000_000;
/// How often the log says what is still missing.
const SAY_AGAIN: Duration = Duration::from_secs(5);

/// A topic that is written to.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) topic: Arc<str>,
    pub(crate) partitions: i32,
    /// The topic's `max.message.bytes`. A larger record would take those down that share its batch on the way to the
    /// broker, so it must not be sent.
    pub(crate) max_record_bytes: usize,
}

/// The topics of one model.
#[derive(Debug, Clone)]
pub(crate) struct ModelTopics {
    pub(crate) requests: Arc<str>,
    /// Where there is a bulk lane.
    pub(crate) bulk_requests: Option<Arc<str>>,
    pub(crate) results: Target,
    pub(crate) replies: Target,
    pub(crate) dead_letters: Target,
}

/// The topics that all models share.
#[derive(Debug, Clone)]
pub(crate) struct SharedTopics {
    pub(crate) prefix: String,
    pub(crate) models: Arc<str>,
    pub(crate) replies: Target,
    pub(crate) dead_letters: Target,
}

/// Looks for topics until they are there, the deadline has passed or the process stops.
pub(crate) struct TopicWait<'a> {
    admin: &'a Admin,
    shutdown: &'a Shutdown,
    until: Instant,
    said: Option<Instant>,
}

/// The process stops; there is nothing to wait for any more.
#[derive(Debug, thiserror::Error)]
#[error("stopping")]
pub(crate) struct Stopping;

impl<'a> TopicWait<'a> {
    pub(crate) fn new(admin: &'a Admin, settings: &TopicSettings, shutdown: &'a Shutdown) -> Self {
        Self {
            admin,
            shutdown,
            until: Instant::now() + settings.wait,
            said: None,
        }
    }

    /// Waits for the topics that all models share.
    ///
    /// # Errors
    /// [`Stopping`], or a sentence that names what is missing and says what to do.
    pub(crate) fn shared(&mut self, prefix: &str) -> anyhow::Result<SharedTopics> {
        let models = format!("{prefix}.models");
        self.partitions(&models)?;
        Ok(SharedTopics {
            prefix: prefix.to_owned(),
            models: Arc::from(models),
            replies: self.target(format!("{prefix}.replies"))?,
            dead_letters: self.target(format!("{prefix}.dead-letters"))?,
        })
    }

    /// Waits for the topics of one model.
    ///
    /// # Errors
    /// As [`shared`](Self::shared).
    pub(crate) fn of_model(
        &mut self,
        shared: &SharedTopics,
        (model, has_bulk): (&str, bool),
    ) -> anyhow::Result<ModelTopics> {
        let requests = format!("{}.requests.{model}", shared.prefix);
        let results = format!("{}.results.{model}", shared.prefix);
        self.partitions(&requests)?;
        let bulk = has_bulk.then(|| format!("{requests}{BULK_END}"));
        if let Some(bulk) = &bulk {
            self.partitions(bulk)?;
        }
        Ok(ModelTopics {
            bulk_requests: bulk.map(Arc::from),
            requests: Arc::from(requests),
            results: self.target(results)?,
            replies: shared.replies.clone(),
            dead_letters: shared.dead_letters.clone(),
        })
    }

    fn target(&mut self, topic: String) -> anyhow::Result<Target> {
        let partitions = self.partitions(&topic)?;
        let max_record_bytes = self
            .admin
            .max_message_bytes(&topic)
            .unwrap_or_else(|error| {
                // Not everybody may read a topic's configuration; the broker then refuses what is too large.
                warn!(topic, %error, "the topic's max.message.bytes is not known");
                usize::MAX
            });
        if max_record_bytes < BATCH_BYTES {
            warn!(
                topic,
                max_record_bytes,
                "the topic's max.message.bytes is below the batches that are sent to it; set kafka.options.batch.size \
                 to at most that, or the broker may refuse whole batches"
            );
        }
        Ok(Target {
            topic: Arc::from(topic),
            partitions,
            max_record_bytes,
        })
    }

    fn partitions(&mut self, topic: &str) -> anyhow::Result<i32> {
        loop {
            let problem = match self.admin.partition_count(topic) {
                Ok(Some(count)) => return Ok(i32::try_from(count)?),
                Ok(None) => {
                    format!("topic {topic} does not exist; create it with `millrace topics apply`")
                }
                Err(error) if error.failure() == Failure::Fatal => return Err(error.into()),
                Err(error) => error.to_string(),
            };
            if self.shutdown.is_begun() {
                return Err(Stopping.into());
            }
            if Instant::now() >= self.until {
                bail!("gave up waiting after topics.wait: {problem}");
            }
            if self.said.is_none_or(|said| said.elapsed() >= SAY_AGAIN) {
                info!("not ready yet: {problem}");
                self.said = Some(Instant::now());
            }
            thread::sleep(LOOK_AGAIN);
        }
    }
}
