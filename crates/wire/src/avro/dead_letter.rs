//! A record that could never succeed, as it was, and why.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::AvroError;
use super::single_object::KnownSchema;

static SCHEMA: LazyLock<KnownSchema> =
    LazyLock::new(|| KnownSchema::parse(include_str!("../../../../schemas/dead_letter.avsc")));

/// The value of a record of the dead-letters topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The original record's key.
    #[serde(with = "apache_avro::serde::bytes_opt")]
    pub key: Option<Vec<u8>>,
    /// The original record's value.
    #[serde(with = "apache_avro::serde::bytes_opt")]
    pub value: Option<Vec<u8>>,
    /// The original record's headers in their order, repeated ones included.
    pub headers: Vec<Header>,
    /// Where the original record is.
    pub topic: String,
    /// Where the original record is.
    pub partition: i32,
    /// Where the original record is.
    pub offset: i64,
    /// The original record's timestamp; -1 if it had none.
    pub timestamp_unix_ms: i64,
    /// A gRPC status code by name.
    pub code: String,
    /// Why it failed, as a sentence.
    pub reason: String,
    /// Where it failed, such as `decode`, `infer`, `write`.
    pub stage: String,
    /// The model; empty where none was involved.
    pub model: String,
    /// How often it was tried.
    pub attempts: i32,
    /// When it failed for the last time.
    pub failed_at_unix_ms: i64,
}

/// A header of the original record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The header's name; need not be unique.
    pub name: String,
    /// The header's value.
    #[serde(with = "apache_avro::serde::bytes_opt")]
    pub value: Option<Vec<u8>>,
}

impl DeadLetter {
    /// The message as single-object encoded Avro.
    pub fn encode(&self) -> Result<Vec<u8>, AvroError> {
        SCHEMA.encode(self)
    }

    /// Reads a message; any bytes are answered with a value or an error.
    pub fn decode(message: &[u8]) -> Result<Self, AvroError> {
        SCHEMA.decode(message)
    }
}
