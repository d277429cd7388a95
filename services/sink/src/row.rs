//! A record of a results topic as what becomes rows, or the reason why it cannot.

use std::sync::Arc;

use millrace_claims::ClaimError;
use millrace_kafka::{Record, RecordBlock, RecordRef};
use millrace_wire::headers::{HeaderError, ResultHeadersRef};
use millrace_wire::{DecodeErrorKind, Decoder, RecordView, Status};

use crate::projection::{Layout, Projection, ProjectionError};

/// Rows of one record may take this much as arrays. A few bytes can stand for many empty lists,
/// or for one long id on every row; more than this is not a result but an attack.
const MOST_BYTES: usize = 256 << 20;

/// One result, read where it lies in its block: a row per instance, or a single row without
/// outputs if the request failed.
pub(crate) struct ResultRecord<'a> {
    found: Found<'a>,
    pub(crate) headers: ResultHeadersRef<'a>,
    outputs: Option<Outputs<'a>>,
    weight_bytes: usize,
}

/// Where a result lies, and its value if that was fetched from elsewhere.
#[derive(Clone, Copy)]
pub(crate) struct Found<'a> {
    pub(crate) block: &'a Arc<RecordBlock>,
    pub(crate) index: usize,
    pub(crate) fetched: Option<&'a [u8]>,
}

impl<'a> Found<'a> {
    fn record(&self) -> RecordRef<'a> {
        self.block.get(self.index)
    }

    fn value(&self) -> &'a [u8] {
        self.fetched.or(self.record().value()).unwrap_or_default()
    }
}

/// The value of a request that succeeded, and the columns that it becomes.
struct Outputs<'a> {
    value: RecordView<'a>,
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
    #[error(transparent)]
    Claim(#[from] ClaimError),
    #[error(
        "its value is in a store of large values (header mr-claim), and sink has none: set claims.url"
    )]
    NoStore,
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
            Self::Claim(_) | Self::NoStore => "claim",
            Self::Refused { .. } => "refused",
        }
    }
}

impl<'a> ResultRecord<'a> {
    /// Reads headers and value of a record; the error has a copy of it.
    pub(crate) fn parse(
        found: Found<'a>,
        decoder: &mut Decoder,
        projection: &mut Projection,
    ) -> Result<Self, Box<Rejected>> {
        let record = found.record();
        let headers = match ResultHeadersRef::parse(record.headers()) {
            Ok(headers) => headers,
            Err(error) => return Err(rejected(record, error)),
        };
        let outputs = match read_value(headers.status, found.value(), decoder, projection) {
            Ok(outputs) => outputs,
            Err(reason) => return Err(rejected(record, reason)),
        };
        let mut parsed = Self {
            found,
            headers,
            outputs,
            weight_bytes: 0,
        };
        parsed.weight_bytes = parsed.weigh();
        if parsed.weight_bytes > MOST_BYTES {
            let weight_bytes = parsed.weight_bytes;
            return Err(rejected(record, Rejection::TooHeavy { weight_bytes }));
        }
        Ok(parsed)
    }

    /// The block that it lies in, and its index there.
    pub(crate) fn place(&self) -> (&'a Arc<RecordBlock>, usize) {
        (self.found.block, self.found.index)
    }

    pub(crate) fn offset(&self) -> i64 {
        self.record().offset()
    }

    pub(crate) fn key(&self) -> Option<&'a [u8]> {
        self.record().key()
    }

    pub(crate) fn recorded_at_unix_ms(&self) -> Option<i64> {
        self.record().timestamp_unix_ms()
    }

    /// `None` for a request that failed.
    pub(crate) fn value(&self) -> Option<&RecordView<'a>> {
        self.outputs.as_ref().map(|outputs| &outputs.value)
    }

    /// The columns of the outputs; `None` for a request that failed.
    pub(crate) fn layout(&self) -> Option<&Arc<Layout>> {
        self.outputs.as_ref().map(|outputs| &outputs.layout)
    }

    /// Instances of the request; always at least one.
    pub(crate) fn rows(&self) -> usize {
        self.value().map_or(1, RecordView::rows)
    }

    /// Bytes of the record as it came from Kafka, and of its value if that was fetched.
    pub(crate) fn size_bytes(&self) -> usize {
        self.record().size_bytes() + self.found.fetched.map_or(0, <[u8]>::len)
    }

    /// About what the rows take in memory as arrays.
    pub(crate) fn weight_bytes(&self) -> usize {
        self.weight_bytes
    }

    fn record(&self) -> RecordRef<'a> {
        self.found.record()
    }

    /// What a row repeats of the headers, on every row, and what the value takes as lists.
    fn weigh(&self) -> usize {
        let headers = &self.headers;
        let repeated = self.record().topic().len()
            + self.key().map_or(0, <[u8]>::len)
            + headers.id.len()
            + headers.model.len()
            + headers.error.as_ref().map_or(0, |error| error.len())
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

fn read_value<'a>(
    status: Status,
    value: &'a [u8],
    decoder: &mut Decoder,
    projection: &mut Projection,
) -> Result<Option<Outputs<'a>>, Rejection> {
    match (status, value.is_empty()) {
        (Status::Ok, true) => return Err(Rejection::NoValue),
        (Status::Ok, false) => {}
        (_, true) => return Ok(None),
        (failure, false) => return Err(Rejection::ValueOfFailure(failure)),
    }
    let value = decoder.view(value).map_err(|error| Rejection::Arrow {
        kind: error.kind(),
        message: error.to_string(),
    })?;
    let layout = projection.layout(&value)?;
    Ok(Some(Outputs { value, layout }))
}

fn rejected(record: RecordRef<'_>, reason: impl Into<Rejection>) -> Box<Rejected> {
    Box::new(Rejected {
        record: record.to_record(),
        reason: reason.into(),
    })
}

#[cfg(test)]
mod tests;
