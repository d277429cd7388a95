//! A topic, exactly once: the records and the group's progress are one Kafka
//! transaction.

mod encode;
mod registry;
mod settings;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use millrace_kafka::{
    Admin, Cluster, Headers, OutRecord, ProducerSettings, Tenure, TopicPartition, TopicSpec,
    Transaction, TransactionError, TransactionSettings, Transactions,
};
use millrace_wire::headers;
use uuid::Uuid;

use super::{Surroundings, WriteError, Writer, Written};
use crate::batch::Batch;
use encode::{EncodeError, Encoder, Message};
use registry::Registry;

pub use settings::{RegistrySettings, TopicFormat, TopicSettings};

/// How long a start waits for the cluster.
const START_DEADLINE: Duration = Duration::from_secs(30);

/// How long to wait for the broker's word on the group's progress.
const PROGRESS_DEADLINE: Duration = Duration::from_secs(10);

/// Writes each batch in a transaction of its own.
pub(crate) struct TopicWriter {
    topic: Arc<str>,
    group: String,
    admin: Admin,
    encoder: Encoder,
    transactions: Transactions,
    /// Nobody knows whether the last transaction was committed.
    uncertain: bool,
}

impl TopicWriter {
    /// Finds or makes the topic, and connects to the registry if there is one.
    pub(crate) fn open(
        settings: &TopicSettings,
        around: &Surroundings<'_>,
    ) -> anyhow::Result<Self> {
        let admin = Admin::connect(around.cluster)?;
        admin.wait_for_broker(START_DEADLINE)?;
        require_topic(&admin, settings)?;
        let instance = match around.instance {
            Some(instance) => instance.to_owned(),
            None => Uuid::new_v4().simple().to_string(),
        };
        let transactions = TransactionSettings {
            producer: ProducerSettings {
                cluster: around.cluster.clone(),
                ..ProducerSettings::default()
            },
            transactional_id: format!("{}.{instance}", around.group),
            timeout: settings.transaction_timeout,
        };
        Ok(Self {
            topic: settings.topic.as_str().into(),
            group: around.group.to_owned(),
            admin,
            encoder: Encoder::new(settings)?,
            transactions: Transactions::open(&transactions, around.kafka_metrics)?,
            uncertain: false,
        })
    }

    /// Looks for the topic and asks the registry, and changes nothing.
    pub(crate) fn check(settings: &TopicSettings, cluster: &Cluster) -> anyhow::Result<String> {
        let admin = Admin::connect(cluster)?;
        let place = settings.place();
        let found = match (admin.partition_count(&settings.topic)?, settings.partitions) {
            (Some(count), _) => format!("{place} has {count} partitions"),
            (None, Some(count)) => format!("{place} will be made with {count} partitions"),
            (None, None) => return Err(missing(settings)),
        };
        let Some(registry) = &settings.registry else {
            return Ok(found);
        };
        Registry::open(registry, &settings.topic)?.ask()?;
        Ok(format!("{found}; the schema registry answers"))
    }

    fn record(&self, message: Message) -> OutRecord {
        let mut headers = Headers::new();
        headers.push(headers::ID, Some(message.id.into_bytes()));
        let content_type = self.encoder.content_type().as_bytes().to_vec();
        headers.push(headers::CONTENT_TYPE, Some(content_type));
        OutRecord {
            topic: Arc::clone(&self.topic),
            partition: None,
            key: message.key,
            value: Some(message.value),
            headers,
        }
    }

    /// Finds out what became of a transaction whose end was not heard:
    /// `true` if the progress stands at `end` or beyond.
    fn resolve(
        &mut self,
        tenure: &Tenure,
        partition: &TopicPartition,
        end: i64,
    ) -> Result<bool, WriteError> {
        let transient = |error: anyhow::Error| WriteError::Transient(error);
        self.transactions
            .renew()
            .map_err(|error| write_error(error, partition))?;
        let committed = tenure
            .membership()
            .committed(partition, PROGRESS_DEADLINE)
            .map_err(|error| transient(error.into()))?;
        self.uncertain = false;
        Ok(committed.is_some_and(|committed| committed >= end))
    }
}

