//! Reading a topic at any place: single records and short runs of them, by
//! offset, without a group and without following.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use crate::admin::no_topic;
use crate::closing;
use crate::cluster::Cluster;
use crate::context::Context;
use crate::error::Error;
use crate::failure::{self, Failure};
use crate::group;
use crate::metrics::Metrics;
use crate::record::Record;

/// How long one call into librdkafka waits before the deadline is looked at.
const WAIT: Duration = Duration::from_millis(50);
const DESTROY: Duration = Duration::from_secs(5);
/// Options in which this client differs from those that read on and on.
const OURS: [&str; 2] = ["fetch.message.max.bytes", "fetch.wait.max.ms"];

/// A run of records in one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition, at least 0.
    pub partition: i32,
    /// The offsets, the end not included. Not every one of them need hold a
    /// record.
    pub offsets: Range<i64>,
}

/// Reads records wherever they lie. Every call blocks, until its deadline at
/// most; use it on a thread of its own.
pub struct Reader {
    consumer: Option<BaseConsumer<Context>>,
}

impl Reader {
    /// Prepares a client; does not connect yet. `max_record_bytes` is the
    /// largest record that must be readable.
    ///
    /// # Errors
    /// `OptionRefused`, `Settings`, `LibraryTooOld`.
    pub fn open(
        cluster: &Cluster,
        max_record_bytes: usize,
        metrics: &Metrics,
    ) -> Result<Self, Error> {
        let mut defaults = group::reading_defaults(max_record_bytes);
        defaults.retain(|(key, _)| !OURS.contains(key));
        defaults.extend([
            // Most calls want one record: larger batches are sent whole all the same.
            (OURS[0], (64 << 10).to_string()),
            // The broker must not hold an answer back at the end of a partition:
            // the next call would wait for it.
            (OURS[1], "1".to_owned()),
        ]);
        let mut safety = group::reading_safety();
        safety.extend([
            ("group.id", format!("{}-reader", cluster.client_id)),
            // Whoever asks for an offset that is gone must not get another record.
            ("auto.offset.reset", "error".to_owned()),
            ("enable.partition.eof", "true".to_owned()),
        ]);
        let config = cluster.client_config(&defaults, &safety)?;
        let consumer = config
            .create_with_context(Context::new("reader", "", metrics))
            .map_err(|source| Error::Settings {
                client: "reader",
                source,
            })?;
        Ok(Self {
            consumer: Some(consumer),
        })
    }

    /// Number of partitions.
    ///
    /// # Errors
    /// `NoTopic`, `TimedOut`, or `Kafka` when the broker refuses.
    pub fn partition_count(&self, topic: &str, until: Instant) -> Result<usize, Error> {
        let what = || format!("looking up topic {topic}");
        let metadata = retry(until, what, |wait| {
            self.consumer().fetch_metadata(Some(topic), wait)
        })?;
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        match found.map(|found| (found.error(), found.partitions().len())) {
            Some((None, count)) if count > 0 => Ok(count),
            None | Some((None, _)) => Err(no_topic(topic)),
            Some((Some(error), _)) => {
                let source = KafkaError::MetadataFetch(error.into());
                Err(judged(topic, what(), source))
            }
        }
    }

    /// The offsets that a partition holds: from its first record to after its
    /// last one.
    ///
    /// # Errors
    /// `NoTopic`, `TimedOut`, or `Kafka` when the broker refuses.
    pub fn bounds(&self, topic: &str, partition: i32, until: Instant) -> Result<Range<i64>, Error> {
        let what = || format!("reading the ends of topic {topic}, partition {partition}");
        let bounds = retry(until, what, |wait| {
            self.consumer().fetch_watermarks(topic, partition, wait)
        });
        match bounds {
            Ok((start, end)) => Ok(start..end),
            Err(Error::Kafka { what, source }) => Err(judged(topic, what, source)),
            Err(error) => Err(error),
        }
    }

