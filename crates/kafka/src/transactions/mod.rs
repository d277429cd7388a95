//! Records and the offsets that they were made from: durable together, or not
//! at all.

mod client;
mod error;

use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::ConsumerGroupMetadata;

pub use error::TransactionError;

use crate::error::Error;
use crate::intake::TopicPartition;
use crate::membership::Membership;
use crate::metrics::Metrics;
use crate::producer::ProducerSettings;
use crate::record::OutRecord;

use client::Client;

/// How transactions are made.
#[derive(Clone, Debug)]
pub struct TransactionSettings {
    /// How records are written; its message timeout is not used.
    pub producer: ProducerSettings,
    /// Names this writer among all of the cluster, over restarts too if it
    /// can: a new holder of the name ends the transaction that an old one left
    /// open. Under a name drawn at random that happens only after `timeout`.
    pub transactional_id: String,
    /// After how long the broker aborts a transaction whose writer is gone;
    /// until then readers of committed records wait. Also bounds every call.
    pub timeout: Duration,
}

impl Default for TransactionSettings {
    /// The name is empty and has to be set.
    fn default() -> Self {
        Self {
            producer: ProducerSettings::default(),
            transactional_id: String::new(),
            timeout: Duration::from_secs(15),
        }
    }
}

/// What becomes durable together.
pub struct Transaction<'a> {
    /// Records to write; may be none.
    pub records: &'a [OutRecord],
    /// The next offset to read of each partition that the records came from.
    pub progress: &'a [(TopicPartition, i64)],
    /// The group whose progress that is.
    pub membership: &'a Membership,
    /// Whether the partitions are still this member's; asked once the
    /// membership has been noted, so that a partition that is lost later
    /// makes the broker refuse.
    pub still_ours: &'a dyn Fn() -> bool,
}

/// A transactional producer. It belongs to one thread; every call blocks.
pub struct Transactions {
    config: ClientConfig,
    timeout: Duration,
    metrics: Metrics,
    /// `None` before the first transaction and after one that failed: the next
    /// one starts over under a new epoch. A late answer to the old one cannot
    /// touch it (<https://jepsen.io/analyses/bufstream-0.1.0>), and librdkafka
    /// 2.12 purges records of the next transaction when a refused record made
    /// it change its epoch by itself.
    client: Option<Client>,
}

impl Transactions {
    /// Checks the settings. Does not connect yet.
    ///
    /// # Errors
    /// `OptionRefused`, `Settings`, `BadSetting`, `LibraryTooOld`.
    pub fn open(settings: &TransactionSettings, metrics: &Metrics) -> Result<Self, Error> {
        if settings.transactional_id.is_empty() {
            return Err(Error::BadSetting {
                setting: "transactional_id",
                expected: "a name",
                given: "empty".to_owned(),
            });
        }
        let producer = ProducerSettings {
            message_timeout: Some(settings.timeout * 2 / 3),
            ..settings.producer.clone()
        };
        producer.check()?;
        let mut config = producer.client_config()?;
        config.set("transactional.id", &settings.transactional_id);
        config.set(
            "transaction.timeout.ms",
            settings.timeout.as_millis().to_string(),
        );
        Ok(Self {
            config,
            timeout: settings.timeout,
            metrics: metrics.clone(),
            client: None,
        })
    }

    /// Starts, unless that is done: what an earlier holder of the name left
    /// open ends.
    ///
    /// # Errors
    /// `Aborted` or `Fatal`.
    pub fn prepare(&mut self) -> Result<(), TransactionError> {
        match self.client {
            Some(_) => Ok(()),
            None => self.renew(),
        }
    }

    /// Starts over under a new epoch, which settles every transaction begun
    /// before: what the broker has committed by then is all there will be.
    ///
    /// # Errors
    /// `Aborted` or `Fatal`.
    pub fn renew(&mut self) -> Result<(), TransactionError> {
        if let Some(client) = self.client.take() {
            client.discard();
        }
        let until = Instant::now() + self.timeout;
        self.client = Some(Client::start(&self.config, &self.metrics, until)?);
        Ok(())
    }

    /// Writes the records and the progress in one transaction.
    ///
    /// # Errors
    /// See [`TransactionError`]: it says what is known about the outcome.
    pub fn commit(&mut self, transaction: &Transaction<'_>) -> Result<(), TransactionError> {
        let until = Instant::now() + self.timeout;
        let result = self.attempt(transaction, until);
        self.count(&result);
        result
    }

    fn attempt(
        &mut self,
        transaction: &Transaction<'_>,
        until: Instant,
    ) -> Result<(), TransactionError> {
        let client = match self.client.take() {
            Some(client) => client,
            None => Client::start(&self.config, &self.metrics, until)?,
        };
        let metadata = transaction.membership.metadata();
        let (Some(metadata), true) = (metadata, (transaction.still_ours)()) else {
            self.client = Some(client);
            return Err(TransactionError::Fenced);
        };
        let begun = Instant::now();
        let result = run(&client, transaction, &metadata, until);
        // Later the broker may have ended the transaction by itself, with the same words.
        let in_time = begun.elapsed() < self.timeout / 2;
        let usurped = in_time && client.is_fenced();
        self.settle(client, &result, until);
        match result {
            Err(error) if usurped => Err(error.of_usurped()),
            other => other,
        }
    }

    /// Writes records in one transaction that carries no group's progress.
    ///
    /// # Errors
    /// See [`TransactionError`]: it says what is known about the outcome.
    pub fn write(&mut self, records: &[OutRecord]) -> Result<(), TransactionError> {
        let until = Instant::now() + self.timeout;
        let client = match self.client.take() {
            Some(client) => client,
            None => Client::start(&self.config, &self.metrics, until)?,
        };
        let written = client.begin().and_then(|()| client.write(records, until));
        let result = written.and_then(|()| client.commit(until));
        self.settle(client, &result, until);
        self.count(&result);
        result
    }

    fn settle(&mut self, client: Client, result: &Result<(), TransactionError>, until: Instant) {
        match result {
            Ok(()) => self.client = Some(client),
            Err(TransactionError::Unknown(_)) => client.discard(),
            // Aborted all the same, so that readers of committed records need
            // not wait for the next epoch.
            Err(_) => client.abort(until),
        }
    }

    fn count(&self, result: &Result<(), TransactionError>) {
        let outcome = match result {
            Ok(()) => "committed",
            Err(error) => error.name(),
        };
        self.metrics.count_transaction(outcome);
    }
}

fn run(
    client: &Client,
    transaction: &Transaction<'_>,
    metadata: &ConsumerGroupMetadata,
    until: Instant,
) -> Result<(), TransactionError> {
    client.begin()?;
    client.write(transaction.records, until)?;
    if !transaction.progress.is_empty() {
        client.add_progress(transaction.progress, metadata, until)?;
    }
    client.commit(until)
}
