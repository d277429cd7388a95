//! Records to the broker, with a bound on the bytes that are on their way, each counted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use millrace_kafka::{Headers, Metrics, OutRecord, Producer, ProducerSettings};

use crate::claims::Large;
use crate::connection::Connection;
use crate::conversation::MAX_RECORD_BYTES;
use crate::progress::grouped;

/// Sends to one topic.
pub(super) struct Sender {
    producer: Producer,
    topic: Arc<str>,
    shared: Arc<Shared>,
    patience: Duration,
    large: Large,
}

/// One record.
pub(super) struct Outgoing {
    pub(super) key: Option<Vec<u8>>,
    pub(super) headers: Headers,
    pub(super) payload: Vec<u8>,
}

#[derive(Default)]
struct Shared {
    acknowledged: AtomicU64,
    refused: AtomicU64,
    /// What the broker said first.
    sentence: Mutex<Option<String>>,
}

/// What became of all records.
pub(super) struct Counts {
    pub(super) acknowledged: u64,
    refused: u64,
    sentence: Option<String>,
}

impl Sender {
    pub(super) fn start(
        connection: &Connection,
        topic: &str,
        (in_flight_bytes, patience): (usize, Duration),
    ) -> anyhow::Result<Self> {
        let settings = ProducerSettings {
            cluster: connection.cluster.clone(),
            linger: Duration::from_millis(5),
            max_queue_bytes: in_flight_bytes.max(2 * MAX_RECORD_BYTES),
            max_record_bytes: MAX_RECORD_BYTES,
            ..ProducerSettings::default()
        };
        Ok(Self {
            producer: Producer::start(&settings, &Metrics::default())?,
            topic: topic.into(),
            shared: Arc::default(),
            patience,
            large: connection.large.clone(),
        })
    }

    /// Gives a record to the producer, waiting for room.
    ///
    /// # Errors
    /// It is too large, or there was no room for as long as the broker may take.
    pub(super) fn send(&self, outgoing: Outgoing) -> anyhow::Result<()> {
        let size_bytes = outgoing.payload.len();
        let mut headers = outgoing.headers;
        let room = (&mut headers, MAX_RECORD_BYTES);
        let value = self.large.pack(outgoing.payload, room)?;
        let record = OutRecord {
            topic: Arc::clone(&self.topic),
            partition: None,
            key: outgoing.key,
            value: Some(value),
            headers,
        };
        let shared = Arc::clone(&self.shared);
        let on_delivery = move |outcome: Result<_, millrace_kafka::DeliveryError>| match outcome {
            Ok(_) => {
                shared.acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                shared.refused.fetch_add(1, Ordering::Relaxed);
                let mut sentence = shared
                    .sentence
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                sentence.get_or_insert_with(|| error.to_string());
            }
        };
        self.producer
            .send_blocking(record, on_delivery, self.patience)
            .map_err(|not_sent| not_sent.reason)
            .with_context(|| format!("a record of {size_bytes} bytes was not sent"))
    }

    /// Waits for all acknowledgements; what has none by then counts as refused.
    pub(super) fn finish(self, patience: Duration) -> Counts {
        let stopped = self.producer.stop(patience);
        let said = self
            .shared
            .sentence
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        Counts {
            acknowledged: self.shared.acknowledged.load(Ordering::Relaxed),
            refused: self.shared.refused.load(Ordering::Relaxed),
            sentence: said.or_else(|| stopped.err().map(|error| error.to_string())),
        }
    }
}

impl Counts {
    /// # Errors
    /// A record was not acknowledged; it may be in the topic all the same.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        let Some(sentence) = &self.sentence else {
            return Ok(());
        };
        bail!(
            "{} records were not acknowledged and may or may not be in the topic: {sentence}",
            grouped(self.refused)
        )
    }
}
