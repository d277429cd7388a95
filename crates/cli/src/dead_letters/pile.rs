//! All dead letters without their bytes, and the bytes of one.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use millrace_kafka::{Metrics, Reader, Record, Span};
use millrace_wire::avro::DeadLetter;
use serde::Serialize;

use crate::connection::Connection;
use crate::exit::Exit;
use crate::whole_topic;

use super::marker;
use super::place::{Coordinates, Place};

const READ_DEADLINE: Duration = Duration::from_secs(30);

/// What is known of a dead letter without its bytes.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Letter {
    pub(super) letter: Place,
    /// Where the record came from, `topic/partition@offset`.
    pub(super) source: String,
    #[serde(skip)]
    pub(super) topic: String,
    pub(super) failed_at_unix_ms: i64,
    pub(super) model: String,
    pub(super) stage: String,
    pub(super) code: String,
    pub(super) attempts: i32,
    /// Bytes of the original value; `None` if the letter has none.
    pub(super) value_bytes: Option<usize>,
    /// Whether it was written back.
    pub(super) requeued: bool,
    pub(super) reason: String,
}

/// The topic of dead letters as it is now.
pub(super) struct Pile {
    pub(super) topic: String,
    pub(super) letters: BTreeMap<Place, Letter>,
    /// Records that are neither dead letters nor notes.
    undecodable: usize,
}

impl Pile {
    pub(super) fn read(connection: &Connection) -> anyhow::Result<Self> {
        let mut pile = Self {
            topic: connection.topic("dead-letters"),
            letters: BTreeMap::new(),
            undecodable: 0,
        };
        let topic = pile.topic.clone();
        whole_topic::read(connection, &topic, |record| pile.take(&record))?;
        Ok(pile)
    }

    fn take(&mut self, record: &Record) {
        let place = Place {
            partition: record.partition,
            offset: record.offset,
        };
        if let Some(requeued) = marker::read(record) {
            if let Some(letter) = self.letters.get_mut(&requeued) {
                letter.requeued = true;
            }
            return;
        }
        match record.value.as_deref().map(DeadLetter::decode) {
            Some(Ok(letter)) => {
                self.letters.insert(place, Letter::new(place, letter));
            }
            _ => self.undecodable += 1,
        }
    }

    /// The letter of these coordinates: its own, or the newest one of its source.
    pub(super) fn find(&self, coordinates: &Coordinates) -> anyhow::Result<&Letter> {
        let place = coordinates.place;
        let found = match &coordinates.topic {
            Some(topic) if *topic != self.topic => {
                let source = format!("{topic}/{place}");
                let letters = self.letters.values();
                letters
                    .filter(|letter| letter.source == source)
                    .max_by_key(|it| it.failed_at_unix_ms)
            }
            _ => self.letters.get(&place),
        };
        found.ok_or_else(|| {
            let topic = coordinates.topic.as_ref().unwrap_or(&self.topic);
            Exit::Missing.error(format!(
                "there is no dead letter of {topic}/{place}; millrace dead-letters list --all shows them"
            ))
        })
    }

    /// An error if the topic holds what is no dead letter.
    pub(super) fn check_readable(&self) -> anyhow::Result<()> {
        if self.undecodable == 0 {
            return Ok(());
        }
        anyhow::bail!(
            "{} records of topic {} are no dead letters; is this tool older than the line?",
            self.undecodable,
            self.topic
        )
    }
}

impl Letter {
    fn new(place: Place, letter: DeadLetter) -> Self {
        Self {
            letter: place,
            source: format!("{}/{}@{}", letter.topic, letter.partition, letter.offset),
            topic: letter.topic,
            failed_at_unix_ms: letter.failed_at_unix_ms,
            model: letter.model,
            stage: letter.stage,
            code: letter.code,
            attempts: letter.attempts,
            value_bytes: letter.value.as_ref().map(Vec::len),
            requeued: false,
            reason: letter.reason,
        }
    }
}

/// Reads single letters with their bytes.
pub(super) struct Letters {
    reader: Reader,
    topic: Arc<str>,
}

impl Letters {
    pub(super) fn open(connection: &Connection) -> anyhow::Result<Self> {
        let limit = whole_topic::MAX_RECORD_BYTES;
        Ok(Self {
            reader: Reader::open(&connection.cluster, limit, &Metrics::default())?,
            topic: connection.topic("dead-letters").into(),
        })
    }

    pub(super) fn read(&self, place: Place) -> anyhow::Result<DeadLetter> {
        let span = Span {
            topic: Arc::clone(&self.topic),
            partition: place.partition,
            offsets: place.offset..place.offset + 1,
        };
        let mut value = None;
        self.reader
            .read(&span, Instant::now() + READ_DEADLINE, |record| {
                value = record.value;
                ControlFlow::Break(())
            })?;
        let gone = || {
            Exit::Missing.error(format!(
                "dead letter {place} was deleted from {}",
                self.topic
            ))
        };
        Ok(DeadLetter::decode(&value.ok_or_else(gone)?)?)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn dead_letter(offset: i64) -> DeadLetter {
        DeadLetter {
            key: Some(b"key".to_vec()),
            value: Some(b"value".to_vec()),
            headers: Vec::new(),
            topic: "mill.requests.digits".to_owned(),
            partition: 0,
            offset,
            timestamp_unix_ms: 1,
            code: "INVALID_ARGUMENT".to_owned(),
            reason: "it is no Arrow".to_owned(),
            stage: "decode".to_owned(),
            model: "digits".to_owned(),
            attempts: 1,
            failed_at_unix_ms: 1000 * offset,
        }
    }

    /// A pile of letters of these offsets, each at its own offset.
    pub(in super::super) fn pile(offsets: std::ops::Range<i64>) -> Pile {
        let mut pile = Pile {
            topic: "mill.dead-letters".to_owned(),
            letters: BTreeMap::new(),
            undecodable: 0,
        };
        for offset in offsets {
            pile.take(&record(offset, Some(dead_letter(offset).encode().unwrap())));
        }
        pile
    }

    fn record(offset: i64, value: Option<Vec<u8>>) -> Record {
        Record {
            topic: "mill.dead-letters".into(),
            partition: 0,
            offset,
            timestamp_unix_ms: None,
            key: None,
            value,
            headers: millrace_kafka::Headers::new(),
        }
    }

    #[test]
    fn a_letter_is_found_by_its_own_coordinates_and_by_those_of_its_source() {
        let pile = pile(0..3);
        for text in ["0@2", "mill.dead-letters/0@2", "mill.requests.digits/0@2"] {
            let letter = pile.find(&Coordinates::parse(text).unwrap()).unwrap();
            assert_eq!(letter.letter.offset, 2, "{text}");
        }
        let error = pile.find(&Coordinates::parse("0@9").unwrap()).unwrap_err();
        assert!(
            error.to_string().contains("mill.dead-letters/0@9"),
            "{error}"
        );
    }

    #[test]
    fn notes_mark_their_letters_and_are_none_themselves() {
        let mut pile = pile(0..2);
        let letter = Place {
            partition: 0,
            offset: 1,
        };
        let headers = marker::of(&"mill.dead-letters".into(), letter).headers;
        pile.take(&Record {
            headers,
            ..record(2, None)
        });
        let requeued: Vec<bool> = pile.letters.values().map(|it| it.requeued).collect();
        assert_eq!(requeued, [false, true]);
        pile.check_readable().unwrap();
        pile.take(&record(3, None));
        pile.take(&record(4, Some(b"what?".to_vec())));
        let error = pile.check_readable().unwrap_err();
        assert!(error.to_string().starts_with("2 records"), "{error}");
    }
}
