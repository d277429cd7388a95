//! Deleting the oldest records of partitions.

use std::collections::BTreeMap;

use rdkafka::admin::AdminOptions;
use rdkafka::{Offset, TopicPartitionList};

use crate::admin::{Admin, REQUEST};
use crate::error::Error;

impl Admin {
    /// Deletes the records before these offsets, by partition, and answers the offset of the first
    /// record that each of these partitions has now.
    ///
    /// # Errors
    /// `NoTopic`, or `Kafka` when the broker does not answer or refuses; then some partitions may
    /// have been done.
    pub fn delete_records_before(
        &self,
        topic: &str,
        offsets: &BTreeMap<i32, i64>,
    ) -> Result<BTreeMap<i32, i64>, Error> {
        let what = format!("deleting records of topic {topic}");
        self.existing_partitions(topic)?;
        let mut list = TopicPartitionList::with_capacity(offsets.len());
        for (&partition, &offset) in offsets {
            list.add_partition_offset(topic, partition, Offset::Offset(offset))
                .map_err(|source| self.error(&what, source))?;
        }
        let options = AdminOptions::new()
            .operation_timeout(Some(REQUEST))
            .request_timeout(Some(REQUEST));
        let answer = self.wait(&what, self.client.delete_records(&list, &options))?;
        let mut firsts = BTreeMap::new();
        for element in answer.elements() {
            element
                .error()
                .map_err(|source| self.error(&what, source))?;
            if let Offset::Offset(first) = element.offset() {
                firsts.insert(element.partition(), first);
            }
        }
        Ok(firsts)
    }
}
