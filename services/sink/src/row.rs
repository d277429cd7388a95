//! A record of a results topic as what becomes rows, or the reason why it cannot.

use std::sync::Arc;

use millrace_kafka::Record;
use millrace_wire::headers::{HeaderError, ResultHeaders};
use millrace_wire::{DecodeErrorKind, Decoder, Status};

use crate::projection::{Layout, Projection, ProjectionError};

/// Rows of one record may take this much as arrays. A few bytes can stand for many empty lists,
/// or for one long id on every row; more than this is not a result but an attack.
const MOST_BYTES: usize = 256 << 20;

/// One result: a row per instance, or a single row without outputs if the request failed.
pub(crate) struct ResultRecord {
    /// As it came, but for a value that moved to `outputs`.
    record: Record,
    pub(crate) headers: ResultHeaders,
    outputs: Option<Outputs>,
    size_bytes: usize,
    weight_bytes: usize,
}

/// The value of a request that succeeded, and the columns that it becomes.
struct Outputs {
    value: millrace_wire::Record,
    layout: Arc<Layout>,
}

/// A record that no destination could take, whole, and why.
#[derive(Debug)]
pub(crate) struct Rejected {
    pub(crate) record: Record,
    pub(crate) reason: Rejection,
}

/// Why a record cannot become rows.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Rejection {
    #[error(transparent)]
    Headers(#[from] HeaderError),
    #[error("header mr-status is OK, but the record has no value")]
    NoValue,
    #[error("header mr-status is {0}, but the record has a value")]
    ValueOfFailure(Status),
    #[error("{message}")]
    Arrow {
        kind: DecodeErrorKind,
        message: String,
    },
    #[error(transparent)]
    Projection(#[from] ProjectionError),
    #[error(
        "its rows would take {weight_bytes} bytes in memory, and {MOST_BYTES} are the most of a record"
    )]
    TooHeavy { weight_bytes: usize },
    /// The destination's own words.
    #[error("the destination refuses it: {sentence}")]
    Refused { sentence: String },
}

impl Rejection {
    /// A word for metrics.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Headers(_) => "headers",
            Self::NoValue => "no_value",
            Self::ValueOfFailure(_) => "value_of_failure",
            Self::Arrow { kind, .. } => match kind {
                DecodeErrorKind::Malformed => "malformed",
                DecodeErrorKind::Unsupported => "unsupported",
                DecodeErrorKind::TooLarge => "too_large",
            },
            Self::Projection(_) => "outputs",
            Self::TooHeavy { .. } => "too_large",
            Self::Refused { .. } => "refused",
        }
    }
}

impl ResultRecord {
    /// Reads headers and value; the error gives the record back as it was.
    pub(crate) fn parse(
        mut record: Record,
        decoder: &mut Decoder,
        projection: &mut Projection,
    ) -> Result<Self, Box<Rejected>> {
        let size_bytes = record.size_bytes();
        let headers = match ResultHeaders::parse(record.headers.iter()) {
            Ok(headers) => headers,
            Err(error) => return Err(rejected(record, error)),
        };
        let outputs = match read_value(&headers, &mut record, decoder, projection) {
            Ok(outputs) => outputs,
            Err(reason) => return Err(rejected(record, reason)),
        };
        let mut parsed = Self {
            record,
            headers,
            outputs,
            size_bytes,
            weight_bytes: 0,
        };
        parsed.weight_bytes = parsed.weigh();
        if parsed.weight_bytes > MOST_BYTES {
            let weight_bytes = parsed.weight_bytes;
            return Err(parsed.reject(Rejection::TooHeavy { weight_bytes }));
        }
        Ok(parsed)
    }

    /// Gives the record back as it came, with the reason why it cannot be written.
    pub(crate) fn reject(mut self, reason: Rejection) -> Box<Rejected> {
        if let Some(outputs) = self.outputs {
            self.record.value = Some(outputs.value.into_payload());
        }
        rejected(self.record, reason)
    }

    pub(crate) fn topic(&self) -> &str {
        &self.record.topic
    }

    pub(crate) fn partition(&self) -> i32 {
        self.record.partition
    }

    pub(crate) fn offset(&self) -> i64 {
        self.record.offset
    }

    pub(crate) fn key(&self) -> Option<&[u8]> {
        self.record.key.as_deref()
    }

    pub(crate) fn recorded_at_unix_ms(&self) -> Option<i64> {
        self.record.timestamp_unix_ms
    }

    /// `None` for a request that failed.
    pub(crate) fn value(&self) -> Option<&millrace_wire::Record> {
        self.outputs.as_ref().map(|outputs| &outputs.value)
    }

    /// The columns of the outputs; `None` for a request that failed.
    pub(crate) fn layout(&self) -> Option<&Arc<Layout>> {
        self.outputs.as_ref().map(|outputs| &outputs.layout)
    }

    /// Instances of the request; always at least one.
    pub(crate) fn rows(&self) -> usize {
        self.value().map_or(1, millrace_wire::Record::rows)
    }

    /// Bytes of the record as it came from Kafka.
    pub(crate) fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    /// About what the rows take in memory as arrays.
    pub(crate) fn weight_bytes(&self) -> usize {
        self.weight_bytes
    }

    /// What a row repeats of the headers, on every row, and what the value takes as lists.
    fn weigh(&self) -> usize {
        let headers = &self.headers;
        let repeated = self.topic().len()
            + self.key().map_or(0, <[u8]>::len)
            + headers.id.len()
            + headers.model.len()
            + headers.error.as_ref().map_or(0, String::len)
            + headers.source.topic.len();
        let outputs = self.outputs.as_ref();
        let lists = outputs.map_or(0, |outputs| outputs.layout.weigh(&outputs.value));
        repeated
            .saturating_mul(
                self.rows() * self.layout().map_or(1, |layout| layout.rows_per_instance()),
            )
            .saturating_add(lists)
            .saturating_add(self.value().map_or(0, |value| value.payload().len()))
    }
}

/// Takes the value out of the record; it is back in its place after an error.
fn read_value(
    headers: &ResultHeaders,
    record: &mut Record,
    decoder: &mut Decoder,
    projection: &mut Projection,
) -> Result<Option<Outputs>, Rejection> {
    let empty = record.value.as_ref().is_none_or(Vec::is_empty);
    match (headers.status, empty) {
        (Status::Ok, true) => return Err(Rejection::NoValue),
        (Status::Ok, false) => {}
        (_, true) => return Ok(None),
        (failure, false) => return Err(Rejection::ValueOfFailure(failure)),
    }
    let value = match decoder.decode(record.value.take().unwrap_or_default()) {
        Ok(value) => value,
        Err(error) => {
            let reason = Rejection::Arrow {
                kind: error.kind(),
                message: error.to_string(),
            };
            record.value = Some(error.into_payload());
            return Err(reason);
        }
    };
    match projection.layout(&value) {
        Ok(layout) => Ok(Some(Outputs { value, layout })),
        Err(reason) => {
            record.value = Some(value.into_payload());
            Err(reason.into())
        }
    }
}

fn rejected(record: Record, reason: impl Into<Rejection>) -> Box<Rejected> {
    Box::new(Rejected {
        record,
        reason: reason.into(),
    })
}

#[cfg(test)]
mod tests;
