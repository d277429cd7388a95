//! The producer: idempotent, acknowledged by all in-sync replicas, bounded in
//! bytes, and never silent about a record.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::cluster::Cluster;
use crate::context::STATISTICS_INTERVAL_MS;
use crate::error::Error;
use crate::metrics::Metrics;
use crate::outbox::Outbox;
use crate::record::OutRecord;
use crate::sending::{DeliveryResult, NotSent, SendError};
use crate::state::{self, State};

/// How records are compressed on the wire and in the broker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not at all.
    None,
    /// Fast.
    #[default]
    Lz4,
    /// Smaller.
    Zstd,
    /// For old consumers.
    Gzip,
    /// For old consumers.
    Snappy,
}

impl Compression {
    fn name(self) -> &'static str {
        match self {
            Compression::None => "none",
            Compression::Lz4 => "lz4",
            Compression::Zstd => "zstd",
            Compression::Gzip => "gzip",
            Compression::Snappy => "snappy",
        }
    }
}

/// How a producer writes.
#[derive(Clone, Debug)]
pub struct ProducerSettings {
    /// The cluster to write to.
    pub cluster: Cluster,
    /// How long to wait for more records before sending a batch.
    pub linger: Duration,
    /// After how long an unacknowledged record fails; `None` retries until it
    /// is delivered, whatever happens to the broker.
    pub message_timeout: Option<Duration>,
    /// Bytes that may be accepted and not yet acknowledged; beyond it `send`
    /// answers `Busy`.
    pub max_queue_bytes: usize,
    /// Largest record that is accepted; must not be above the topics'
    /// `max.message.bytes`.
    pub max_record_bytes: usize,
    /// Compression.
    pub compression: Compression,
}

impl Default for ProducerSettings {
    fn default() -> Self {
        Self {
            cluster: Cluster::default(),
            linger: Duration::from_millis(1),
            message_timeout: None,
            max_queue_bytes: 64 << 20,
            max_record_bytes: 16 << 20,
            compression: Compression::default(),
        }
    }
}

/// A producer; clones share it.
///
/// When the last clone is dropped without `stop`, what was accepted is still
/// delivered in the background.
#[derive(Clone)]
pub struct Producer {
    outbox: Arc<Outbox>,
    /// Asks the thread to end when the last clone goes.
    _owner: Arc<Owner>,
    states: watch::Receiver<State>,
}

impl Producer {
    /// Starts a producer with a thread of its own. Does not wait for the
    /// broker.
    ///
    /// # Errors
    /// `OptionRefused`, `Settings`, `BadSetting`, `LibraryTooOld`, `Thread`.
    pub fn start(settings: &ProducerSettings, metrics: &Metrics) -> Result<Self, Error> {
        settings.check()?;
        let (outbox, states) = Outbox::start(settings, settings.client_config()?, metrics)?;
        let owner = Owner(Arc::clone(&outbox));
        Ok(Self {
            outbox,
            _owner: Arc::new(owner),
            states,
        })
    }

    /// Accepts a record for delivery, or says at once why not. Never blocks.
    ///
    /// `on_delivery` is called exactly once for an accepted record, on the
    /// producer's thread; it must not block. For one that is not accepted it
    /// comes back unused.
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn send<F>(&self, record: OutRecord, on_delivery: F) -> Result<(), Box<NotSent<F>>>
    where
        F: FnOnce(DeliveryResult) + Send + 'static,
    {
        self.outbox.send(record, on_delivery)
    }

