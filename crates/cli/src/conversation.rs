//! Questions to a model through Kafka, and the replies: one partition of
//! `<prefix>.replies` is read from its end and named in `mr-reply-to`.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use millrace_kafka::{
    Follower, FollowerSettings, Headers, Metrics, OutRecord, Producer, ProducerSettings, Record,
    State,
};
use millrace_wire::headers::{ID, ReplyTo, RequestHeaders, ResultHeaders};
use millrace_wire::{Decoder, Record as Outputs, Status};

use crate::claims::Large;
use crate::connection::Connection;
use crate::exit::Exit;
use crate::lane::Lane;
use crate::served::Served;

/// Largest request and reply, as in `schemas/topics.yaml`.
pub(crate) const MAX_RECORD_BYTES: usize = 16 << 20;

/// Replies on their way from the follower's thread to ours.
const IN_FLIGHT: usize = 64;

const STOP_DEADLINE: Duration = Duration::from_secs(5);

/// A conversation with one version of one model.
pub(crate) struct Asking {
    producer: Producer,
    follower: Follower,
    topic: Arc<str>,
    reply_to: ReplyTo,
    version: i64,
    replies: Receiver<Record>,
    undelivered: (SyncSender<String>, Receiver<String>),
    large: Large,
}

/// One record for the model.
pub(crate) struct Question {
    /// Comes back with the reply; must begin with the job's prefix.
    pub(crate) id: String,
    /// An Arrow record of the model's inputs.
    pub(crate) payload: Vec<u8>,
    /// Unix milliseconds after which nobody wants the answer.
    pub(crate) deadline_unix_ms: Option<u64>,
}

/// What came back.
pub(crate) struct Reply {
    pub(crate) id: String,
    pub(crate) answer: Result<Outputs, Refusal>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[error("{status}: {sentence}")]
pub(crate) struct Refusal {
    pub(crate) status: Status,
    pub(crate) sentence: String,
}

/// How a conversation begins.
pub(crate) struct Opening<'a> {
    pub(crate) served: &'a Served,
    pub(crate) lane: Lane,
    /// Replies whose id does not begin so are others' and passed over.
    pub(crate) id_prefix: String,
    /// Bytes that may be on their way to the broker.
    pub(crate) max_queue_bytes: usize,
    pub(crate) deadline: Instant,
}

impl Asking {
    /// Finds a place for the replies and waits until it is read.
    ///
    /// # Errors
    /// The replies topic is missing, or cannot be read by the deadline.
    pub(crate) fn open(connection: &Connection, opening: Opening<'_>) -> anyhow::Result<Self> {
        opening.lane.check(opening.served, connection)?;
        let reply_to = place(connection)?;
        let (sender, replies) = mpsc::sync_channel(IN_FLIGHT);
        let prefix = opening.id_prefix.into_bytes();
        let hand_over = move |record: Record| {
            let id = record.headers.get_first(ID).or(record.key.as_deref());
            if id.is_some_and(|id| id.starts_with(&prefix)) {
                // Nobody takes it when we are leaving.
                let _ = sender.send(record);
            }
        };
        let tail = FollowerSettings {
            max_record_bytes: MAX_RECORD_BYTES,
            ..FollowerSettings::tail_of(
                connection.cluster.clone(),
                reply_to.topic.clone(),
                reply_to.partition,
            )
        };
        let follower = Follower::start(tail, hand_over, &Metrics::default())?;
        let settings = ProducerSettings {
            cluster: connection.cluster.clone(),
            max_queue_bytes: opening.max_queue_bytes.max(2 * MAX_RECORD_BYTES),
            max_record_bytes: MAX_RECORD_BYTES,
            ..ProducerSettings::default()
        };
        let producer = Producer::start(&settings, &Metrics::default())?;
        let left = opening.deadline.saturating_duration_since(Instant::now());
        follower
            .wait_caught_up(left)
            .with_context(|| format!("cannot read the replies in topic {}", reply_to.topic))?;
        Ok(Self {
            producer,
            follower,
            topic: connection
                .topic(&opening.lane.requests(&opening.served.model))
                .into(),
            reply_to,
            version: opening.served.version,
            replies,
            undelivered: mpsc::sync_channel(1),
            large: connection.large.clone(),
        })
    }

