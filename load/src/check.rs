//! Every answer is checked: a fast wrong answer voids the run. The same reading gives the times of the first and the
//! last answer, by the broker's clock.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use millrace_kafka::{Follower, FollowerSettings, Metrics, Record};
use millrace_wire::{Limits, headers};

use crate::line::Line;
use crate::networks::Outputs;
use crate::reference::{Answer, agrees};
use crate::rows::{self, OUTPUT};

/// How long reading a topic back may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// What the records of a topic should hold.
#[derive(Clone)]
pub enum Expected {
    /// So many first bytes of the request of the id in the key.
    Requests(usize),
    /// The model's answer to the row of the id in the key.
    Answers(Arc<Vec<Answer>>),
    /// The outputs of a network to the row that the id in the key stands for.
    Outputs(Arc<Outputs>),
}

/// When the broker got the answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Arrivals {
    /// The first one.
    pub first_unix_ms: i64,
    /// The last one.
    pub last_unix_ms: i64,
    /// How many came later than the first one, by the clock's milliseconds.
    pub after_first: u64,
}

/// Reads a topic whole and checks that it holds each id below `count` exactly once, rightly answered.
///
/// # Errors
/// The first wrong answer, or what is missing or there twice.
pub fn check(line: &Line, topic: &str, count: u64, expected: Expected) -> anyhow::Result<Arrivals> {
    let reading = Arc::new(Mutex::new(Reading::new(count, expected)?));
    let shared = Arc::clone(&reading);
    let settings = FollowerSettings::whole_topic(line.cluster.clone(), topic);
    let read = move |record| {
        shared
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take(&record)
    };
    let follower = Follower::start(settings, read, &Metrics::default())?;
    follower.wait_caught_up(PATIENCE)?;
    follower.stop(PATIENCE)?;
    let reading = reading.lock().unwrap_or_else(PoisonError::into_inner);
    reading.verdict().with_context(|| format!("topic {topic}"))
}

struct Reading {
    expected: Expected,
    seen: Vec<bool>,
    times: Vec<i64>,
    duplicates: u64,
    first_fault: Option<String>,
}

impl Reading {
    fn new(count: u64, expected: Expected) -> anyhow::Result<Self> {
        let seen = vec![false; usize::try_from(count)?];
        Ok(Self {
            expected,
            seen,
            times: Vec::new(),
            duplicates: 0,
            first_fault: None,
        })
    }

    fn take(&mut self, record: &Record) {
        if let Err(error) = self.check(record) {
            let Record {
                partition, offset, ..
            } = record;
            self.first_fault.get_or_insert_with(|| {
                format!("partition {partition}, offset {offset}: {error:#}")
            });
        }
    }

    fn check(&mut self, record: &Record) -> anyhow::Result<()> {
        self.times.push(
            record
                .timestamp_unix_ms
                .context("the record has no timestamp")?,
        );
        let key = record.key.as_deref().context("the record has no key")?;
        let id: u64 = std::str::from_utf8(key)?
            .parse()
            .context("the key is no id")?;
        let seen = self
            .seen
            .get_mut(usize::try_from(id)?)
            .with_context(|| format!("nobody sent id {id}"))?;
        self.duplicates += u64::from(*seen);
        *seen = true;
        let value = record.value.as_deref().unwrap_or_default();
        match &self.expected {
            Expected::Requests(bytes) => {
                let request = rows::record(id)?;
                ensure!(
                    value == &request[..request.len().min(*bytes)],
                    "id {id} came back changed"
                );
            }
            Expected::Outputs(outputs) => {
                check_accepted(record, id)?;
                outputs
                    .check(id, value)
                    .with_context(|| format!("id {id}"))?;
            }
            Expected::Answers(answers) => {
                check_accepted(record, id)?;
                let answer = answers
                    .get(usize::try_from(id)?)
                    .context("there is no reference")?;
                check_answer(value, answer).with_context(|| format!("id {id}"))?;
            }
        }
        Ok(())
    }

