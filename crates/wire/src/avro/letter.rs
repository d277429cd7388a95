//! What is done with dead letters, the same for every tool: where one is, and the record that it was.

use std::fmt;

use serde::{Serialize, Serializer};

use super::DeadLetter;
use crate::headers::{ATTEMPTS, DEADLINE, REPLY_TO};

/// The place of a dead letter in its topic, written `partition@offset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LetterPlace {
    /// The partition, at least 0.
    pub partition: i32,
    /// The offset, at least 0.
    pub offset: i64,
}

/// The record that a dead letter was, to be written once more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Original {
    /// Its topic.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Option<Vec<u8>>,
    /// Its headers in their order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

impl LetterPlace {
    /// Reads `partition@offset`.
    pub fn parse(text: &str) -> Option<Self> {
        let (partition, offset) = text.split_once('@')?;
        let place = Self {
            partition: partition.parse().ok()?,
            offset: offset.parse().ok()?,
        };
        (place.partition >= 0 && place.offset >= 0).then_some(place)
    }

    /// The place that a note names, by the value of its header [`crate::headers::REQUEUED`].
    pub fn of_note(value: &[u8]) -> Option<Self> {
        Self::parse(std::str::from_utf8(value).ok()?)
    }
}

impl fmt::Display for LetterPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.partition, self.offset)
    }
}

impl Serialize for LetterPlace {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl DeadLetter {
    /// The record as it was, but for what only its first sender needed, and with how often it was
    /// tried.
    pub fn into_original(self) -> Original {
        let mut headers = Vec::with_capacity(self.headers.len() + 1);
        let mut attempts = i64::from(self.attempts);
        for header in self.headers {
            match header.name.as_str() {
                DEADLINE | REPLY_TO => {}
                ATTEMPTS => {
                    let text = header.value.as_deref();
                    let text = text.and_then(|value| std::str::from_utf8(value).ok());
                    let before: i64 = text.and_then(|text| text.parse().ok()).unwrap_or(0);
                    attempts = attempts.saturating_add(before);
                }
                _ => headers.push((header.name, header.value)),
            }
        }
        headers.push((ATTEMPTS.to_owned(), Some(attempts.to_string().into_bytes())));
        Original {
            topic: self.topic,
            partition: self.partition,
            key: self.key,
            value: self.value,
            headers,
        }
    }
}
