//! Dead letters back to where their records came from: the record and the note of it in one transaction, as
//! `millrace dead-letters requeue` does it.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use millrace_kafka::{
    Headers, Metrics, OutRecord, ProducerSettings, Reader, Span, TransactionError,
    TransactionSettings, Transactions,
};
use millrace_wire::avro::{DeadLetter, LetterPlace};
use millrace_wire::headers::REQUEUED;
use serde::{Deserialize, Serialize};

use super::letters::{DEADLINE, MAX_RECORD_BYTES, WINDOW};
use super::{ConsoleError, Shared};
use crate::front::Error;

/// Letters of one request.
pub(super) const MOST: usize = 50;
const TIMEOUT: Duration = Duration::from_secs(30);
const MAX_QUEUE_BYTES: usize = 64 << 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    letters: Vec<String>,
}

/// A letter that was written back.
#[derive(Debug, Serialize)]
pub(super) struct Written {
    letter: LetterPlace,
    to: String,
}

/// Reads `{"letters": ["3@17", …]}`.
pub(super) fn places(body: &[u8]) -> Result<BTreeSet<LetterPlace>, ConsoleError> {
    let wish: Wish = serde_json::from_slice(body).map_err(|_| ConsoleError::Letters)?;
    let places: Option<BTreeSet<_>> = wish
        .letters
        .iter()
        .map(|it| LetterPlace::parse(it))
        .collect();
    places
        .filter(|places| (1..=MOST).contains(&places.len()))
        .ok_or(ConsoleError::Letters)
}

/// Writes the letters back, all or none. Blocks.
pub(super) fn requeue(
    shared: &Shared,
    places: &BTreeSet<LetterPlace>,
    permit: impl Fn(&str) -> Result<(), Error>,
) -> Result<Vec<Written>, Error> {
    let _turn = shared.turn.lock().unwrap_or_else(PoisonError::into_inner);
    // The name is that of the tool: whoever begins later ends the other, before that one has written anything.
    let mut transactions = open(shared).map_err(ConsoleError::Kafka)?;
    transactions.prepare().map_err(ConsoleError::NotWritten)?;
    let reader = Reader::open(&shared.cluster, MAX_RECORD_BYTES, &Metrics::default());
    let reader = reader.map_err(ConsoleError::Kafka)?;
    let topic: Arc<str> = shared.topic("dead-letters").into();
    let (mut records, mut written) = (Vec::new(), Vec::new());
    for place in places {
        let letter = read(&reader, &topic, *place)?;
        permit(&letter.model)?;
        let original = letter.into_original();
        written.push(Written {
            letter: *place,
            to: format!("{}/{}", original.topic, original.partition),
        });
        records.push(OutRecord {
            topic: original.topic.into(),
            partition: Some(original.partition),
            key: original.key,
            value: original.value,
            headers: original.headers.into(),
        });
        records.push(note(&topic, *place));
    }
    match transactions.write(&records) {
        Ok(()) => Ok(written),
        Err(error @ TransactionError::Unknown(_)) => Err(ConsoleError::Unknown(error).into()),
        Err(error) => Err(ConsoleError::NotWritten(error).into()),
    }
}

fn open(shared: &Shared) -> Result<Transactions, millrace_kafka::Error> {
    let settings = TransactionSettings {
        producer: ProducerSettings {
            cluster: shared.cluster.clone(),
            max_queue_bytes: MAX_QUEUE_BYTES,
            max_record_bytes: MAX_RECORD_BYTES,
            ..ProducerSettings::default()
        },
        transactional_id: format!("{}.requeue", shared.prefix),
        timeout: TIMEOUT,
    };
    Transactions::open(&settings, &Metrics::default())
}

/// The letter at a place, unless a note behind it says that it was written back.
fn read(reader: &Reader, topic: &Arc<str>, place: LetterPlace) -> Result<DeadLetter, ConsoleError> {
    let until = Instant::now() + DEADLINE;
    let none = || ConsoleError::NoLetter {
        place: place.to_string(),
    };
    let bounds = reader.bounds(topic, place.partition, until)?;
    if bounds.end - place.offset > 2 * WINDOW {
        let place = place.to_string();
        return Err(ConsoleError::TooOld { place });
    }
    let span = Span {
        topic: Arc::clone(topic),
        partition: place.partition,
        offsets: place.offset..bounds.end,
    };
    let (mut letter, mut is_requeued) = (None, false);
    reader.read(&span, until, |record| {
        if record.offset == place.offset {
            letter = record.value;
        } else {
            let note = record.headers.get_first(REQUEUED);
            is_requeued |= note.and_then(LetterPlace::of_note) == Some(place);
        }
        match is_requeued {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    })?;
    let letter = letter.ok_or_else(none)?;
    let letter = DeadLetter::decode(&letter).map_err(|_| none())?;
    let place = place.to_string();
    match (is_requeued, &letter.value) {
        (true, _) => Err(ConsoleError::Requeued { place }),
        (false, None) => Err(ConsoleError::NoValue { place }),
        (false, Some(_)) => Ok(letter),
    }
}

/// Says beside the letter that it was written back.
fn note(topic: &Arc<str>, place: LetterPlace) -> OutRecord {
    let mut headers = Headers::with_capacity(1);
    headers.push_text(REQUEUED, place.to_string());
    OutRecord {
        topic: Arc::clone(topic),
        partition: Some(place.partition),
        key: None,
        value: None,
        headers,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_list_of_places_is_a_wish() {
        let read = places(br#"{"letters": ["3@17", "0@1", "3@17"]}"#).unwrap();
        assert_eq!(read.len(), 2);
        for wrong in [
            r"",
            r"{}",
            r#"{"letters": []}"#,
            r#"{"letters": ["3"]}"#,
            r#"{"letters": ["-1@2"]}"#,
            r#"{"letters": "3@17"}"#,
            r#"{"letters": ["3@17"], "all": true}"#,
        ] {
            assert!(places(wrong.as_bytes()).is_err(), "{wrong}");
        }
        let many: Vec<String> = (0..=MOST).map(|offset| format!("\"0@{offset}\"")).collect();
        let many = format!("{{\"letters\": [{}]}}", many.join(","));
        assert!(places(many.as_bytes()).is_err());
    }
}