    /// Sends a question, waiting for room until the deadline.
    ///
    /// # Errors
    /// The record is too large, or the broker takes nothing.
    pub(crate) fn send(&self, question: Question, deadline: Instant) -> anyhow::Result<()> {
        let headers = RequestHeaders {
            id: Some(question.id),
            reply_to: Some(self.reply_to.clone()),
            deadline_unix_ms: question.deadline_unix_ms,
            version: Some(self.version),
            ..RequestHeaders::default()
        };
        let mut headers = written(&headers);
        let room = (&mut headers, MAX_RECORD_BYTES);
        let value = self.large.pack(question.payload, room)?;
        let record = OutRecord {
            topic: Arc::clone(&self.topic),
            partition: None,
            key: None,
            value: Some(value),
            headers,
        };
        self.send_record(record, deadline)
    }

    /// Sends a record of the caller's own making, waiting for room until the deadline.
    ///
    /// # Errors
    /// As those of [`Self::send`].
    pub(crate) fn send_record(&self, record: OutRecord, deadline: Instant) -> anyhow::Result<()> {
        let size_bytes = record.size_bytes();
        let undelivered = self.undelivered.0.clone();
        let on_delivery = move |outcome: Result<_, millrace_kafka::DeliveryError>| {
            if let Err(error) = outcome {
                // One such failure is enough to end the conversation.
                let _ = undelivered.try_send(error.to_string());
            }
        };
        let left = deadline.saturating_duration_since(Instant::now());
        self.producer
            .send_blocking(record, on_delivery, left)
            .map_err(|not_sent| not_sent.reason)
            .with_context(|| format!("a record of {size_bytes} bytes was not sent"))
    }

    /// Where replies come back, for `mr-reply-to`.
    pub(crate) fn reply_to(&self) -> &ReplyTo {
        &self.reply_to
    }

    /// The next reply; `None` when there was none for so long.
    ///
    /// # Errors
    /// A question did not reach the broker, or a reply cannot be read.
    pub(crate) fn next(
        &self,
        patience: Duration,
        decoder: &mut Decoder,
    ) -> anyhow::Result<Option<Reply>> {
        match self.next_record(patience)? {
            Some(record) => self.reply(record, decoder).map(Some),
            None => Ok(None),
        }
    }

    /// The next reply as it came; `None` when there was none for so long.
    ///
    /// # Errors
    /// A question did not reach the broker, or replies cannot be read.
    pub(crate) fn next_record(&self, patience: Duration) -> anyhow::Result<Option<Record>> {
        if let Ok(sentence) = self.undelivered.1.try_recv() {
            bail!(sentence);
        }
        match self.replies.recv_timeout(patience) {
            Ok(record) => Ok(Some(record)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => {
                bail!(
                    "reading the replies has ended: {:?}",
                    *self.follower.state().borrow()
                )
            }
        }
    }

    fn reply(&self, mut record: Record, decoder: &mut Decoder) -> anyhow::Result<Reply> {
        let headers =
            ResultHeaders::parse(record.headers.iter()).context("a reply has unusable headers")?;
        let answer = match headers.status {
            Status::Ok => {
                let value = self
                    .large
                    .value_of(&mut record)
                    .context("a reply cannot be read")?;
                Ok(decoder.decode(value).context("a reply cannot be read")?)
            }
            status => Err(Refusal {
                status,
                sentence: headers
                    .error
                    .unwrap_or_else(|| "infer gave no reason".to_owned()),
            }),
        };
        Ok(Reply {
            id: headers.id,
            answer,
        })
    }

    /// Whether the broker has gone, as far as both clients see.
    pub(crate) fn is_broker_down(&self) -> bool {
        let down = |state: &State| matches!(state, State::BrokerDown);
        down(&self.producer.state().borrow()) || down(&self.follower.state().borrow())
    }

    /// Records that the broker has not acknowledged yet.
    pub(crate) fn unacknowledged(&self) -> usize {
        self.producer.in_flight_records()
    }

    /// Ends the conversation; what is still on its way is given up.
    pub(crate) fn close(self) {
        drop(self.replies);
        // There is nothing left to wait for: a failure to stop changes nothing.
        let _ = self.producer.stop(Duration::ZERO);
        let _ = self.follower.stop(STOP_DEADLINE);
    }
}

/// One partition of the replies topic, at random.
fn place(connection: &Connection) -> anyhow::Result<ReplyTo> {
    let topic = format!("{}.replies", connection.prefix);
    let Some(count) = connection.admin.partition_count(&topic)? else {
        let sentence = format!("topic {topic} does not exist; create it: millrace topics apply");
        return Err(Exit::Missing.error(sentence));
    };
    let partition = rand::random_range(0..i32::try_from(count.max(1))?);
    Ok(ReplyTo { topic, partition })
}

/// The headers of a request record.
pub(crate) fn written(headers: &RequestHeaders) -> Headers {
    let mut pairs = Headers::new();
    for (name, value) in headers.to_pairs() {
        pairs.push(name, Some(value));
    }
    pairs
}
