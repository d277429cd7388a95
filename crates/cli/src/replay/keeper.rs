//! Results and how far the replay has come: one transaction after another.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Context;
use millrace_kafka::{
    LoneGroup, Metrics, OutRecord, ProducerSettings, TopicPartition, Transaction, TransactionError,
    TransactionSettings, Transactions,
};

use super::plan::Plan;
use super::stretch::Offsets;
use super::window::Finished;
use crate::connection::Connection;
use crate::whole_topic::MAX_RECORD_BYTES;

const TIMEOUT: Duration = Duration::from_secs(30);
const MAX_QUEUE_BYTES: usize = 64 << 20;
/// A transaction takes so much, or what came within this time.
const MAX_BATCH_BYTES: usize = 8 << 20;
const MAX_BATCH_RECORDS: usize = 1_000;
const MAX_AGE: Duration = Duration::from_millis(500);

/// Writes for all replays of one version to one topic; a second one at the same time ends the first.
pub(super) fn open(connection: &Connection, key: &str) -> anyhow::Result<Transactions> {
    let settings = TransactionSettings {
        producer: ProducerSettings {
            cluster: connection.cluster.clone(),
            max_queue_bytes: MAX_QUEUE_BYTES,
            max_record_bytes: MAX_RECORD_BYTES,
            ..ProducerSettings::default()
        },
        transactional_id: format!("{}.replay {key}", connection.prefix),
        timeout: TIMEOUT,
    };
    let mut transactions = Transactions::open(&settings, &Metrics::default())?;
    // What a replay that was killed has left open is settled before anybody asks how far it came.
    transactions
        .prepare()
        .context("no transaction can be begun")?;
    Ok(transactions)
}

/// Keeps what is finished.
pub(super) struct Keeper<'t> {
    transactions: &'t mut Transactions,
    group: LoneGroup,
    topic: String,
    batch: Vec<OutRecord>,
    bytes: usize,
    /// The next offset to read of the partitions that have come further since the last transaction.
    progress: BTreeMap<i32, i64>,
    since: Option<Instant>,
}

impl<'t> Keeper<'t> {
    pub(super) fn new(
        connection: &Connection,
        plan: &Plan,
        transactions: &'t mut Transactions,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            transactions,
            group: LoneGroup::open(&connection.cluster, &plan.group(&connection.prefix))?,
            topic: plan.requests.clone(),
            batch: Vec::new(),
            bytes: 0,
            progress: BTreeMap::new(),
            since: None,
        })
    }

    /// Where the replay goes on in each partition.
    pub(super) fn positions(connection: &Connection, plan: &Plan) -> anyhow::Result<Offsets> {
        let group = plan.group(&connection.prefix);
        let mut positions = plan.from.clone();
        positions.extend(connection.admin.committed(&group, &plan.requests)?);
        Ok(positions)
    }

    /// Takes in what is finished; it is kept with the next transaction.
    pub(super) fn take(&mut self, finished: Finished) {
        self.since.get_or_insert_with(Instant::now);
        self.progress
            .insert(finished.partition, finished.offset + 1);
        if let Some(result) = finished.result {
            self.bytes += result.size_bytes();
            self.batch.push(result);
        }
    }

    /// Whether it is time for a transaction.
    pub(super) fn is_due(&self) -> bool {
        self.bytes >= MAX_BATCH_BYTES
            || self.batch.len() >= MAX_BATCH_RECORDS
            || self.since.is_some_and(|since| since.elapsed() >= MAX_AGE)
    }

    /// Makes all that was taken durable.
    ///
    /// # Errors
    /// The sentence says what is known of them; the next run goes on behind what is durable.
    pub(super) fn keep(&mut self) -> anyhow::Result<()> {
        if self.progress.is_empty() {
            return Ok(());
        }
        let partition = |(partition, next): (&i32, &i64)| {
            let topic = self.topic.as_str().into();
            let partition = *partition;
            (TopicPartition { topic, partition }, *next)
        };
        let progress: Vec<_> = self.progress.iter().map(partition).collect();
        let outcome = self.transactions.commit(&Transaction {
            records: &self.batch,
            progress: &progress,
            membership: &self.group.membership(),
            still_ours: &|| true,
        });
        match outcome {
            Ok(()) => {
                self.batch.clear();
                self.progress.clear();
                (self.bytes, self.since) = (0, None);
                Ok(())
            }
            Err(TransactionError::Fenced) => {
                anyhow::bail!("another replay of the same version to the same topic has begun")
            }
            Err(error) => Err(anyhow::Error::new(error)
                .context("results were not written; is another such replay at work?")),
        }
    }
}
