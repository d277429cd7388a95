//! Collects the headers that we read, each at most once, and parses their values.

use std::str::FromStr;

use super::{CONTENT_TYPE, HeaderError, MAX_HEADER_BYTES, MAX_HEADERS, MAX_TEXT_BYTES, Pair};
use crate::quote::Name;

/// The raw values of the headers in `names`; others are counted and left alone.
pub(super) struct Values<'a, const N: usize> {
    names: [&'static str; N],
    values: [Occurrence<'a>; N],
}

#[derive(Clone, Copy)]
enum Occurrence<'a> {
    Absent,
    Once(Option<&'a [u8]>),
    Repeated,
}

/// What a record may have beyond the limits of a request.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Room {
    pub(super) headers: usize,
    pub(super) bytes: usize,
}

impl<'a, const N: usize> Values<'a, N> {
    pub(super) fn collect(
        names: [&'static str; N],
        headers: impl IntoIterator<Item = (&'a str, Option<&'a [u8]>)>,
        room: Room,
    ) -> Result<Self, HeaderError> {
        let mut values = [Occurrence::Absent; N];
        let (mut count, mut bytes) = (0usize, 0usize);
        for (name, value) in headers {
            count += 1;
            bytes = bytes.saturating_add(name.len() + value.map_or(0, <[u8]>::len));
            if let Some(index) = names.iter().position(|known| *known == name) {
                values[index] = match values[index] {
                    Occurrence::Absent => Occurrence::Once(value),
                    _ => Occurrence::Repeated,
                };
            }
        }
        if count > MAX_HEADERS + room.headers {
            return Err(HeaderError::TooMany { given: count });
        }
        if bytes > MAX_HEADER_BYTES + room.bytes {
            return Err(HeaderError::TooLarge { given: bytes });
        }
        Ok(Self { names, values })
    }

    /// The value of a header as UTF-8; `None` if the header is absent.
    pub(super) fn utf8(&self, name: &'static str) -> Result<Option<&'a str>, HeaderError> {
        let index = self.names.iter().position(|known| *known == name);
        match index.map_or(Occurrence::Absent, |index| self.values[index]) {
            Occurrence::Absent => Ok(None),
            Occurrence::Repeated => Err(HeaderError::Duplicate { name }),
            Occurrence::Once(None) => Err(bad_value(name, "UTF-8 text", None)),
            Occurrence::Once(Some(bytes)) => match std::str::from_utf8(bytes) {
                Ok(text) => Ok(Some(text)),
                Err(_) => Err(bad_value(name, "UTF-8 text", Some(bytes))),
            },
        }
    }

    /// Text of 1 to 512 bytes without control characters.
    pub(super) fn text(&self, name: &'static str) -> Result<Option<String>, HeaderError> {
        Ok(self.borrowed_text(name)?.map(str::to_owned))
    }

    /// The same, where it lies.
    pub(super) fn borrowed_text(&self, name: &'static str) -> Result<Option<&'a str>, HeaderError> {
        let Some(text) = self.utf8(name)? else {
            return Ok(None);
        };
        let length_is_good = (1..=MAX_TEXT_BYTES).contains(&text.len());
        if length_is_good && !text.chars().any(char::is_control) {
            return Ok(Some(text));
        }
        let expected = "1 to 512 bytes of text without control characters";
        Err(bad_value(name, expected, Some(text.as_bytes())))
    }

    /// A decimal number, without a plus sign.
    pub(super) fn number<T: FromStr>(
        &self,
        name: &'static str,
        expected: &'static str,
    ) -> Result<Option<T>, HeaderError> {
        let Some(text) = self.utf8(name)? else {
            return Ok(None);
        };
        match text.parse() {
            Ok(number) if !text.starts_with('+') => Ok(Some(number)),
            _ => Err(bad_value(name, expected, Some(text.as_bytes()))),
        }
    }

    /// Trace context must never cost a record its answer: what cannot be used counts as absent.
    pub(super) fn lenient(&self, name: &'static str) -> Option<String> {
        self.text(name).ok().flatten()
    }

    /// Refuses every content type but ours.
    pub(super) fn check_content_type(&self) -> Result<(), HeaderError> {
        let expected = super::ARROW_STREAM;
        match self.utf8(CONTENT_TYPE)? {
            Some(given) if !given.eq_ignore_ascii_case(expected) => {
                Err(bad_value(CONTENT_TYPE, expected, Some(given.as_bytes())))
            }
            _ => Ok(()),
        }
    }
}

pub(super) fn bad_value(
    name: &'static str,
    expected: &'static str,
    given: Option<&[u8]>,
) -> HeaderError {
    let given = match given {
        None => "no value".to_owned(),
        Some(bytes) => {
            let start = &bytes[..bytes.len().min(256)];
            format!("\"{}\"", Name(&String::from_utf8_lossy(start)))
        }
    };
    HeaderError::Value {
        name,
        expected,
        given,
    }
}

pub(super) fn push(pairs: &mut Vec<Pair>, name: &'static str, value: Option<impl ToString>) {
    if let Some(value) = value {
        pairs.push((name, value.to_string().into_bytes()));
    }
}
