//! A record of a results topic as what becomes rows, or the reason why it cannot.

use std::sync::Arc;

use millrace_kafka::Record;
use millrace_wire::headers::{HeaderError, ResultHeaders};
use millrace_wire::{DecodeErrorKind, Decoder, Status, TensorBuilder, TensorError};

use crate::outputs::{OutputColumns, Outputs, OutputsError, Run};

/// One result: a row per instance, or a single row without outputs if the request failed.
pub(crate) struct ResultRecord {
    pub(crate) topic: Arc<str>,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) recorded_at_unix_ms: Option<i64>,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) id: String,
    pub(crate) model: String,
    pub(crate) version: Option<i64>,
    pub(crate) status: Status,
    pub(crate) error: Option<String>,
    /// Coordinates of the request: `topic/partition/offset`.
    pub(crate) request: String,
    outputs: Option<Outputs>,
    size_bytes: usize,
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
    Tensor(#[from] TensorError),
    #[error(transparent)]
    Outputs(#[from] OutputsError),
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
            Self::Tensor(_) | Self::Outputs(_) => "outputs",
        }
    }
}

impl ResultRecord {
    /// Reads headers and value; the error gives the record back as it was.
    pub(crate) fn parse(mut record: Record, decoder: &mut Decoder) -> Result<Self, Box<Rejected>> {
        let size_bytes = record.size_bytes();
        let headers = match ResultHeaders::parse(record.headers.iter()) {
            Ok(headers) => headers,
            Err(error) => return Err(rejected(record, error)),
        };
        let value = record.value.take();
        let outputs = match read_value(&headers, value, decoder) {
            Ok(outputs) => outputs,
            Err((value, reason)) => {
                record.value = value;
                return Err(rejected(record, reason));
            }
        };
        Ok(Self {
            topic: record.topic,
            partition: record.partition,
            offset: record.offset,
            recorded_at_unix_ms: record.timestamp_unix_ms,
            key: record.key,
            id: headers.id,
            model: headers.model,
            version: headers.version,
            status: headers.status,
            error: headers.error,
            request: headers.source.to_string(),
            outputs,
            size_bytes,
        })
    }

    /// `None` for a request that failed.
    pub(crate) fn outputs(&self) -> Option<&Outputs> {
        self.outputs.as_ref()
    }

    /// The schema of the outputs; `None` for a request that failed.
    pub(crate) fn columns(&self) -> Option<&OutputColumns> {
        self.outputs.as_ref().map(Outputs::columns)
    }

    /// Always at least one.
    pub(crate) fn rows(&self) -> usize {
        self.outputs.as_ref().map_or(1, Outputs::rows)
    }

    /// Bytes of the record as it came from Kafka.
    pub(crate) fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    /// About what the rows take in memory as arrays.
    pub(crate) fn weight_bytes(&self) -> usize {
        let empty_lists = self.outputs.as_ref().map_or(0, Outputs::empty_lists);
        self.size_bytes + empty_lists * size_of::<i32>()
    }
}

type ValueError = (Option<Vec<u8>>, Rejection);

fn read_value(
    headers: &ResultHeaders,
    value: Option<Vec<u8>>,
    decoder: &mut Decoder,
) -> Result<Option<Outputs>, ValueError> {
    let bytes = match (headers.status, value) {
        (Status::Ok, Some(bytes)) if !bytes.is_empty() => bytes,
        (Status::Ok, value) => return Err((value, Rejection::NoValue)),
        (failure, Some(bytes)) if !bytes.is_empty() => {
            return Err((Some(bytes), Rejection::ValueOfFailure(failure)));
        }
        _ => return Ok(None),
    };
    let record = decoder.decode(bytes).map_err(|error| {
        let reason = Rejection::Arrow {
            kind: error.kind(),
            message: error.to_string(),
        };
        (Some(error.into_payload()), reason)
    })?;
    match read_outputs(&record) {
        Ok(outputs) => Ok(Some(outputs)),
        Err(reason) => Err((Some(record.into_payload()), reason)),
    }
}

fn read_outputs(record: &millrace_wire::Record) -> Result<Outputs, Rejection> {
    let mut runs = Vec::new();
    for rows in record.uniform_runs() {
        let mut tensors = Vec::with_capacity(record.columns().len());
        for (index, column) in record.columns().iter().enumerate() {
            let shape = record.row_shape(index, rows.start);
            let mut builder =
                TensorBuilder::new(column.name(), column.dtype(), &shape, rows.len())?;
            record.copy_rows(index, rows.clone(), &mut builder)?;
            tensors.push(builder.finish());
        }
        runs.push(Run::new(tensors)?);
    }
    Ok(Outputs::new(runs)?)
}

fn rejected(record: Record, reason: impl Into<Rejection>) -> Box<Rejected> {
    Box::new(Rejected {
        record,
        reason: reason.into(),
    })
}

#[cfg(test)]
mod tests;
