//! Where a dead letter is, as people write it: `3@17`, or `topic/3@17` for it or for its source.

/// A partition and an offset in the topic of dead letters.
pub(super) use millrace_wire::avro::LetterPlace as Place;

/// A place, in the topic of dead letters unless it names another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Coordinates {
    pub(super) topic: Option<String>,
    pub(super) place: Place,
}

impl Coordinates {
    /// `partition@offset` or `topic/partition@offset`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (topic, place) = match text.rsplit_once('/') {
            Some((topic, place)) => (Some(topic.to_owned()), place),
            None => (None, text),
        };
        let place = Place::parse(place).filter(|_| topic.as_deref() != Some(""));
        let place = place.ok_or_else(|| {
            "write partition@offset as `millrace dead-letters list` does, such as 3@17, \
             or topic/partition@offset"
                .to_owned()
        })?;
        Ok(Self { topic, place })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_is_written() {
        let place = Place {
            partition: 3,
            offset: 17,
        };
        assert_eq!(Place::parse(&place.to_string()), Some(place));
        let full = Coordinates::parse("mill.requests.digits/3@17").unwrap();
        assert_eq!(full.topic.as_deref(), Some("mill.requests.digits"));
        assert_eq!(full.place, place);
        assert_eq!(Coordinates::parse("3@17").unwrap().topic, None);
    }

    #[test]
    fn what_is_no_place_is_refused_with_an_example() {
        for text in ["", "17", "3@", "-1@2", "1@-2", "/3@17", "a/b", "3@17x"] {
            let error = Coordinates::parse(text).unwrap_err();
            assert!(error.contains("3@17"), "{text}: {error}");
        }
    }
}
