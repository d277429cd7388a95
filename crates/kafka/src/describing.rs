//! What topics, brokers and groups are like now: partitions, replicas, configuration, members.

use std::collections::BTreeMap;

use rdkafka::admin::{AdminOptions, ResourceSpecifier};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::admin::{Admin, REQUEST, no_topic};
use crate::error::Error;

/// A topic as the cluster's metadata has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicLayout {
    /// Name.
    pub name: String,
    /// Its partitions, by number.
    pub partitions: Vec<PartitionLayout>,
}

/// A partition as the cluster's metadata has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionLayout {
    /// Number, from 0.
    pub partition: i32,
    /// Node id of the broker that leads it; `None` while nobody does.
    pub leader: Option<i32>,
    /// How many copies it should have.
    pub replicas: usize,
    /// How many of them are up to date.
    pub in_sync: usize,
}

/// A consumer group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupDescription {
    /// Name.
    pub name: String,
    /// Kafka's word for what it does: `Stable`, `Empty`, `PreparingRebalance`, …
    pub state: String,
    /// How many members it has now.
    pub members: usize,
}

impl Admin {
    /// All topics, internal ones left out, by name.
    ///
    /// # Errors
    /// `Kafka` when the broker does not answer.
    pub fn layouts(&self) -> Result<Vec<TopicLayout>, Error> {
        let metadata = self.metadata(None)?;
        let mut topics = Vec::new();
        for topic in metadata.topics() {
            if topic.name().starts_with("__") || topic.partitions().is_empty() {
                continue;
            }
            let layout = |partition: &rdkafka::metadata::MetadataPartition| PartitionLayout {
                partition: partition.id(),
                leader: Some(partition.leader()).filter(|&leader| leader >= 0),
                replicas: partition.replicas().len(),
                in_sync: partition.isr().len(),
            };
            let mut partitions: Vec<_> = topic.partitions().iter().map(layout).collect();
            partitions.sort_by_key(|partition| partition.partition);
            topics.push(TopicLayout {
                name: topic.name().to_owned(),
                partitions,
            });
        }
        topics.sort_by(|left, right| left.name.cmp(&right.name));
        Ok(topics)
    }

    /// How many copies of partitions are not up to date or have no leader to
    /// follow, over all topics, internal ones too: 0 before a broker may be
    /// stopped without partitions becoming unwritable.
    ///
    /// # Errors
    /// `Kafka` when the broker does not answer.
    pub fn replicas_behind(&self) -> Result<usize, Error> {
        let metadata = self.metadata(None)?;
        let partitions = metadata.topics().iter().flat_map(|it| it.partitions());
        let behind = partitions.map(|it| match it.leader() {
            0.. => it.replicas().len().saturating_sub(it.isr().len()),
            _ => it.replicas().len(),
        });
        Ok(behind.sum())
    }

    /// The topic's configuration by Kafka's own names, defaults included; values that are secret
    /// are left out.
    ///
    /// # Errors
    /// `NoTopic`, or `Kafka` when the broker does not answer or refuses.
    pub fn topic_config(&self, topic: &str) -> Result<BTreeMap<String, String>, Error> {
        let what = format!("reading the configuration of topic {topic}");
        // Kafka describes a missing topic as one without configuration.
        self.existing_partitions(topic)?;
        let specifiers = [ResourceSpecifier::Topic(topic)];
        let options = AdminOptions::new().request_timeout(Some(REQUEST));
        let results = self.wait(&what, self.client.describe_configs(&specifiers, &options))?;
        let config = match results.into_iter().next() {
            None | Some(Err(RDKafkaErrorCode::UnknownTopicOrPartition)) => {
                return Err(no_topic(topic));
            }
            Some(Err(code)) => return Err(self.error(&what, KafkaError::AdminOp(code))),
            Some(Ok(config)) => config,
        };
        let entries = config.entries.into_iter();
        Ok(entries
            .filter_map(|entry| Some((entry.name, entry.value?)))
            .collect())
    }

    /// Consumer groups whose names begin so, by name. Those that have offsets and no members are
    /// among them.
    ///
    /// # Errors
    /// `Kafka` when the brokers do not answer or refuse.
    pub fn groups(&self, prefix: &str) -> Result<Vec<GroupDescription>, Error> {
        let list = self
            .client
            .inner()
            .fetch_group_list(None, REQUEST)
            .map_err(|source| self.error("listing the consumer groups", source))?;
        let ours = list
            .groups()
            .iter()
            .filter(|group| group.name().starts_with(prefix));
        let mut groups: Vec<GroupDescription> = ours
            .map(|group| GroupDescription {
                name: group.name().to_owned(),
                state: group.state().to_owned(),
                members: group.members().len(),
            })
            .collect();
        groups.sort_by(|left, right| left.name.cmp(&right.name));
        Ok(groups)
    }
}
