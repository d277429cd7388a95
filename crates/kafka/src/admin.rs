//! Topics, offsets and lag: the calls around the data. They block; use them at
//! start, in tools and in tests, not on an async worker.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::Metadata;

use crate::cluster::Cluster;
use crate::context::Context;
use crate::error::Error;
use crate::failure::{self, Failure};
use crate::metrics::Metrics;
use crate::park;

/// How long a single request may take.
pub(crate) const REQUEST: Duration = Duration::from_secs(10);

/// A topic to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSpec {
    /// Name.
    pub name: String,
    /// Number of partitions, at least 1.
    pub partitions: i32,
    /// Replicas of each partition, at least 1.
    pub replication: i32,
    /// Topic configuration by Kafka's own names (`cleanup.policy`, …).
    pub config: BTreeMap<String, String>,
}

/// What became of a topic that was to be created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopicOutcome {
    /// It was created.
    Created,
    /// It was there already and has not been changed.
    Exists,
}

/// A broker of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerAddress {
    /// Node id.
    pub id: i32,
    /// `host:port` as advertised.
    pub address: String,
}

/// What the cluster says about itself. Kafka tells clients no version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterDescription {
    /// Id of the cluster.
    pub cluster_id: Option<String>,
    /// Its brokers.
    pub brokers: Vec<BrokerAddress>,
    /// Version of the client library.
    pub librdkafka: String,
}

/// Administration of one cluster.
pub struct Admin {
    pub(crate) cluster: Cluster,
    pub(crate) client: AdminClient<Context>,
}

impl Admin {
    /// Prepares a client; does not connect yet.
    ///
    /// # Errors
    /// `OptionRefused`, `Settings`, `LibraryTooOld`.
    pub fn connect(cluster: &Cluster) -> Result<Self, Error> {
        let config = cluster.client_config(&[], &[])?;
        let context = Context::new("admin", "", &Metrics::default());
        let client = config
            .create_with_context(context)
            .map_err(|source| Error::Settings {
                client: "admin",
                source,
            })?;
        Ok(Self {
            cluster: cluster.clone(),
            client,
        })
    }

