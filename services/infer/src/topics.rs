//! The topics of this service: their names, and waiting for them at start.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::bail;
use millrace_boot::Shutdown;
use millrace_kafka::{Admin, Failure};
use tracing::info;

use crate::settings::TopicSettings;

/// How often missing topics are looked for again.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// How often the log says what is still missing.
const SAY_AGAIN: Duration = Duration::from_secs(5);

/// The topics of one model, with the partition counts that results and replies need.
#[derive(Debug, Clone)]
pub(crate) struct ModelTopics {
    pub(crate) requests: Arc<str>,
    pub(crate) results: Arc<str>,
    pub(crate) results_partitions: i32,
    pub(crate) replies: Arc<str>,
    pub(crate) replies_partitions: i32,
    pub(crate) dead_letters: Arc<str>,
}

/// The topics that all models share.
#[derive(Debug, Clone)]
pub(crate) struct SharedTopics {
    pub(crate) prefix: String,
    pub(crate) models: Arc<str>,
    pub(crate) replies: Arc<str>,
    pub(crate) replies_partitions: i32,
    pub(crate) dead_letters: Arc<str>,
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
        let replies = format!("{prefix}.replies");
        let dead_letters = format!("{prefix}.dead-letters");
        self.partitions(&models)?;
        self.partitions(&dead_letters)?;
        Ok(SharedTopics {
            prefix: prefix.to_owned(),
            models: Arc::from(models),
            replies_partitions: self.partitions(&replies)?,
            replies: Arc::from(replies),
            dead_letters: Arc::from(dead_letters),
        })
    }

    /// Waits for the topics of one model.
    ///
    /// # Errors
    /// As [`shared`](Self::shared).
    pub(crate) fn of_model(
        &mut self,
        shared: &SharedTopics,
        model: &str,
    ) -> anyhow::Result<ModelTopics> {
        let requests = format!("{}.requests.{model}", shared.prefix);
        let results = format!("{}.results.{model}", shared.prefix);
        self.partitions(&requests)?;
        Ok(ModelTopics {
            requests: Arc::from(requests),
            results_partitions: self.partitions(&results)?,
            results: Arc::from(results),
            replies: Arc::clone(&shared.replies),
            replies_partitions: shared.replies_partitions,
            dead_letters: Arc::clone(&shared.dead_letters),
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