    /// Like `send`, but waits up to `deadline` while the budget is spent.
    ///
    /// # Errors
    /// See [`SendError`]; `Busy` when the deadline has passed.
    pub fn send_blocking<F>(
        &self,
        record: OutRecord,
        on_delivery: F,
        deadline: Duration,
    ) -> Result<(), Box<NotSent<F>>>
    where
        F: FnOnce(DeliveryResult) + Send + 'static,
    {
        let until = Instant::now() + deadline;
        let mut attempt = self.outbox.send(record, on_delivery);
        while let Err(not_sent) = attempt {
            if !matches!(not_sent.reason, SendError::Busy)
                || !self.outbox.wait_for_room(&not_sent.record, until)
            {
                return Err(not_sent);
            }
            let NotSent {
                record,
                on_delivery,
                ..
            } = *not_sent;
            attempt = self.outbox.send(record, on_delivery);
        }
        Ok(())
    }

    /// Refuses further records, delivers those accepted, and ends the thread.
    /// What is not acknowledged at the deadline gets its callback with an
    /// error. Blocks. Calling it again is harmless.
    ///
    /// # Errors
    /// `Undelivered` with the number of records that failed at the deadline.
    pub fn stop(&self, deadline: Duration) -> Result<(), Error> {
        self.outbox.stop(deadline)
    }

    /// Records accepted and not acknowledged yet.
    #[must_use]
    pub fn in_flight_records(&self) -> usize {
        self.outbox.in_flight_records()
    }

    /// Bytes accepted and not acknowledged yet.
    #[must_use]
    pub fn in_flight_bytes(&self) -> usize {
        self.outbox.in_flight_bytes()
    }

    /// The state, to be watched for readiness.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<State> {
        self.states.clone()
    }

    /// Returns when the producer has failed; never for one that runs or was
    /// stopped well.
    pub fn failed(&self) -> impl Future<Output = Error> + Send + 'static {
        state::failed(self.states.clone())
    }
}

impl fmt::Debug for Producer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Producer")
            .field("in_flight_records", &self.in_flight_records())
            .finish_non_exhaustive()
    }
}

struct Owner(Arc<Outbox>);

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.let_go();
    }
}

impl ProducerSettings {
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.max_record_bytes == 0 || self.max_record_bytes > self.max_queue_bytes {
            return Err(Error::BadSetting {
                setting: "max_record_bytes",
                expected: "between 1 and max_queue_bytes",
                given: self.max_record_bytes.to_string(),
            });
        }
        if self
            .message_timeout
            .is_some_and(|timeout| timeout.as_millis() == 0)
        {
            return Err(Error::BadSetting {
                setting: "message_timeout",
                expected: "at least 1 ms",
                given: "0".to_owned(),
            });
        }
        Ok(())
    }

    pub(crate) fn client_config(&self) -> Result<ClientConfig, Error> {
        let defaults = [
            ("compression.codec", self.compression.name().to_owned()),
            // The same partition for the same key as Java producers choose.
            ("partitioner", "murmur2_random".to_owned()),
            ("reconnect.backoff.ms", "50".to_owned()),
            ("reconnect.backoff.max.ms", "2000".to_owned()),
            ("socket.nagle.disable", "true".to_owned()),
        ];
        // 0 means: never give up.
        let timeout = self.message_timeout.unwrap_or_default().as_millis();
        // Far above our own budget, so that librdkafka's queue is never full.
        let queue_kbytes = (self.max_queue_bytes / 1024)
            .saturating_mul(2)
            .saturating_add(64 << 10)
            .min(2_147_483_647);
        let message_bytes = self.max_record_bytes.clamp(1000, 1_000_000_000);
        let safety = [
            ("acks", "all".to_owned()),
            ("enable.idempotence", "true".to_owned()),
            ("message.timeout.ms", timeout.to_string()),
            (
                "linger.ms",
                (self.linger.as_secs_f64() * 1000.0).to_string(),
            ),
            ("message.max.bytes", message_bytes.to_string()),
            ("queue.buffering.max.messages", "0".to_owned()),
            ("queue.buffering.max.kbytes", queue_kbytes.to_string()),
            ("statistics.interval.ms", STATISTICS_INTERVAL_MS.to_owned()),
        ];
        self.cluster.client_config(&defaults, &safety)
    }
}