    /// The offset of the first record that is not older than this, in
    /// milliseconds since 1970; `None` if all are.
    ///
    /// # Errors
    /// `NoTopic`, `TimedOut`, or `Kafka` when the broker refuses.
    pub fn offset_at(
        &self,
        (topic, partition): (&str, i32),
        unix_ms: i64,
        until: Instant,
    ) -> Result<Option<i64>, Error> {
        let what = || format!("finding a time in topic {topic}, partition {partition}");
        let found = retry(until, what, |wait| {
            let mut list = TopicPartitionList::with_capacity(1);
            list.add_partition_offset(topic, partition, Offset::Offset(unix_ms))?;
            let found = self.consumer().offsets_for_times(list, wait)?;
            let element = found.find_partition(topic, partition);
            element.map_or(Ok(Offset::End), |element| {
                element.error().map(|()| element.offset())
            })
        });
        match found {
            Ok(Offset::Offset(offset)) => Ok(Some(offset)),
            Ok(_) => Ok(None),
            Err(Error::Kafka { what, source }) => Err(judged(topic, what, source)),
            Err(error) => Err(error),
        }
    }

    /// Hands the records of a span to `visit`, in order, until it breaks or
    /// the span or the partition ends. A span that begins before the first
    /// record or behind the last one holds nothing.
    ///
    /// # Errors
    /// `NoTopic`, `TimedOut`, or `Kafka` when the broker refuses.
    pub fn read(
        &self,
        span: &Span,
        until: Instant,
        visit: impl FnMut(Record) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        if span.offsets.is_empty() {
            return Ok(());
        }
        let what = || format!("reading topic {}, partition {}", span.topic, span.partition);
        let mut list = TopicPartitionList::with_capacity(1);
        let begin = Offset::Offset(span.offsets.start);
        let consumer = self.consumer();
        list.add_partition_offset(&span.topic, span.partition, begin)
            .and_then(|()| consumer.assign(&list))
            .map_err(|source| Error::kafka(what(), source))?;
        let outcome = self.poll(span, until, visit);
        // Nothing is fetched ahead between two calls.
        consumer
            .unassign()
            .map_err(|source| Error::kafka(what(), source))?;
        outcome
    }

    fn poll(
        &self,
        span: &Span,
        until: Instant,
        mut visit: impl FnMut(Record) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let what = || format!("reading topic {}, partition {}", span.topic, span.partition);
        let began = Instant::now();
        loop {
            match self.consumer().poll(WAIT) {
                Some(Ok(message)) => {
                    let record = Record::copy_from(&message, &span.topic);
                    if record.offset >= span.offsets.end {
                        return Ok(());
                    }
                    let last = record.offset + 1 == span.offsets.end;
                    if visit(record).is_break() || last {
                        return Ok(());
                    }
                }
                Some(Err(KafkaError::PartitionEOF(_))) => return Ok(()),
                Some(Err(error)) if is_out_of_range(&error) => return Ok(()),
                Some(Err(error)) if failure::classify(&error) != Failure::Transient => {
                    return Err(judged(&span.topic, what(), error));
                }
                Some(Err(_)) | None => {}
            }
            if Instant::now() >= until {
                return Err(Error::TimedOut {
                    what: what(),
                    waited: began.elapsed(),
                });
            }
        }
    }

    fn consumer(&self) -> &BaseConsumer<Context> {
        let consumer = self.consumer.as_ref();
        consumer.expect("only dropping takes the consumer away")
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Reader").finish_non_exhaustive()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(consumer) = self.consumer.take() {
            closing::drop_within(consumer, "reader", DESTROY);
        }
    }
}

/// Asks the broker until it answers, refuses for good or the deadline has passed.
fn retry<T>(
    until: Instant,
    what: impl Fn() -> String,
    ask: impl Fn(Duration) -> Result<T, KafkaError>,
) -> Result<T, Error> {
    let began = Instant::now();
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let error = match ask(left.clamp(WAIT, Duration::from_secs(2))) {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        if failure::classify(&error) != Failure::Transient {
            return Err(Error::kafka(what(), error));
        }
        if Instant::now() + WAIT >= until {
            return Err(Error::TimedOut {
                what: what(),
                waited: began.elapsed(),
            });
        }
        std::thread::sleep(WAIT);
    }
}

fn is_out_of_range(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(RDKafkaErrorCode::OffsetOutOfRange | RDKafkaErrorCode::AutoOffsetReset)
    )
}

/// A missing topic has a name of its own among the errors.
fn judged(topic: &str, what: String, source: KafkaError) -> Error {
    match source.rdkafka_error_code() {
        Some(
            RDKafkaErrorCode::UnknownTopic
            | RDKafkaErrorCode::UnknownTopicOrPartition
            | RDKafkaErrorCode::UnknownPartition,
        ) => no_topic(topic),
        _ => Error::kafka(what, source),
    }
}
