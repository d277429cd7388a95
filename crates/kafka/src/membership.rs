//! The standing of this process in its consumer group, for whoever commits on
//! the group's behalf.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerGroupMetadata};
use rdkafka::{Offset, TopicPartitionList};

use crate::closing;
use crate::cluster::Cluster;
use crate::context::Context;
use crate::error::Error;
use crate::intake::TopicPartition;
use crate::metrics::Metrics;

/// How long librdkafka's destructor may take.
const DESTROY: Duration = Duration::from_secs(5);

/// A member of a group, as long as it is one. Had from a ticket's tenure.
#[derive(Clone, Default)]
pub struct Membership {
    /// Not owned: the polling thread decides when the client ends.
    consumer: Weak<BaseConsumer<Context>>,
}

impl Membership {
    pub(crate) fn of(consumer: &Arc<BaseConsumer<Context>>) -> Self {
        Self {
            consumer: Arc::downgrade(consumer),
        }
    }

    /// What the broker checks the membership by; `None` once the member has
    /// ended.
    pub(crate) fn metadata(&self) -> Option<ConsumerGroupMetadata> {
        self.consumer.upgrade()?.group_metadata()
    }

    /// The group's committed offset of a partition; `None` if there is none.
    /// Waits for a transaction that is about to change it. Blocks.
    ///
    /// # Errors
    /// `Kafka` when the broker does not answer within `timeout`, or the
    /// member has ended.
    pub fn committed(
        &self,
        partition: &TopicPartition,
        timeout: Duration,
    ) -> Result<Option<i64>, Error> {
        let what = || format!("reading the committed offset of {partition}");
        let Some(consumer) = self.consumer.upgrade() else {
            let source = rdkafka::error::KafkaError::Canceled;
            return Err(Error::kafka(what(), source));
        };
        let mut list = TopicPartitionList::new();
        list.add_partition(&partition.topic, partition.partition);
        let committed = consumer
            .committed_offsets(list, timeout)
            .map_err(|source| Error::kafka(what(), source))?;
        let element = committed.find_partition(&partition.topic, partition.partition);
        Ok(element.and_then(|element| match element.offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        }))
    }
}

/// A group without members whose progress one process writes, in transactions: the offsets outlive
/// the process. Who it is that writes must be settled otherwise, as by the name of the transactions.
pub struct LoneGroup {
    consumer: Option<Arc<BaseConsumer<Context>>>,
}

impl LoneGroup {
    /// Prepares a client; neither connects nor joins.
    ///
    /// # Errors
    /// `OptionRefused`, `Settings`, `LibraryTooOld`.
    pub fn open(cluster: &Cluster, group: &str) -> Result<Self, Error> {
        let safety = [
            ("group.id", group.to_owned()),
            ("enable.auto.commit", "false".to_owned()),
        ];
        let config = cluster.client_config(&[], &safety)?;
        let consumer = config
            .create_with_context(Context::new("group", "", &Metrics::default()))
            .map_err(|source| Error::Settings {
                client: "group",
                source,
            })?;
        Ok(Self {
            consumer: Some(Arc::new(consumer)),
        })
    }

    /// The standing with which its progress is committed and read.
    #[must_use]
    pub fn membership(&self) -> Membership {
        self.consumer
            .as_ref()
            .map_or_else(Membership::default, Membership::of)
    }
}

impl fmt::Debug for LoneGroup {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("LoneGroup").finish_non_exhaustive()
    }
}

impl Drop for LoneGroup {
    fn drop(&mut self) {
        if let Some(consumer) = self.consumer.take().and_then(Arc::into_inner) {
            closing::drop_within(consumer, "group", DESTROY);
        }
    }
}

impl fmt::Debug for Membership {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Membership").finish_non_exhaustive()
    }
}