impl Writer for TopicWriter {
    fn claim(&mut self, partition: &TopicPartition) -> Result<i64, WriteError> {
        // Ownership is the group's: a sink that has lost the partition is
        // refused by its membership. A transaction that was left open under
        // our name ends here; for those of others the answer waits.
        self.transactions
            .prepare()
            .map_err(|error| write_error(error, partition))?;
        let committed = self.admin.committed(&self.group, &partition.topic);
        let committed = committed.map_err(|error| WriteError::Transient(error.into()))?;
        Ok(committed.get(&partition.partition).copied().unwrap_or(0))
    }

    fn write(&mut self, batch: &Batch) -> Result<Written, WriteError> {
        let partition = batch.partition();
        let end = batch.offsets().end;
        let tenure = batch
            .tenure()
            .ok_or_else(|| WriteError::Fatal(anyhow!("a batch of {partition} has no owner")))?;
        if self.uncertain && self.resolve(tenure, partition, end)? {
            return Ok(Written::default());
        }
        let messages = self.encoder.encode(batch.rows()).map_err(encode_error)?;
        let size_bytes = messages.iter().map(|it| it.value.len() as u64).sum();
        let records: Vec<OutRecord> = messages.into_iter().map(|it| self.record(it)).collect();
        let transaction = Transaction {
            records: &records,
            progress: &[(partition.clone(), end)],
            membership: tenure.membership(),
            still_ours: &|| tenure.is_current(),
        };
        match self.transactions.commit(&transaction) {
            Ok(()) => Ok(Written {
                files: 0,
                size_bytes,
            }),
            Err(error) => {
                self.uncertain = matches!(error, TransactionError::Unknown(_));
                Err(write_error(error, partition))
            }
        }
    }

    fn release(&mut self, _partition: &TopicPartition) {
        // Nothing is kept per partition.
    }
}

fn write_error(error: TransactionError, partition: &TopicPartition) -> WriteError {
    match error {
        TransactionError::Fenced => WriteError::Fenced(partition.clone()),
        TransactionError::Refused { .. } => WriteError::Rejected {
            sentence: error.to_string(),
        },
        TransactionError::Aborted(_) | TransactionError::Unknown(_) => {
            WriteError::Transient(error.into())
        }
        TransactionError::Usurped(_) | TransactionError::Fatal(_) => {
            WriteError::Fatal(error.into())
        }
    }
}

fn encode_error(error: EncodeError) -> WriteError {
    match error {
        EncodeError::Rows(_) => WriteError::Rejected {
            sentence: error.to_string(),
        },
        EncodeError::Registry {
            transient: true, ..
        } => WriteError::Transient(error.into()),
        EncodeError::Schema(_) | EncodeError::Registry { .. } => WriteError::Fatal(error.into()),
    }
}

fn require_topic(admin: &Admin, settings: &TopicSettings) -> anyhow::Result<()> {
    let topic = &settings.topic;
    match (admin.partition_count(topic)?, settings.partitions) {
        (Some(_), _) => Ok(()),
        (None, Some(partitions)) => {
            let spec = TopicSpec {
                name: topic.clone(),
                partitions,
                replication: -1,
                config: [("cleanup.policy".to_owned(), "delete".to_owned())].into(),
            };
            let made = admin.create_topics(&[spec]);
            made.map(drop)
                .with_context(|| format!("cannot make the topic {topic}"))
        }
        (None, None) => Err(missing(settings)),
    }
}

fn missing(settings: &TopicSettings) -> anyhow::Error {
    anyhow!(
        "the topic {} does not exist; make it, or set destination.partitions to have it made",
        settings.topic
    )
}

#[cfg(test)]
mod tests;
