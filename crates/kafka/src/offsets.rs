//! Ends of topics, positions of groups, and the lag between them.

use std::collections::BTreeMap;
use std::ops::Range;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use crate::admin::{Admin, REQUEST, no_topic};
use crate::closing;
use crate::context::Context;
use crate::error::Error;
use crate::metrics::Metrics;

/// How far a group is behind in one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionLag {
    /// Partition.
    pub partition: i32,
    /// Next offset that the group will read, `None` if it has committed
    /// nothing.
    pub committed: Option<i64>,
    /// Offset of the earliest record.
    pub start: i64,
    /// Offset after the last record.
    pub end: i64,
    /// Records between `committed` (or `start`) and `end`.
    pub lag: i64,
}

impl Admin {
    /// Offsets after the last record, by partition.
    ///
    /// # Errors
    /// `NoTopic`, or `Kafka` when the broker does not answer or refuses.
    pub fn end_offsets(&self, topic: &str) -> Result<BTreeMap<i32, i64>, Error> {
        let watermarks = self.watermarks(topic)?;
        Ok(watermarks
            .into_iter()
            .map(|(partition, (_, end))| (partition, end))
            .collect())
    }

    /// Offsets that the group has committed, by partition; partitions without
    /// one are left out.
    ///
    /// # Errors
    /// `NoTopic`, or `Kafka` when the broker does not answer or refuses.
    pub fn committed(&self, group: &str, topic: &str) -> Result<BTreeMap<i32, i64>, Error> {
        let what = format!("reading the offsets of group {group}");
        let count = self.existing_partitions(topic)?;
        let mut list = TopicPartitionList::with_capacity(count);
        for partition in 0..count {
            list.add_partition(topic, i32::try_from(partition).unwrap_or(i32::MAX));
        }
        let consumer = self.lone_consumer(group)?;
        let answer = consumer.committed_offsets(list, REQUEST);
        closing::drop_within(consumer, "admin", REQUEST);
        let answer = answer.map_err(|source| self.error(&what, source))?;
        let mut committed = BTreeMap::new();
        for element in answer.elements() {
            element
                .error()
                .map_err(|source| self.error(&what, source))?;
            if let Offset::Offset(offset) = element.offset() {
                committed.insert(element.partition(), offset);
            }
        }
        Ok(committed)
    }

    /// The first record of each partition that is as young as this time, by partition; its end where
    /// none is.
    ///
    /// # Errors
    /// `NoTopic`, or `Kafka` when the broker does not answer or refuses.
    pub fn offsets_since(&self, topic: &str, unix_ms: i64) -> Result<BTreeMap<i32, i64>, Error> {
        let what = format!("looking for a time in topic {topic}");
        let mut offsets = self.end_offsets(topic)?;
        let mut list = TopicPartitionList::with_capacity(offsets.len());
        for partition in offsets.keys() {
            list.add_partition_offset(topic, *partition, Offset::Offset(unix_ms))
                .map_err(|source| self.error(&what, source))?;
        }
        let consumer = self.lone_consumer("millrace-times")?;
        let answer = consumer.offsets_for_times(list, REQUEST);
        closing::drop_within(consumer, "admin", REQUEST);
        let answer = answer.map_err(|source| self.error(&what, source))?;
        for element in answer.elements() {
            element
                .error()
                .map_err(|source| self.error(&what, source))?;
            if let Offset::Offset(offset) = element.offset() {
                offsets.insert(element.partition(), offset);
            }
        }
        Ok(offsets)
    }

    /// A consumer that never subscribes, so that it never joins the group.
    fn lone_consumer(&self, group: &str) -> Result<BaseConsumer<Context>, Error> {
        let config = self
            .cluster
            .client_config(&[], &[("group.id", group.to_owned())])?;
        let context = Context::new("admin", "", &Metrics::default());
        config
            .create_with_context(context)
            .map_err(|source| Error::Settings {
                client: "admin",
                source,
            })
    }

    /// How far the group is behind, by partition.
    ///
    /// # Errors
    /// `NoTopic`, or `Kafka` when the broker does not answer or refuses.
    pub fn lag(&self, group: &str, topic: &str) -> Result<Vec<PartitionLag>, Error> {
        let committed = self.committed(group, topic)?;
        let watermarks = self.watermarks(topic)?;
        let lag = |(partition, (start, end)): (i32, (i64, i64))| {
            let committed = committed.get(&partition).copied();
            PartitionLag {
                partition,
                committed,
                start,
                end,
                lag: (end - committed.unwrap_or(start).max(start)).max(0),
            }
        };
        Ok(watermarks.into_iter().map(lag).collect())
    }

    /// The offsets that each partition holds: from its first record to after its last one.
    ///
    /// # Errors
    /// `NoTopic`, or `Kafka` when the broker does not answer or refuses.
    pub fn spans(&self, topic: &str) -> Result<BTreeMap<i32, Range<i64>>, Error> {
        let watermarks = self.watermarks(topic)?;
        let span = |(partition, (start, end))| (partition, start..end);
        Ok(watermarks.into_iter().map(span).collect())
    }

    fn watermarks(&self, topic: &str) -> Result<BTreeMap<i32, (i64, i64)>, Error> {
        let what = format!("reading the end of topic {topic}");
        let mut watermarks = BTreeMap::new();
        for partition in 0..self.existing_partitions(topic)? {
            let partition = i32::try_from(partition).unwrap_or(i32::MAX);
            let offsets = self
                .client
                .inner()
                .fetch_watermarks(topic, partition, REQUEST)
                .map_err(|source| self.error(&what, source))?;
            watermarks.insert(partition, offsets);
        }
        Ok(watermarks)
    }

    pub(crate) fn existing_partitions(&self, topic: &str) -> Result<usize, Error> {
        self.partition_count(topic)?.ok_or_else(|| no_topic(topic))
    }
}
