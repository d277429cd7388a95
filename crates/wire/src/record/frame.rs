//! Cuts a payload into its encapsulated Arrow messages without looking into them.

use std::ops::Range;

use arrow::ipc::{
    Message, MessageHeader, MetadataVersion, RecordBatch, Schema, root_as_message_with_opts,
};
use flatbuffers::{InvalidFlatbuffer, VerifierOptions};

use super::error::Fault;
use crate::limits::Limits;

const CONTINUATION: u32 = 0xFFFF_FFFF;

/// A payload that is read from front to back.
pub(super) struct Frames<'a> {
    payload: &'a [u8],
    limits: &'a Limits,
    at: usize,
}

/// A record batch message.
pub(super) struct BatchFrame<'a> {
    pub(super) payload: &'a [u8],
    /// The verified header.
    pub(super) header: RecordBatch<'a>,
    /// The payload bytes of the buffers.
    pub(super) body: Range<usize>,
}

impl<'a> Frames<'a> {
    pub(super) fn new(payload: &'a [u8], limits: &'a Limits) -> Result<Self, Fault> {
        if payload.is_empty() {
            return Err(Fault::malformed("record is empty"));
        }
        if payload.len() > limits.max_record_bytes {
            return Err(Fault::too_large(format_args!(
                "record has {} bytes, more than the limit of {}",
                payload.len(),
                limits.max_record_bytes
            )));
        }
        Ok(Self {
            payload,
            limits,
            at: 0,
        })
    }

    /// The flatbuffer of the schema message, not yet verified: it may be one that is known.
    pub(super) fn schema(&mut self) -> Result<&'a [u8], Fault> {
        self.required("a schema")
    }

    /// The record batch, after which the payload must end.
    pub(super) fn batch(mut self) -> Result<BatchFrame<'a>, Fault> {
        let metadata = self.required("a record batch")?;
        let message = verified(metadata, MessageHeader::RecordBatch, "a record batch")?;
        let header = message
            .header_as_record_batch()
            .ok_or_else(|| Fault::malformed("record batch message has no header"))?;
        let body_bytes = message.bodyLength();
        let start = self.at;
        self.at = usize::try_from(body_bytes)
            .ok()
            .and_then(|bytes| start.checked_add(bytes))
            .filter(|&end| end <= self.payload.len())
            .ok_or_else(|| {
                Fault::malformed(format_args!(
                    "record batch says it has a body of {body_bytes} bytes, but {} bytes follow",
                    self.payload.len() - start
                ))
            })?;
        let body = start..self.at;
        self.expect_end()?;
        Ok(BatchFrame {
            payload: self.payload,
            header,
            body,
        })
    }

    fn required(&mut self, what: &str) -> Result<&'a [u8], Fault> {
        let start = self.at;
        self.next()?.ok_or_else(|| {
            Fault::malformed(format_args!(
                "end-of-stream marker at byte {start} where {what} was expected"
            ))
        })
    }

    /// The next message's flatbuffer, or `None` for the end-of-stream marker.
    fn next(&mut self) -> Result<Option<&'a [u8]>, Fault> {
        let start = self.at;
        let Some((prefix, rest)) = self.payload[start..].split_first_chunk::<8>() else {
            return Err(Fault::malformed(format_args!(
                "record ends at byte {} within a message prefix",
                self.payload.len()
            )));
        };
        let [c0, c1, c2, c3, l0, l1, l2, l3] = *prefix;
        if u32::from_le_bytes([c0, c1, c2, c3]) != CONTINUATION {
            return Err(Fault::malformed(format_args!(
                "byte {start} does not begin an Arrow stream message (0xffffffff)"
            )));
        }
        self.at = start + prefix.len();
        let given = i32::from_le_bytes([l0, l1, l2, l3]);
        if given == 0 {
            return Ok(None);
        }
        let length = usize::try_from(given).unwrap_or(usize::MAX);
        if !length.is_multiple_of(8) || length > rest.len() {
            return Err(Fault::malformed(format_args!(
                "message at byte {start} has metadata of {given} bytes, which must be a multiple \
                 of 8 and at most the {} that follow",
                rest.len()
            )));
        }
        self.at += length;
        if length > self.limits.max_metadata_bytes {
            return Err(Fault::too_large(format_args!(
                "record has {length} bytes of metadata, more than the limit of {}",
                self.limits.max_metadata_bytes
            )));
        }
        Ok(Some(&rest[..length]))
    }

    fn expect_end(&mut self) -> Result<(), Fault> {
        if self.at == self.payload.len() {
            return Err(Fault::malformed("record has no end-of-stream marker"));
        }
        if self.next()?.is_some() {
            return Err(Fault::unsupported(
                "record has more than one record batch or dictionary, expected exactly one batch",
            ));
        }
        match self.payload.len() - self.at {
            0 => Ok(()),
            more => Err(Fault::malformed(format_args!(
                "record has {more} bytes after its end-of-stream marker"
            ))),
        }
    }
}

/// The verified header of the schema message.
pub(super) fn schema_header(metadata: &[u8]) -> Result<Schema<'_>, Fault> {
    let message = verified(metadata, MessageHeader::Schema, "a schema")?;
    if message.bodyLength() != 0 {
        return Err(Fault::malformed("schema message has a body"));
    }
    message
        .header_as_schema()
        .ok_or_else(|| Fault::malformed("schema message has no header"))
}

fn verified<'a>(
    metadata: &'a [u8],
    expected: MessageHeader,
    what: &str,
) -> Result<Message<'a>, Fault> {
    // Flatbuffers may share parts; the bound on the apparent size keeps verification linear.
    let options = VerifierOptions {
        max_depth: 4 + 2 * Limits::MAX_RANK,
        max_tables: 8 + metadata.len() / 8,
        max_apparent_size: 4096 + 8 * metadata.len(),
        ignore_missing_null_terminator: false,
    };
    let message = root_as_message_with_opts(&options, metadata).map_err(|error| match error {
        InvalidFlatbuffer::DepthLimitReached => Fault::too_large(format_args!(
            "metadata of {what} nest deeper than any column of {} dimensions",
            Limits::MAX_RANK
        )),
        _ => Fault::malformed(format_args!("metadata of {what} are damaged")),
    })?;
    if message.header_type() != expected {
        let given = message.header_type().variant_name().unwrap_or("unknown");
        return Err(Fault::malformed(format_args!(
            "expected {what}, got an Arrow message of type {given}"
        )));
    }
    if !matches!(message.version(), MetadataVersion::V4 | MetadataVersion::V5) {
        return Err(Fault::unsupported(format_args!(
            "Arrow metadata version {} is not supported, expected V4 or V5",
            message.version().variant_name().unwrap_or("unknown")
        )));
    }
    Ok(message)
}
