//! Answers that are fetched later, and requests that may be sent twice.
//!
//! A request that asks for it is answered 202 as soon as the broker has
//! acknowledged its record. The `Location` of that answer holds the record's
//! coordinates, so that every replica finds the result in the results topic,
//! also one that was started since: nothing about a request is kept in memory.
//! [`place`] says how a result is found by few reads, [`archive`] reads.
//!
//! An `Idempotency-Key` is claimed in a topic of its own before its request is
//! sent; the first claim in the order of that topic wins, on every replica.

pub(crate) mod accept;
pub(crate) mod archive;
mod books;
pub(crate) mod claims;
pub(crate) mod error;
pub(crate) mod fetch;
mod form;
pub(crate) mod location;
mod lookup;
pub(crate) mod once;
mod place;
mod stream;
mod wanted;
pub(crate) mod wish;

use std::time::Duration;

use millrace_kafka::{Metrics as KafkaMetrics, Producer};

use crate::front::topics::Topics;
use crate::settings::Settings;

use archive::{Archive, ArchiveSettings, ArchiveThreads};
use claims::{Claims, Terms};

pub(crate) use error::LaterError;
pub(crate) use form::Form;

/// After a request's deadline, so long until its claim is void: what the
/// producer has then, it has given up.
const LEASE_GRACE: Duration = Duration::from_secs(5);

/// What answers later, or only once.
#[derive(Clone)]
pub(crate) struct Later {
    pub(crate) archive: Archive,
    pub(crate) claims: Claims,
    /// How long results and keys are kept.
    pub(crate) retention: Duration,
    /// The longest wait for a result.
    pub(crate) max_wait: Duration,
    /// Whether every request for a prediction needs a key.
    require_key: bool,
}

impl Later {
    /// Starts the threads that look for results.
    ///
    /// # Errors
    /// Kafka options that cannot be used, or no thread.
    pub(crate) fn start(
        settings: &Settings,
        producer: Producer,
        metrics: &KafkaMetrics,
    ) -> anyhow::Result<(Self, ArchiveThreads)> {
        let results = &settings.results;
        let (archive, threads) = Archive::start(
            &ArchiveSettings {
                cluster: &settings.kafka,
                max_record_bytes: settings.limits.record_bytes,
                max_waiting: results.max_waiting,
            },
            metrics,
        )?;
        let terms = Terms {
            // It waits for its turn, then the producer tries for as long.
            lease: settings.request_timeout * 2 + LEASE_GRACE,
            retention: results.retention,
            max_keys: results.idempotency_keys,
        };
        let topic = Topics::new(&settings.topics.prefix).idempotency();
        let later = Self {
            archive,
            claims: Claims::new(producer, topic, terms),
            retention: results.retention,
            max_wait: results.max_wait,
            require_key: results.require_idempotency_key,
        };
        Ok((later, threads))
    }
}
