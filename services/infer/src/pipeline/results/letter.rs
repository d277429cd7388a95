//! Dead letters: the original record, byte for byte, and why it could not be answered.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use millrace_kafka::Failure;
use millrace_wire::avro::{DeadLetter, Header};

use super::{Debts, Results};
use crate::pipeline::outcome::{Refusal, Resend, Settled};
use crate::pipeline::request::Request;

/// How much of the original a dead letter holds. The broker may refuse it whole; its coordinates always fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LetterSize {
    Whole,
    WithoutValue,
    CoordinatesOnly,
}

impl LetterSize {
    pub(super) fn smaller(self) -> Option<Self> {
        match self {
            LetterSize::Whole => Some(LetterSize::WithoutValue),
            LetterSize::WithoutValue => Some(LetterSize::CoordinatesOnly),
            LetterSize::CoordinatesOnly => None,
        }
    }

    /// What is added to the reason.
    fn remark(self) -> &'static str {
        match self {
            LetterSize::Whole => "",
            LetterSize::WithoutValue => " (the record's value was too large for this topic)",
            LetterSize::CoordinatesOnly => {
                " (the record's key, headers and value were too large for this topic)"
            }
        }
    }
}

impl Results {
    /// Sends the dead letter, or a smaller one if the broker does not take it.
    pub(super) fn send_letter(
        self: &Arc<Self>,
        debts: Arc<Debts>,
        refusal: Refusal,
        size: LetterSize,
    ) {
        let record = match self.drafts.letter(&debts.request, &refusal, size) {
            Ok(record) => record,
            Err(error) => return self.fatal().report(error),
        };
        let (results, debt, sent) = (Arc::clone(self), Arc::clone(&debts), refusal.clone());
        let outcome = self.post(record, move |delivery| match (delivery, size.smaller()) {
            (Ok(()), _) => {
                results
                    .metrics()
                    .count_dead_letter(sent.stage.name(), sent.status.name());
                debt.pay();
            }
            (Err(error), Some(smaller)) if error.failure == Failure::Poison => {
                results.hand_in(Settled::Again(debt, sent, Resend::Letter(smaller)));
            }
            (Err(error), _) => results.undelivered(error),
        });
        match (outcome, size.smaller()) {
            (Ok(()), _) => {}
            (Err(_), Some(smaller)) => self.send_letter(debts, refusal, smaller),
            (Err(reason), None) => self.unsendable("a dead letter", &reason),
        }
    }
}

pub(super) fn dead_letter(
    request: &Request,
    refusal: &Refusal,
    size: LetterSize,
    model: &str,
) -> DeadLetter {
    let record = &request.record;
    let keep_value = size == LetterSize::Whole;
    let keep_rest = size != LetterSize::CoordinatesOnly;
    let headers = record.headers.iter().filter(|_| keep_rest);
    DeadLetter {
        key: record.key.clone().filter(|_| keep_rest),
        value: request
            .original_value()
            .filter(|_| keep_value)
            .map(<[u8]>::to_vec),
        headers: headers
            .map(|(name, value)| Header {
                name: name.to_owned(),
                value: value.map(<[u8]>::to_vec),
            })
            .collect(),
        topic: record.topic.to_string(),
        partition: record.partition,
        offset: record.offset,
        timestamp_unix_ms: record.timestamp_unix_ms.unwrap_or(-1),
        code: refusal.status.name().to_owned(),
        reason: format!("{}{}", refusal.sentence, size.remark()),
        stage: refusal.stage.name().to_owned(),
        model: model.to_owned(),
        attempts: refusal.attempts,
        failed_at_unix_ms: now_unix_ms(),
    }
}

fn now_unix_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
