//! What can happen to a record that is sent.

use std::fmt;
use std::sync::Arc;

use rdkafka::error::KafkaError;

use crate::error::Error;
use crate::failure::{self, Failure};
use crate::record::OutRecord;

/// Where a record ended up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// Partition it was written to.
    pub partition: i32,
    /// Its offset there.
    pub offset: i64,
}

/// Why an accepted record was not acknowledged. It may be in the topic all the
/// same if the acknowledgement got lost.
#[derive(Clone, Debug, thiserror::Error)]
#[error("record for topic {topic} was not delivered: {source}{}", failure::advice_suffix(.source))]
pub struct DeliveryError {
    /// Topic of the record.
    pub topic: Arc<str>,
    /// What to do about it.
    pub failure: Failure,
    /// What the broker or librdkafka says.
    #[source]
    pub source: KafkaError,
}

/// Why a record was not accepted.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SendError {
    /// The byte budget is spent; try again when deliveries have come in.
    #[error("the producer has as many unacknowledged bytes as it may")]
    Busy,
    /// The record is above the limit and was never given to Kafka.
    #[error("the record has {size_bytes} bytes, the limit is {limit_bytes}")]
    TooLarge {
        /// Bytes of the record with its overhead.
        size_bytes: usize,
        /// `max_record_bytes`.
        limit_bytes: usize,
    },
    /// Kafka cannot take this record, for example because the topic has no
    /// such partition.
    #[error("the record was refused: {source}{}", failure::advice_suffix(.source))]
    Refused {
        /// What to do about it.
        failure: Failure,
        /// What librdkafka says.
        #[source]
        source: KafkaError,
    },
    /// The producer is stopping or was stopped.
    #[error("the producer is stopping")]
    Stopping,
    /// The producer cannot go on; the process should stop.
    #[error(transparent)]
    Fatal(Error),
}

/// A record that was not accepted, with everything that was given to `send`.
pub struct NotSent<F> {
    /// The record, unchanged.
    pub record: OutRecord,
    /// The callback, never called.
    pub on_delivery: F,
    /// Why.
    pub reason: SendError,
}

impl<F> fmt::Debug for NotSent<F> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("NotSent")
            .field("topic", &self.record.topic)
            .field("reason", &self.reason)
            .finish_non_exhaustive()
    }
}

/// Answer of the broker for one record, given to its callback.
pub type DeliveryResult = Result<Delivered, DeliveryError>;
