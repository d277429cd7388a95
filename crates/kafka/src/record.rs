//! Records as they come from and go to Kafka: bytes, coordinates, headers.

use std::sync::Arc;

use rdkafka::message::{BorrowedMessage, Message};

use crate::headers::{self, Headers};

/// Bytes that a record costs us beyond its key, value and headers, so that
/// many empty records cannot get past a byte budget.
pub(crate) const OVERHEAD_BYTES: usize = 256;

/// A record read from a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Topic it was read from; shared by all records of a partition.
    pub topic: Arc<str>,
    /// Partition it was read from.
    pub partition: i32,
    /// Offset within the partition.
    pub offset: i64,
    /// The producer's or the broker's time, in milliseconds since 1970, or
    /// `None` for records of ancient formats.
    pub timestamp_unix_ms: Option<i64>,
    /// Key, if the record has one.
    pub key: Option<Vec<u8>>,
    /// Value; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    /// Headers in the order of the producer.
    pub headers: Headers,
}

impl Record {
    /// The one copy out of librdkafka's buffers.
    pub(crate) fn copy_from(message: &BorrowedMessage<'_>, topic: &Arc<str>) -> Self {
        Self {
            topic: Arc::clone(topic),
            partition: message.partition(),
            offset: message.offset(),
            timestamp_unix_ms: message.timestamp().to_millis(),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers: headers::copy_from(message),
        }
    }

    /// Bytes that this record counts against a budget: key, value, headers and
    /// a fixed overhead.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        size_bytes(self.key.as_deref(), self.value.as_deref(), &self.headers)
    }
}

/// A record to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutRecord {
    /// Topic to write to.
    pub topic: Arc<str>,
    /// Partition to write to, or `None` to choose by key as Java producers do
    /// (murmur2), at random without a key.
    pub partition: Option<i32>,
    /// Key, if any.
    pub key: Option<Vec<u8>>,
    /// Value; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    /// Headers, written in this order.
    pub headers: Headers,
}

impl OutRecord {
    /// Bytes that this record counts against a budget: key, value, headers and
    /// a fixed overhead.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        size_bytes(self.key.as_deref(), self.value.as_deref(), &self.headers)
    }
}

fn size_bytes(key: Option<&[u8]>, value: Option<&[u8]>, headers: &Headers) -> usize {
    key.map_or(0, <[u8]>::len)
        + value.map_or(0, <[u8]>::len)
        + headers.size_bytes()
        + OVERHEAD_BYTES
}
