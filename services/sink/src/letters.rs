//! Records that cannot become rows, on their way to the dead letters, with their original bytes.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, anyhow};
use millrace_kafka::{Headers, OutRecord, Producer, SendError};
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

type Answer = (usize, millrace_kafka::DeliveryResult);

impl Letters {
    /// Letters go to the dead-letters topic of the line with this prefix.
    pub(crate) fn new(producer: Producer, prefix: &str) -> Self {
        Self {
            producer,
            topic: format!("{prefix}.dead-letters").into(),
        }
    }

    /// Returns when the broker has acknowledged every letter. Those that it has are removed from
    /// the list even after an error, so that a repetition sends the others only.
    pub(crate) fn deliver(&self, letters: &mut Vec<Letter>) -> anyhow::Result<()> {
        if letters.is_empty() {
            return Ok(());
        }
        let (sender, answers) = mpsc::channel();
        let mut sent = 0;
        let mut refused = Ok(());
        for (index, letter) in letters.iter().enumerate() {
            refused = self.send(index, letter, &sender);
            if refused.is_err() {
                break;
            }
            sent += 1;
        }
        drop(sender);
        let mut delivered = vec![false; letters.len()];
        let waited = wait(&answers, sent, &mut delivered);
        let mut index = 0;
        letters.retain(|_| {
            index += 1;
            !delivered[index - 1]
        });
        refused.and(waited).with_context(|| {
            format!(
                "{} dead letters wait for topic {}",
                letters.len(),
                self.topic
            )
        })
    }

    fn send(
        &self,
        index: usize,
        letter: &Letter,
        answers: &mpsc::Sender<Answer>,
    ) -> anyhow::Result<()> {
        let value = letter.rejected.record.value.clone();
        let length = value.as_ref().map_or(0, Vec::len);
        match self.try_send(letter.message(value, ""), index, answers.clone())? {
            Sent::Accepted => Ok(()),
            Sent::TooLarge => {
                let note = format!(
                    " (its value of {length} bytes is too large for the dead letters and left out)"
                );
                match self.try_send(letter.message(None, &note), index, answers.clone())? {
                    Sent::Accepted => Ok(()),
                    Sent::TooLarge => Err(anyhow!("a dead letter is too large without its value")),
                }
            }
        }
    }

    fn try_send(
        &self,
        message: DeadLetter,
        index: usize,
        answers: mpsc::Sender<Answer>,
    ) -> anyhow::Result<Sent> {
        let record = OutRecord {
            topic: Arc::clone(&self.topic),
            partition: None,
            value: Some(message.encode()?),
            key: message.key,
            headers: Headers::new(),
        };
        let on_delivery = move |result| {
            // The receiver gives up at a deadline; the letter is then sent again.
            let _ = answers.send((index, result));
        };
        let sent = self
            .producer
            .send_blocking(record, on_delivery, DELIVERY_DEADLINE);
        match sent.map_err(|not_sent| not_sent.reason) {
            Ok(()) => Ok(Sent::Accepted),
            Err(SendError::TooLarge { .. }) => Ok(Sent::TooLarge),
            Err(error) => Err(error.into()),
        }
    }
}

enum Sent {
    Accepted,
    TooLarge,
}

fn wait(
    answers: &mpsc::Receiver<Answer>,
    sent: usize,
    delivered: &mut [bool],
) -> anyhow::Result<()> {
    let deadline = Instant::now() + DELIVERY_DEADLINE;
    let mut failed = Ok(());
    for _ in 0..sent {
        let left = deadline.saturating_duration_since(Instant::now());
        let (index, result) = answers.recv_timeout(left).map_err(|_| {
            anyhow!(
                "no acknowledgement within {} s",
                DELIVERY_DEADLINE.as_secs()
            )
        })?;
        match result {
            Ok(_) => delivered[index] = true,
            Err(error) => failed = Err(error.into()),
        }
    }
    failed
}
