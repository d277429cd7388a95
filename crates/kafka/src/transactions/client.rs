//! The steps of one transaction on librdkafka's producer.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext};
use rdkafka::{ClientConfig, ClientContext, Offset, Statistics};
use tracing::warn;

use crate::closing;
use crate::context::Context;
use crate::error::Error;
use crate::intake::TopicPartition;
use crate::metrics::Metrics;
use crate::partitions;
use crate::record::OutRecord;

use super::error::TransactionError;

/// `BaseProducer::poll` of rdkafka 0.39 never returns earlier, so this is the
/// grain of waiting for acknowledgements.
const GRAIN: Duration = Duration::from_millis(1);
/// How long one call into librdkafka waits before the deadline is looked at.
const STEP: Duration = Duration::from_millis(500);
/// How long librdkafka's destructor may take.
const DESTROY: Duration = Duration::from_secs(5);

/// The first record of a transaction that failed, by its index.
type FirstFailure = Arc<Mutex<Option<(usize, KafkaError)>>>;

/// One record on its way.
struct OnItsWay {
    index: usize,
    failure: FirstFailure,
}

struct Acknowledgements(Context);

impl ClientContext for Acknowledgements {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.0.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.0.error(error, reason);
    }

    fn stats(&self, statistics: Statistics) {
        self.0.stats(statistics);
    }
}

impl ProducerContext for Acknowledgements {
    type DeliveryOpaque = Box<OnItsWay>;

    fn delivery(&self, result: &DeliveryResult<'_>, record: Box<OnItsWay>) {
        if let Err((error, _)) = result {
            let first = record.failure.lock();
            let mut first = first.unwrap_or_else(PoisonError::into_inner);
            first.get_or_insert_with(|| (record.index, error.clone()));
        }
    }
}

/// A producer that has been given its epoch.
pub(super) struct Client(BaseProducer<Acknowledgements>);

impl Client {
    /// Connects, ends what an earlier holder of the name left open, and takes
    /// a new epoch.
    pub(super) fn start(
        config: &ClientConfig,
        metrics: &Metrics,
        until: Instant,
    ) -> Result<Self, TransactionError> {
        let what = "starting a transactional producer";
        let context = Acknowledgements(Context::new("transactional producer", "", metrics));
        let producer: BaseProducer<Acknowledgements> = config
            .create_with_context(context)
            .map_err(|source| TransactionError::Fatal(Error::kafka(what, source)))?;
        let client = Self(producer);
        match client.insist(until, |wait| client.0.init_transactions(wait)) {
            Ok(()) => Ok(client),
            Err(source) => {
                client.discard();
                Err(TransactionError::before_commit(what, source))
            }
        }
    }

    /// Whether the broker refuses this writer because of a later one.
    pub(super) fn is_fenced(&self) -> bool {
        let error = self.0.client().fatal_error();
        error.is_some_and(|(code, _)| code == RDKafkaErrorCode::Fenced)
    }

    pub(super) fn begin(&self) -> Result<(), TransactionError> {
        let what = "beginning a transaction";
        let begun = self.0.begin_transaction();
        begun.map_err(|source| TransactionError::before_commit(what, source))
    }

    /// Writes the records and waits until all of them are acknowledged:
    /// committing with records on their way would cost a fixed 100 ms in
    /// rdkafka's `flush`.
    pub(super) fn write(
        &self,
        records: &[OutRecord],
        until: Instant,
    ) -> Result<(), TransactionError> {
        let failure = FirstFailure::default();
        for (index, record) in records.iter().enumerate() {
            let failure = Arc::clone(&failure);
            self.hand_over(record, OnItsWay { index, failure }, until)?;
        }
        while self.0.in_flight_count() > 0 {
            self.0.poll(GRAIN);
            if Instant::now() >= until {
                return Err(late("writing in a transaction", until));
            }
        }
        let first = failure.lock().unwrap_or_else(PoisonError::into_inner);
        match &*first {
            Some((index, source)) => Err(TransactionError::of_record(*index, source.clone())),
            None => Ok(()),
        }
    }

    fn hand_over(
        &self,
        record: &OutRecord,
        way: OnItsWay,
        until: Instant,
    ) -> Result<(), TransactionError> {
        let index = way.index;
        let mut native = BaseRecord {
            topic: &record.topic,
            partition: record.partition,
            payload: record.value.as_deref(),
            key: record.key.as_deref(),
            timestamp: None,
            headers: record.headers.to_native(),
            delivery_opaque: Box::new(way),
        };
        while let Err((source, refused)) = self.0.send(native) {
            if source.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                return Err(TransactionError::of_record(index, source));
            }
            if Instant::now() >= until {
                return Err(late("writing in a transaction", until));
            }
            self.0.poll(GRAIN);
            native = refused;
        }
        Ok(())
    }

    /// Makes the group's progress part of the transaction.
    pub(super) fn add_progress(
        &self,
        progress: &[(TopicPartition, i64)],
        metadata: &ConsumerGroupMetadata,
        until: Instant,
    ) -> Result<(), TransactionError> {
        let what = "adding offsets to a transaction";
        let offset =
            |(partition, next): &(TopicPartition, i64)| (partition.clone(), Offset::Offset(*next));
        let offsets: Vec<(TopicPartition, Offset)> = progress.iter().map(offset).collect();
        partitions::to_list(&offsets)
            .and_then(|list| {
                // To be repeated with the same list and membership only.
                self.insist(until, |wait| {
                    self.0.send_offsets_to_transaction(&list, metadata, wait)
                })
            })
            .map_err(|source| TransactionError::before_commit(what, source))
    }

    pub(super) fn commit(&self, until: Instant) -> Result<(), TransactionError> {
        let what = "committing a transaction";
        let committed = self.insist(until, |wait| self.0.commit_transaction(wait));
        committed.map_err(|source| match &source {
            KafkaError::Transaction(error) if error.txn_requires_abort() => {
                TransactionError::before_commit(what, source)
            }
            _ => TransactionError::Unknown(Error::kafka(what, source)),
        })
    }

    /// Gives the transaction up, and the client with it.
    pub(super) fn abort(self, until: Instant) {
        // Even past the deadline one attempt is made.
        let until = until.max(Instant::now() + STEP);
        if let Err(error) = self.insist(until, |wait| self.0.abort_transaction(wait)) {
            warn!(%error, "a transaction could not be aborted; the broker will do it in time");
        }
        self.discard();
    }

    pub(super) fn discard(self) {
        closing::drop_within(self.0, "transactional producer", DESTROY);
    }

    /// Repeats a step while librdkafka says that it can be repeated: it then
    /// goes on where it was.
    fn insist(
        &self,
        until: Instant,
        step: impl Fn(Duration) -> KafkaResult<()>,
    ) -> KafkaResult<()> {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match step(left.min(STEP)) {
                Err(KafkaError::Transaction(error)) if error.is_retriable() && !left.is_zero() => {
                    // Some retriable errors come at once.
                    self.0.poll(GRAIN);
                }
                result => return result,
            }
        }
    }
}

fn late(what: &str, until: Instant) -> TransactionError {
    TransactionError::Aborted(Error::TimedOut {
        what: what.to_owned(),
        waited: until.elapsed(),
    })
}
