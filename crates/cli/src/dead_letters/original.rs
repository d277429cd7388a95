//! The record that a dead letter was, to be written once more.

use millrace_kafka::OutRecord;
use millrace_wire::avro::DeadLetter;

/// The record as it was, but for what only its first sender needed, and with how often it was tried.
pub(super) fn of(letter: DeadLetter) -> OutRecord {
    let original = letter.into_original();
    OutRecord {
        topic: original.topic.into(),
        partition: Some(original.partition),
        key: original.key,
        value: original.value,
        headers: original.headers.into(),
    }
}

#[cfg(test)]
mod tests {
    use millrace_wire::avro::Header;
    use millrace_wire::headers::{ATTEMPTS, DEADLINE, REPLY_TO};

    use super::*;
    use crate::dead_letters::pile::tests::dead_letter;

    fn header(name: &str, value: &str) -> Header {
        Header {
            name: name.to_owned(),
            value: Some(value.as_bytes().to_vec()),
        }
    }

    #[test]
    fn the_record_is_as_it_was_but_for_its_sender_and_its_attempts() {
        let mut letter = dead_letter(7);
        letter.headers = vec![
            header("b", "1"),
            header(REPLY_TO, "mill.replies/3"),
            header("a", "2"),
            header(ATTEMPTS, "4"),
            header("b", "3"),
            header(DEADLINE, "17"),
        ];
        let record = of(letter);
        let headers: Vec<_> = record.headers.iter().collect();
        let text = |name, value: &'static str| (name, Some(value.as_bytes()));
        assert_eq!(
            headers,
            [
                text("b", "1"),
                text("a", "2"),
                text("b", "3"),
                text(ATTEMPTS, "5")
            ]
        );
        assert_eq!(&*record.topic, "mill.requests.digits");
        assert_eq!(record.partition, Some(0));
        assert_eq!(record.key.as_deref(), Some(&b"key"[..]));
        assert_eq!(record.value.as_deref(), Some(&b"value"[..]));
    }
}
