//! What can go wrong in a client as a whole; failures of single records are
//! `SendError` and `DeliveryError`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::error::KafkaError;

use crate::failure::{self, Failure};

/// Why a client could not start, had to stop, or did not answer in time.
///
/// Cloning is cheap; the same error may be reported to several waiters.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The librdkafka that this binary found at run time has known data-loss
    /// bugs.
    #[error("librdkafka {found} is too old, {required} or newer is needed")]
    LibraryTooOld {
        /// Version found, as librdkafka prints it.
        found: String,
        /// Oldest version that is accepted.
        required: &'static str,
    },
    /// A Kafka option of the user would undo a guarantee.
    #[error("kafka option {key}={value} is refused: {reason}")]
    OptionRefused {
        /// Name of the option as the user wrote it.
        key: String,
        /// Value of the option.
        value: String,
        /// What it would break or which setting to use instead.
        reason: &'static str,
    },
    /// The file that holds an option's value cannot be read.
    #[error("kafka option {key}: cannot read {path}: {source}")]
    OptionFile {
        /// Name of the option.
        key: String,
        /// The path as set.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        source: Arc<std::io::Error>,
    },
    /// Settings that librdkafka itself does not accept.
    #[error("kafka settings of the {client} are not usable: {source}")]
    Settings {
        /// Which client was being built.
        client: &'static str,
        /// What librdkafka says.
        #[source]
        source: KafkaError,
    },
    /// A setting of this crate has an impossible value.
    #[error("{setting} must be {expected}, not {given}")]
    BadSetting {
        /// Name of the setting.
        setting: &'static str,
        /// What is accepted.
        expected: &'static str,
        /// What was given.
        given: String,
    },
    /// The operating system refused a thread.
    #[error("cannot start the thread {name}: {source}")]
    Thread {
        /// Name of the thread.
        name: String,
        /// What the operating system says.
        #[source]
        source: Arc<std::io::Error>,
    },
    /// The broker answered with an error, or librdkafka gave up.
    #[error("{what}: {source}{}", failure::advice_suffix(.source))]
    Kafka {
        /// What was being done, with the topic or group it was done to.
        what: String,
        /// What the broker or librdkafka says.
        #[source]
        source: KafkaError,
    },
    /// No answer came in time.
    #[error("{what} did not finish within {} ms", .waited.as_millis())]
    TimedOut {
        /// What was being waited for.
        what: String,
        /// How long.
        waited: Duration,
    },
    /// A topic is not there.
    #[error("topic {topic} does not exist; create it (millrace topics apply) or correct its name")]
    NoTopic {
        /// Name of the missing topic.
        topic: String,
    },
    /// The producer stopped with records that the broker never acknowledged;
    /// each of them got its callback with an error.
    #[error("{count} records were not acknowledged before the producer stopped")]
    Undelivered {
        /// How many.
        count: usize,
    },
    /// Records were handed out whose outcome was unknown when the consumer
    /// stopped; they stay uncommitted and will be read again.
    #[error("{count} records were still unfinished at the drain deadline")]
    Unfinished {
        /// How many.
        count: usize,
    },
    /// A ticket was dropped without `done`, and too many records wait behind it.
    #[error(
        "record {topic}/{partition}/{offset} was dropped without an outcome and {waiting} records wait behind it"
    )]
    Abandoned {
        /// Topic of the dropped record.
        topic: String,
        /// Partition of the dropped record.
        partition: i32,
        /// Offset of the dropped record.
        offset: i64,
        /// Records read after it whose offsets cannot be committed.
        waiting: usize,
    },
    /// The intake could not say where to start.
    #[error("the intake refused partitions: {0}")]
    Intake(#[source] IntakeError),
    /// The callback of a client panicked; its thread has ended.
    #[error("the thread {thread} panicked: {message}")]
    Panicked {
        /// Name of the thread.
        thread: String,
        /// The panic's message.
        message: String,
    },
}

impl Error {
    /// How the pipeline should take this error. Everything that is not known
    /// to be temporary is fatal.
    #[must_use]
    pub fn failure(&self) -> Failure {
        match self {
            Error::Kafka { source, .. } => failure::classify(source),
            Error::TimedOut { .. } | Error::Undelivered { .. } | Error::Unfinished { .. } => {
                Failure::Transient
            }
            Error::LibraryTooOld { .. }
            | Error::OptionRefused { .. }
            | Error::OptionFile { .. }
            | Error::Settings { .. }
            | Error::BadSetting { .. }
            | Error::Thread { .. }
            | Error::NoTopic { .. }
            | Error::Abandoned { .. }
            | Error::Intake(_)
            | Error::Panicked { .. } => Failure::Fatal,
        }
    }

    pub(crate) fn kafka(what: impl Into<String>, source: KafkaError) -> Self {
        Error::Kafka {
            what: what.into(),
            source,
        }
    }
}

/// An intake's own error, of whatever type it has.
#[derive(Clone, Debug, thiserror::Error)]
#[error(transparent)]
pub struct IntakeError(Arc<dyn std::error::Error + Send + Sync>);

impl IntakeError {
    /// Wraps an error (or a sentence) of the intake.
    pub fn new(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(Arc::from(error.into()))
    }
}
