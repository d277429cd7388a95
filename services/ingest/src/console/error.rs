//! What the console cannot do.

use millrace_kafka::TransactionError;
use millrace_wire::Status;

use crate::front::error::Kind;

/// Why the console gets no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConsoleError {
    #[error("there is no console: the setting console.enabled turns it on")]
    Off,
    #[error("Kafka does not answer the console: {0}")]
    Kafka(#[from] millrace_kafka::Error),
    #[error(
        "letters must be 1 to {} places such as \"3@17\" in {{\"letters\": [...]}}",
        super::requeue::MOST
    )]
    Letters,
    #[error("dead letter {place} is not there; it was deleted, or never was")]
    NoLetter { place: String },
    #[error("dead letter {place} was written back before; see the list")]
    Requeued { place: String },
    #[error("dead letter {place} has no value to write back")]
    NoValue { place: String },
    #[error(
        "dead letter {place} lies too far back for the console; use millrace dead-letters requeue {place}"
    )]
    TooOld { place: String },
    #[error("nothing was written back; is another requeue at work? {0}")]
    NotWritten(TransactionError),
    #[error("nobody knows whether the letters were written back; the list shows it: {0}")]
    Unknown(TransactionError),
}

impl ConsoleError {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Off => Kind::new(Status::NotFound, "no_such_path"),
            Self::Kafka(_) => Kind::busy("console_kafka", 5),
            Self::Letters => Kind::invalid("letters"),
            Self::NoLetter { .. } => Kind::new(Status::NotFound, "no_letter"),
            Self::Requeued { .. } => {
                Kind::new(Status::FailedPrecondition, "letter_requeued").over_http(409)
            }
            Self::NoValue { .. } | Self::TooOld { .. } => {
                Kind::new(Status::FailedPrecondition, "letter_unusable").over_http(422)
            }
            Self::NotWritten(_) | Self::Unknown(_) => Kind::busy("letters_not_written", 1),
        }
    }
}
