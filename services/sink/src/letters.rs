//! Records that cannot become rows, on their way to the dead letters, with their original bytes.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, anyhow};
use millrace_kafka::{DeliveryResult, Headers, OutRecord, Producer, SendError};
use millrace_wire::Status;
use millrace_wire::avro::{DeadLetter, Header};
use millrace_wire::headers;

use crate::row::Rejected;

/// How long one attempt waits for the broker; the batcher makes further ones.
const DELIVERY_DEADLINE: Duration = Duration::from_secs(10);

const STAGE: &str = "sink";

/// A rejected record and when it was rejected.
pub(crate) struct Letter {
    rejected: Rejected,
    failed_at_unix_ms: i64,
    size_bytes: usize,
    /// Where the broker's answer will arrive, once it was sent.
    answer: Option<mpsc::Receiver<DeliveryResult>>,
}

/// Writes dead letters.
#[derive(Clone)]
pub(crate) struct Letters {
    producer: Producer,
    topic: Arc<str>,
}

impl Letter {
    pub(crate) fn new(rejected: Rejected) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let millis = now.unwrap_or_default().as_millis();
        Self {
            size_bytes: rejected.record.size_bytes(),
            rejected,
            failed_at_unix_ms: i64::try_from(millis).unwrap_or(i64::MAX),
            answer: None,
        }
    }

    /// The offset of the rejected record.
    pub(crate) fn offset(&self) -> i64 {
        self.rejected.record.offset
    }

    /// Bytes of the rejected record as it came from Kafka.
    pub(crate) fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    /// Waits for the broker's answer: whether it has the letter. One that waits longer than until
    /// the deadline is still on its way and must not be sent a second time.
    fn settle(&mut self, deadline: Instant) -> anyhow::Result<bool> {
        let Some(answer) = self.answer.take() else {
            return Ok(false);
        };
        let left = deadline.saturating_duration_since(Instant::now());
        match answer.recv_timeout(left) {
            Ok(Ok(_)) => Ok(true),
            Ok(Err(error)) => Err(error.into()),
            Err(RecvTimeoutError::Timeout) => {
                self.answer = Some(answer);
                let seconds = DELIVERY_DEADLINE.as_secs();
                Err(anyhow!("no acknowledgement within {seconds} s"))
            }
            Err(RecvTimeoutError::Disconnected) => Err(anyhow!("the producer has ended")),
        }
    }

    /// The message; without the value where that makes it too large for any topic.
    fn message(&self, value: Option<Vec<u8>>, note: &str) -> DeadLetter {
        let record = &self.rejected.record;
        let model = record.headers.get_first(headers::MODEL).unwrap_or_default();
        let header = |(name, value): (&str, Option<&[u8]>)| Header {
            name: name.to_owned(),
            value: value.map(<[u8]>::to_vec),
        };
        DeadLetter {
            key: record.key.clone(),
            value,
            headers: record.headers.iter().map(header).collect(),
            topic: record.topic.to_string(),
            partition: record.partition,
            offset: record.offset,
            timestamp_unix_ms: record.timestamp_unix_ms.unwrap_or(-1),
            code: Status::InvalidArgument.name().to_owned(),
            reason: format!("{}{note}", self.rejected.reason),
            stage: STAGE.to_owned(),
            model: String::from_utf8_lossy(model).into_owned(),
            attempts: 1,
            failed_at_unix_ms: self.failed_at_unix_ms,
        }
    }
}

impl Letters {
    /// Letters go to the dead-letters topic of the line with this prefix.
    pub(crate) fn new(producer: Producer, prefix: &str) -> Self {
        Self {
            producer,
            topic: format!("{prefix}.dead-letters").into(),
        }
    }

    /// Returns when the broker has acknowledged every letter. Those that it has are removed from
    /// the list even after an error; a repetition waits for those that are on their way, and
    /// sends the others only.
    pub(crate) fn deliver(&self, letters: &mut Vec<Letter>) -> anyhow::Result<()> {
        if letters.is_empty() {
            return Ok(());
        }
        let deadline = Instant::now() + DELIVERY_DEADLINE;
        let mut outcome = Ok(());
        for letter in letters.iter_mut().filter(|letter| letter.answer.is_none()) {
            match self.send(letter) {
                Ok(answer) => letter.answer = Some(answer),
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
            }
        }
        letters.retain_mut(|letter| match letter.settle(deadline) {
            Ok(delivered) => !delivered,
            Err(error) => {
                outcome = Err(error);
                true
            }
        });
        outcome.with_context(|| {
            format!(
                "{} dead letters wait for topic {}",
                letters.len(),
                self.topic
            )
        })
    }

    fn send(&self, letter: &Letter) -> anyhow::Result<mpsc::Receiver<DeliveryResult>> {
        let value = letter.rejected.record.value.clone();
        let length = value.as_ref().map_or(0, Vec::len);
        if let Some(answer) = self.try_send(letter.message(value, ""))? {
            return Ok(answer);
        }
        let note = format!(
            " (its value of {length} bytes is too large for the dead letters and left out)"
        );
        self.try_send(letter.message(None, &note))?
            .ok_or_else(|| anyhow!("a dead letter is too large without its value"))
    }

    /// `None` if the letter is too large.
    fn try_send(
        &self,
        message: DeadLetter,
    ) -> anyhow::Result<Option<mpsc::Receiver<DeliveryResult>>> {
        let record = OutRecord {
            topic: Arc::clone(&self.topic),
            partition: None,
            value: Some(message.encode()?),
            key: message.key,
            headers: Headers::new(),
        };
        let (sender, answer) = mpsc::channel();
        let on_delivery = move |result| {
            // Nobody waits any more once the partition is another process's.
            let _ = sender.send(result);
        };
        let sent = self
            .producer
            .send_blocking(record, on_delivery, DELIVERY_DEADLINE);
        match sent.map_err(|not_sent| not_sent.reason) {
            Ok(()) => Ok(Some(answer)),
            Err(SendError::TooLarge { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
