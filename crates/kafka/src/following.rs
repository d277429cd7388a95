//! The polling thread of a follower.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use prometheus_client::metrics::counter::Counter;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::MetadataPartition;
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::watch;

use crate::closing;
use crate::context::Context;
use crate::error::Error;
use crate::failure::{self, Failure};
use crate::follower::{FollowFrom, FollowPartitions, FollowerSettings};
use crate::group::{self, Control};
use crate::metrics::{Metrics, Topic};
use crate::record::Record;
use crate::state::{self, State};

/// Records handled between two looks at the clock.
const BURST: usize = 256;
/// Every wait is at most this long, so that a stop is noticed.
const WAIT: Duration = Duration::from_millis(50);
/// How often the topic is asked for partitions that were added.
const REFRESH: Duration = Duration::from_secs(30);
/// How soon to ask again when the broker did not answer.
const RETRY: Duration = Duration::from_millis(200);
const REQUEST: Duration = Duration::from_secs(2);
const DESTROY: Duration = Duration::from_secs(5);

pub(crate) struct Following<F> {
    settings: FollowerSettings,
    consumer: BaseConsumer<Context>,
    on_record: F,
    topic: Arc<str>,
    records: Counter,
    partitions: BTreeMap<i32, Followed>,
    next_refresh: Instant,
}

/// One partition that is being read.
struct Followed {
    /// What was in the partition at the start has been handed over.
    caught_up: bool,
    /// Offset after the last record at the start.
    initial_end: i64,
}

impl<F: FnMut(Record)> Following<F> {
    pub(crate) fn new(
        settings: FollowerSettings,
        on_record: F,
        metrics: &Metrics,
    ) -> Result<Self, Error> {
        let mut safety = group::reading_safety();
        safety.extend([
            // librdkafka asks for a name, but with `assign` and no commits
            // there is no group.
            (
                "group.id",
                format!("{}-follower", settings.cluster.client_id),
            ),
            ("auto.offset.reset", "earliest".to_owned()),
            ("enable.partition.eof", "true".to_owned()),
        ]);
        let defaults = group::reading_defaults(settings.max_record_bytes);
        let config = settings.cluster.client_config(&defaults, &safety)?;
        let context = Context::new("follower", "", metrics);
        let consumer = config
            .create_with_context(context)
            .map_err(|source| Error::Settings {
                client: "follower",
                source,
            })?;
        let label = Topic {
            topic: settings.topic.clone(),
        };
        Ok(Self {
            topic: Arc::from(settings.topic.as_str()),
            records: metrics.followed_records.get_or_create_owned(&label),
            partitions: BTreeMap::new(),
            next_refresh: Instant::now(),
            settings,
            consumer,
            on_record,
        })
    }

    pub(crate) fn run(
        mut self,
        control: &Control,
        caught_up: &AtomicBool,
        states: &watch::Sender<State>,
    ) -> Result<(), Error> {
        let mut result = Ok(());
        while result.is_ok() && control.stop_at().is_none() {
            result = self.step();
            state::announce(states, self.state());
            if !caught_up.load(Ordering::Relaxed) && self.is_caught_up() {
                caught_up.store(true, Ordering::Release);
            }
        }
        if let Err(error) = &result {
            state::announce(states, State::Failed(error.clone()));
        }
        closing::drop_within(self.consumer, "follower", DESTROY);
        state::announce(states, State::Stopped);
        result
    }

    fn step(&mut self) -> Result<(), Error> {
        if Instant::now() >= self.next_refresh {
            self.refresh()?;
        }
        let mut wait = WAIT;
        for _ in 0..BURST {
            let Some(event) = self.consumer.poll(wait) else {
                break;
            };
            wait = Duration::ZERO;
            match event {
                Ok(message) => {
                    let record = Record::copy_from(&message, &self.topic);
                    self.hand_over(record);
                }
                Err(KafkaError::PartitionEOF(partition)) => {
                    if let Some(followed) = self.partitions.get_mut(&partition) {
                        followed.caught_up = true;
                    }
                }
                Err(error) => self.judge("following", error)?,
            }
        }
        Ok(())
    }

    fn hand_over(&mut self, record: Record) {
        if let Some(followed) = self.partitions.get_mut(&record.partition) {
            followed.caught_up |= record.offset + 1 >= followed.initial_end;
        }
        self.records.inc();
        (self.on_record)(record);
    }

    /// Starts with the partitions that are not followed yet.
    fn refresh(&mut self) -> Result<(), Error> {
        self.next_refresh = Instant::now() + RETRY;
        let known = match self.existing() {
            Ok(known) => known,
            Err(error) => return self.judge("looking up", error),
        };
        let first_time = self.partitions.is_empty();
        for partition in known {
            if self.partitions.contains_key(&partition) {
                continue;
            }
            if let Err(error) = self.begin(partition, first_time) {
                return self.judge("starting to follow", error);
            }
        }
        if !self.partitions.is_empty() {
            self.next_refresh = Instant::now() + REFRESH;
        }
        Ok(())
    }

    /// Partitions that should be followed and exist.
    fn existing(&self) -> Result<Vec<i32>, KafkaError> {
        let name = self.settings.topic.as_str();
        let metadata = self.consumer.fetch_metadata(Some(name), REQUEST)?;
        let Some(topic) = metadata.topics().iter().find(|topic| topic.name() == name) else {
            return Err(KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopic));
        };
        if let Some(error) = topic.error() {
            return Err(KafkaError::MetadataFetch(error.into()));
        }
        let all = topic.partitions().iter().map(MetadataPartition::id);
        let wanted: Vec<i32> = match self.settings.partitions {
            FollowPartitions::All => all.collect(),
            FollowPartitions::One(one) => all.filter(|id| *id == one).collect(),
        };
        if wanted.is_empty() {
            return Err(KafkaError::MetadataFetch(
                RDKafkaErrorCode::UnknownPartition,
            ));
        }
        Ok(wanted)
    }

    fn begin(&mut self, partition: i32, first_time: bool) -> Result<(), KafkaError> {
        let topic = &self.settings.topic;
        let (start, end) = self.consumer.fetch_watermarks(topic, partition, REQUEST)?;
        // An explicit end instead of "the end": from now on nothing can be
        // missed, even if the first fetch comes late.
        let (from, caught_up) = match self.settings.from {
            FollowFrom::End if first_time => (Offset::Offset(end), true),
            FollowFrom::End | FollowFrom::Beginning => (Offset::Beginning, start == end),
        };
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition_offset(topic, partition, from)?;
        self.consumer.incremental_assign(&list)?;
        let followed = Followed {
            caught_up,
            initial_end: end,
        };
        self.partitions.insert(partition, followed);
        Ok(())
    }

    fn judge(&self, doing: &str, error: KafkaError) -> Result<(), Error> {
        if failure::classify(&error) == Failure::Transient {
            return Ok(());
        }
        let topic = &self.settings.topic;
        if matches!(
            error.rdkafka_error_code(),
            Some(RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::UnknownTopicOrPartition)
        ) {
            return Err(Error::NoTopic {
                topic: topic.clone(),
            });
        }
        Err(Error::kafka(format!("{doing} topic {topic}"), error))
    }

    fn is_caught_up(&self) -> bool {
        let mut partitions = self.partitions.values();
        !self.partitions.is_empty() && partitions.all(|followed| followed.caught_up)
    }

    fn state(&self) -> State {
        if self.consumer.context().is_broker_down() {
            State::BrokerDown
        } else if self.partitions.is_empty() {
            State::Starting
        } else {
            State::Running {
                partitions: self.partitions.len(),
            }
        }
    }
}