    fn verdict(&self) -> anyhow::Result<Arrivals> {
        if let Some(fault) = &self.first_fault {
            bail!("a wrong answer: {fault}");
        }
        let missing = self.seen.iter().filter(|seen| !**seen).count();
        ensure!(
            missing == 0,
            "{missing} of {} answers are missing",
            self.seen.len()
        );
        ensure!(
            self.duplicates == 0,
            "{} answers came twice",
            self.duplicates
        );
        let first_unix_ms = self
            .times
            .iter()
            .copied()
            .min()
            .context("there are no answers")?;
        let last_unix_ms = self
            .times
            .iter()
            .copied()
            .max()
            .context("there are no answers")?;
        let after_first = self
            .times
            .iter()
            .filter(|time| **time > first_unix_ms)
            .count();
        Ok(Arrivals {
            first_unix_ms,
            last_unix_ms,
            after_first: u64::try_from(after_first)?,
        })
    }
}

fn check_accepted(record: &Record, id: u64) -> anyhow::Result<()> {
    let error = record.headers.get_first(headers::ERROR);
    let error = error.map(String::from_utf8_lossy);
    ensure!(
        error.is_none(),
        "id {id} was refused: {}",
        error.unwrap_or_default()
    );
    Ok(())
}

fn check_answer(value: &[u8], expected: &Answer) -> anyhow::Result<()> {
    let record = millrace_wire::Record::decode(value.to_vec(), &Limits::default())?;
    let column = record
        .column_index(OUTPUT)
        .context("the answer has no column `output`")?;
    let tensor = record.tensor(column)?;
    let given = tensor.typed::<f32>().context("the answer is not FP32")?;
    ensure!(
        agrees(given, expected),
        "the answer is {given:?}, ONNX Runtime says {expected:?}"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use arrow::buffer::Buffer;
    use millrace_wire::{DType, Tensor, encode_tensors};

    use super::*;

    fn answer(id: u8) -> Answer {
        [f32::from(id); rows::CLASSES]
    }

    fn result(id: u8, answer: Answer, time: i64) -> Record {
        let tensor = Tensor::fixed(
            OUTPUT,
            DType::Float32,
            vec![1, rows::CLASSES],
            Buffer::from_vec(answer.to_vec()),
        );
        Record {
            topic: "results".into(),
            partition: 0,
            offset: 0,
            timestamp_unix_ms: Some(time),
            key: Some(id.to_string().into_bytes()),
            value: Some(encode_tensors(&[tensor.unwrap()]).unwrap()),
            headers: millrace_kafka::Headers::default(),
        }
    }

    fn verdict(records: &[Record]) -> Result<Arrivals, String> {
        let expected = Expected::Answers(Arc::new((0..3).map(answer).collect()));
        let mut reading = Reading::new(3, expected).unwrap();
        records.iter().for_each(|record| reading.take(record));
        reading.verdict().map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn right_answers_to_all_ids_give_the_times() {
        let records = [
            result(2, answer(2), 105),
            result(0, answer(0), 100),
            result(1, answer(1), 100),
        ];
        let arrivals = Arrivals {
            first_unix_ms: 100,
            last_unix_ms: 105,
            after_first: 1,
        };
        assert_eq!(verdict(&records), Ok(arrivals));
    }

    #[test]
    fn the_answer_to_another_row_is_wrong() {
        let error = verdict(&[result(1, answer(2), 100)]).unwrap_err();
        assert!(
            error.contains("id 1") && error.contains("ONNX Runtime says"),
            "{error}"
        );
    }

    #[test]
    fn missing_and_repeated_answers_are_told() {
        let two = [result(0, answer(0), 100), result(1, answer(1), 100)];
        assert!(
            verdict(&two)
                .unwrap_err()
                .contains("1 of 3 answers are missing")
        );
        let four = [
            two.as_slice(),
            &[result(2, answer(2), 101), result(2, answer(2), 102)],
        ]
        .concat();
        assert!(verdict(&four).unwrap_err().contains("1 answers came twice"));
    }

    #[test]
    fn a_refused_record_is_told_with_its_reason() {
        let mut refused = result(0, answer(0), 100);
        refused.value = None;
        refused
            .headers
            .push(headers::ERROR, Some(b"the row is too long".to_vec()));
        assert!(
            verdict(&[refused])
                .unwrap_err()
                .contains("the row is too long")
        );
    }
}
