//! The Avro messages of the models, control and dead-letters topics, in single-object encoding: two marker
//! bytes, the fingerprint of the schema in `schemas/`, the datum.

mod change;
mod dead_letter;
mod letter;
mod model_control;
mod model_descriptor;
mod single_object;
mod walk;

pub use change::{ControlChange, Progress};
pub use dead_letter::{DeadLetter, Header};
pub use letter::{LetterPlace, Original};
pub use model_control::{Canary, ModelControl};
pub use model_descriptor::{ModelDescriptor, ModelState, TensorDescription};

/// Why Avro bytes cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum AvroError {
    /// The bytes are not a single-object encoding.
    #[error("message is not an Avro single object")]
    NotSingleObject,
    /// The message was written with a schema that we do not know.
    #[error(
        "message has an unknown schema, fingerprint {fingerprint:016x}; expected {expected:016x}"
    )]
    UnknownSchema {
        /// CRC-64-AVRO of the writer's schema.
        fingerprint: u64,
        /// CRC-64-AVRO of our schema.
        expected: u64,
    },
    /// The datum does not follow its schema.
    #[error("message is damaged at byte {at}: {what}")]
    Damaged {
        /// Where, counted from the start of the message.
        at: usize,
        /// What is wrong there.
        what: &'static str,
    },
    /// Values that the schema takes but the message must not have.
    #[error("field {field} must be {expected}")]
    Field {
        /// The field.
        field: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// The Avro library refused.
    #[error("message cannot be translated")]
    Translate {
        /// The library's error.
        #[source]
        source: Box<apache_avro::Error>,
    },
}