    /// Waits until a broker answers.
    ///
    /// # Errors
    /// `TimedOut`, or a fatal error such as refused credentials.
    pub fn wait_for_broker(&self, deadline: Duration) -> Result<(), Error> {
        let until = Instant::now() + deadline;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let attempt = left.min(Duration::from_secs(1));
            match self.client.inner().fetch_metadata(None, attempt) {
                Ok(metadata) if !metadata.brokers().is_empty() => return Ok(()),
                Err(error) if failure::classify(&error) == Failure::Fatal => {
                    return Err(self.error("waiting for a broker", error));
                }
                _ if left.is_zero() => {
                    return Err(Error::TimedOut {
                        what: format!("waiting for a broker at {}", self.cluster.brokers),
                        waited: deadline,
                    });
                }
                _ => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    /// Creates the topics that are not there yet and waits until the brokers
    /// know them. One result per topic, in the order given.
    ///
    /// # Errors
    /// The first topic that could not be created.
    pub fn create_topics(
        &self,
        topics: &[TopicSpec],
    ) -> Result<Vec<(String, TopicOutcome)>, Error> {
        let new: Vec<NewTopic<'_>> = topics.iter().map(new_topic).collect();
        let options = AdminOptions::new()
            .operation_timeout(Some(REQUEST))
            .request_timeout(Some(REQUEST));
        let results = self.wait("creating topics", self.client.create_topics(&new, &options))?;
        let mut outcomes = Vec::with_capacity(results.len());
        for result in results {
            outcomes.push(match result {
                Ok(topic) => (topic, TopicOutcome::Created),
                Err((topic, RDKafkaErrorCode::TopicAlreadyExists)) => (topic, TopicOutcome::Exists),
                Err((topic, code)) => {
                    let what = format!("creating topic {topic}");
                    return Err(self.error(&what, KafkaError::AdminOp(code)));
                }
            });
        }
        for (topic, _) in &outcomes {
            self.wait_for_topic(topic)?;
        }
        Ok(outcomes)
    }

    /// Deletes topics; those that do not exist are passed over.
    ///
    /// # Errors
    /// The first topic that could not be deleted.
    pub fn delete_topics(&self, topics: &[&str]) -> Result<(), Error> {
        let options = AdminOptions::new().operation_timeout(Some(REQUEST));
        let results = self.wait(
            "deleting topics",
            self.client.delete_topics(topics, &options),
        )?;
        for result in results {
            match result {
                Ok(_) | Err((_, RDKafkaErrorCode::UnknownTopicOrPartition)) => {}
                Err((topic, code)) => {
                    let what = format!("deleting topic {topic}");
                    return Err(self.error(&what, KafkaError::AdminOp(code)));
                }
            }
        }
        Ok(())
    }

    /// Names of all topics, internal ones left out.
    ///
    /// # Errors
    /// `Kafka` when the broker does not answer.
    pub fn topics(&self) -> Result<Vec<String>, Error> {
        let metadata = self.metadata(None)?;
        let names = metadata
            .topics()
            .iter()
            .map(|topic| topic.name().to_owned());
        Ok(names.filter(|name| !name.starts_with("__")).collect())
    }

    /// Number of partitions, `None` if the topic does not exist.
    ///
    /// # Errors
    /// `Kafka` when the broker does not answer or refuses.
    pub fn partition_count(&self, topic: &str) -> Result<Option<usize>, Error> {
        // Asking for the topic by name would create it on brokers that create
        // topics on demand.
        let metadata = self.metadata(None)?;
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        Ok(found
            .map(|found| found.partitions().len())
            .filter(|count| *count > 0))
    }

    /// The topic's `max.message.bytes`: records above it are refused by the
    /// broker.
    ///
    /// # Errors
    /// `NoTopic`, or `Kafka` when the broker does not answer or refuses.
    pub fn max_message_bytes(&self, topic: &str) -> Result<usize, Error> {
        let config = self.topic_config(topic)?;
        let entry = config.get("max.message.bytes");
        entry.and_then(|value| value.parse().ok()).ok_or_else(|| {
            let what = format!("reading the configuration of topic {topic}");
            self.error(&what, KafkaError::AdminOp(RDKafkaErrorCode::InvalidConfig))
        })
    }

    /// The cluster's id and brokers.
    ///
    /// # Errors
    /// `Kafka` when no broker answers.
    pub fn describe(&self) -> Result<ClusterDescription, Error> {
        let metadata = self.metadata(None)?;
        let brokers = metadata.brokers().iter().map(|broker| BrokerAddress {
            id: broker.id(),
            address: format!("{}:{}", broker.host(), broker.port()),
        });
        Ok(ClusterDescription {
            cluster_id: self.client.inner().fetch_cluster_id(REQUEST),
            brokers: brokers.collect(),
            librdkafka: rdkafka::util::get_rdkafka_version().1,
        })
    }

    /// How many partitions a topic has that was made a moment ago. Of several
    /// nodes some hear of it later than others, and any may be asked.
    ///
    /// # Errors
    /// `TimedOut`, or `Kafka` when the broker does not answer or refuses.
    pub fn wait_for_topic(&self, topic: &str) -> Result<usize, Error> {
        let until = Instant::now() + REQUEST;
        loop {
            if let Some(count) = self.partition_count(topic)? {
                return Ok(count);
            }
            if Instant::now() >= until {
                return Err(Error::TimedOut {
                    what: format!("waiting for the new topic {topic}"),
                    waited: REQUEST,
                });
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn metadata(&self, topic: Option<&str>) -> Result<Metadata, Error> {
        self.client
            .inner()
            .fetch_metadata(topic, REQUEST)
            .map_err(|source| self.error("reading the cluster's metadata", source))
    }

    pub(crate) fn wait<T>(
        &self,
        what: &str,
        request: impl Future<Output = Result<T, KafkaError>>,
    ) -> Result<T, Error> {
        let patience = REQUEST + Duration::from_secs(5);
        match park::wait(request, Instant::now() + patience) {
            Some(answer) => answer.map_err(|source| self.error(what, source)),
            None => Err(Error::TimedOut {
                what: what.to_owned(),
                waited: patience,
            }),
        }
    }

    pub(crate) fn error(&self, what: &str, source: KafkaError) -> Error {
        Error::kafka(format!("{what} at {}", self.cluster.brokers), source)
    }
}

fn new_topic(spec: &TopicSpec) -> NewTopic<'_> {
    let topic = NewTopic::new(
        &spec.name,
        spec.partitions,
        TopicReplication::Fixed(spec.replication),
    );
    spec.config
        .iter()
        .fold(topic, |topic, (key, value)| topic.set(key, value))
}

pub(crate) fn no_topic(topic: &str) -> Error {
    Error::NoTopic {
        topic: topic.to_owned(),
    }
}
