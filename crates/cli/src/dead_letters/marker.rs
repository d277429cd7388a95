//! The note that a dead letter was written back: a record without a value beside it, in the same
//! partition, so that whatever deletes the one deletes the other.

use std::sync::Arc;

use millrace_kafka::{Headers, OutRecord, Record};
use millrace_wire::headers::REQUEUED;

use super::place::Place;

pub(super) fn of(topic: &Arc<str>, letter: Place) -> OutRecord {
    let mut headers = Headers::with_capacity(1);
    headers.push_text(REQUEUED, letter.to_string());
    OutRecord {
        topic: Arc::clone(topic),
        partition: Some(letter.partition),
        key: None,
        value: None,
        headers,
    }
}

/// The dead letter that a record of the topic says was written back; `None` if it is no such note.
pub(super) fn read(record: &Record) -> Option<Place> {
    Place::of_note(record.headers.get_first(REQUEUED)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_names_its_letter_and_lies_beside_it() {
        let letter = Place {
            partition: 3,
            offset: 17,
        };
        let note = of(&"mill.dead-letters".into(), letter);
        assert_eq!((note.partition, &note.value), (Some(3), &None));
        let record = Record {
            topic: note.topic,
            partition: 3,
            offset: 20,
            timestamp_unix_ms: None,
            key: None,
            value: None,
            headers: note.headers,
        };
        assert_eq!(read(&record), Some(letter));
    }
}
