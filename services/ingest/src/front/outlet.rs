//! Where request records go: Kafka, or straight back where ingest is measured alone.

use std::sync::{Arc, OnceLock};

use millrace_kafka::{Delivered, DeliveryError, Headers, NotSent, OutRecord, Producer, Record};
use millrace_wire::Status;
use millrace_wire::headers::{ID, ResultHeaders, Source};

use super::pending::Pending;

/// Sends records; cheap to clone.
#[derive(Clone)]
pub(crate) struct Outlet {
    producer: Producer,
    /// Set where nothing is sent.
    back_to: Arc<OnceLock<Pending>>,
}

impl Outlet {
    pub(crate) fn new(producer: Producer) -> Self {
        Self {
            producer,
            back_to: Arc::default(),
        }
    }

    /// From now on every request is answered with its own inputs, at once.
    pub(crate) fn loop_back(&self, pending: Pending) {
        // Whoever came first does the same.
        let _ = self.back_to.set(pending);
    }

    /// As [`Producer::send`].
    pub(crate) fn send<F>(&self, record: OutRecord, on_delivery: F) -> Result<(), Box<NotSent<F>>>
    where
        F: FnOnce(Result<Delivered, DeliveryError>) + Send + 'static,
    {
        let Some(pending) = self.back_to.get() else {
            return self.producer.send(record, on_delivery);
        };
        on_delivery(Ok(Delivered {
            partition: 0,
            offset: 0,
        }));
        pending.reply(echo(record));
        Ok(())
    }
}

/// The reply of a model whose outputs are its inputs.
fn echo(record: OutRecord) -> Record {
    let id = record.headers.get_first(ID).unwrap_or_default();
    let id = String::from_utf8_lossy(id).into_owned();
    let result = ResultHeaders {
        id: id.clone(),
        model: "echo".to_owned(),
        version: Some(1),
        weights_sha256: None,
        status: Status::Ok,
        error: None,
        source: Source {
            topic: record.topic.to_string(),
            partition: 0,
            offset: 0,
        },
    };
    let mut headers = Headers::new();
    for (name, value) in result.to_pairs() {
        headers.push(name, Some(value));
    }
    Record {
        topic: record.topic,
        partition: 0,
        offset: 0,
        timestamp_unix_ms: None,
        key: Some(id.into_bytes()),
        value: record.value,
        headers,
    }
}
