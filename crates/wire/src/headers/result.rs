//! Headers of a result or reply record.

use std::borrow::Cow;
use std::fmt;

use super::request::is_topic;
use super::values::{Room, Values, bad_value, push};
use super::{
    ARROW_STREAM, CONTENT_TYPE, ERROR, HeaderError, ID, MAX_ERROR_BYTES, MODEL, Pair, SOURCE,
    STATUS, VERSION, WEIGHTS_SHA256,
};
use crate::status::Status;

/// What became of a request; the value is empty unless `status` is `OK`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultHeaders {
    /// The request's id, or its coordinates.
    pub id: String,
    /// The model that was asked.
    pub model: String,
    /// The version that answered; `None` where none was found.
    pub version: Option<i64>,
    /// SHA-256 of that version's weights, in hexadecimal digits; `None` from writers that do not say.
    pub weights_sha256: Option<String>,
    /// The outcome.
    pub status: Status,
    /// Why there is no result: at most 512 bytes, no control characters.
    pub error: Option<String>,
    /// The request's coordinates.
    pub source: Source,
}

/// The coordinates of a record.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Source {
    /// The record's topic.
    pub topic: String,
    /// The record's partition, at least 0.
    pub partition: i32,
    /// The record's offset, at least 0.
    pub offset: i64,
}

/// [`ResultHeaders`] where they lie: reading them allocates nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultHeadersRef<'a> {
    /// As [`ResultHeaders::id`].
    pub id: &'a str,
    /// As [`ResultHeaders::model`].
    pub model: &'a str,
    /// As [`ResultHeaders::version`].
    pub version: Option<i64>,
    /// As [`ResultHeaders::weights_sha256`].
    pub weights_sha256: Option<&'a str>,
    /// As [`ResultHeaders::status`].
    pub status: Status,
    /// As [`ResultHeaders::error`].
    pub error: Option<Cow<'a, str>>,
    /// As [`ResultHeaders::source`].
    pub source: SourceRef<'a>,
}

/// [`Source`] where it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceRef<'a> {
    text: &'a str,
    /// The record's topic.
    pub topic: &'a str,
    /// The record's partition, at least 0.
    pub partition: i32,
    /// The record's offset, at least 0.
    pub offset: i64,
}

const NAMES: [&str; 8] = [
    ID,
    MODEL,
    VERSION,
    WEIGHTS_SHA256,
    STATUS,
    ERROR,
    SOURCE,
    CONTENT_TYPE,
];

/// A result carries the headers of its request, which may have been as many as they can be, ours, and those of a value
/// in the store.
const OUR_OWN: Room = Room {
    headers: NAMES.len() + 3,
    bytes: 2048 + 512,
};

impl ResultHeaders {
    /// Reads the headers of a record; those that are not ours are ignored.
    pub fn parse<'a>(
        headers: impl IntoIterator<Item = (&'a str, Option<&'a [u8]>)>,
    ) -> Result<Self, HeaderError> {
        let read = ResultHeadersRef::parse(headers)?;
        Ok(Self {
            id: read.id.to_owned(),
            model: read.model.to_owned(),
            version: read.version,
            weights_sha256: read.weights_sha256.map(str::to_owned),
            status: read.status,
            error: read.error.map(Cow::into_owned),
            source: Source {
                topic: read.source.topic.to_owned(),
                partition: read.source.partition,
                offset: read.source.offset,
            },
        })
    }

    /// The headers to write; the content type is there if the value is.
    pub fn to_pairs(&self) -> Vec<Pair> {
        let mut pairs = Vec::with_capacity(NAMES.len());
        let content_type = (self.status == Status::Ok).then_some(ARROW_STREAM);
        push(&mut pairs, CONTENT_TYPE, content_type);
        push(&mut pairs, ID, Some(&self.id));
        push(&mut pairs, MODEL, Some(&self.model));
        push(&mut pairs, VERSION, self.version);
        push(&mut pairs, WEIGHTS_SHA256, self.weights_sha256.as_ref());
        push(&mut pairs, STATUS, Some(self.status.name()));
        push(&mut pairs, ERROR, self.error.as_deref().map(error_sentence));
        push(&mut pairs, SOURCE, Some(&self.source));
        pairs
    }
}

impl<'a> ResultHeadersRef<'a> {
    /// As [`ResultHeaders::parse`].
    pub fn parse(
        headers: impl IntoIterator<Item = (&'a str, Option<&'a [u8]>)>,
    ) -> Result<Self, HeaderError> {
        let values = Values::collect(NAMES, headers, OUR_OWN)?;
        values.check_content_type()?;
        let status = required(STATUS, values.utf8(STATUS)?)?;
        let status = status.parse().map_err(|_| {
            let expected = "the name of a gRPC status code";
            bad_value(STATUS, expected, Some(status.as_bytes()))
        })?;
        let source = required(SOURCE, values.utf8(SOURCE)?)?;
        let source = SourceRef::parse(source).ok_or_else(|| {
            let expected = "topic/partition/offset";
            bad_value(SOURCE, expected, Some(source.as_bytes()))
        })?;
        Ok(Self {
            id: required(ID, values.borrowed_text(ID)?)?,
            model: required(MODEL, values.borrowed_text(MODEL)?)?,
            version: values.number(VERSION, "a number")?,
            weights_sha256: values.borrowed_text(WEIGHTS_SHA256)?,
            status,
            error: values.utf8(ERROR)?.map(error_sentence),
            source,
        })
    }
}

fn required<T>(name: &'static str, value: Option<T>) -> Result<T, HeaderError> {
    value.ok_or(HeaderError::Missing { name })
}

/// Cut to the limit, with spaces for control characters: it may end in a log, a header or a page.
fn error_sentence(text: &str) -> Cow<'_, str> {
    let start = &text[..text.floor_char_boundary(MAX_ERROR_BYTES)];
    match start.contains(char::is_control) {
        true => Cow::Owned(start.replace(char::is_control, " ")),
        false => Cow::Borrowed(start),
    }
}

impl Source {
    /// Reads `topic/partition/offset`.
    pub fn parse(text: &str) -> Option<Self> {
        let read = SourceRef::parse(text)?;
        Some(Self {
            topic: read.topic.to_owned(),
            partition: read.partition,
            offset: read.offset,
        })
    }
}

impl<'a> SourceRef<'a> {
    /// Reads `topic/partition/offset`.
    pub fn parse(text: &'a str) -> Option<Self> {
        let (topic, rest) = text.split_once('/')?;
        let (partition, offset) = rest.split_once('/')?;
        let source = Self {
            text,
            topic,
            partition: partition.parse().ok()?,
            offset: offset.parse().ok()?,
        };
        let is_valid = is_topic(topic) && source.partition >= 0 && source.offset >= 0;
        is_valid.then_some(source)
    }

    /// `topic/partition/offset`, without the signs and zeros that numbers may begin with: as it was
    /// written, where it was written so.
    pub fn to_text(&self) -> Cow<'a, str> {
        let is_plain = |number: &str| number == "0" || !number.starts_with(['0', '+', '-']);
        match self.text.split('/').skip(1).all(is_plain) {
            true => Cow::Borrowed(self.text),
            false => Cow::Owned(self.to_string()),
        }
    }
}

impl fmt::Display for SourceRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.topic, self.partition, self.offset)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.topic, self.partition, self.offset)
    }
}
