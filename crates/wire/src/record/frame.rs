//! Cuts a payload into its encapsulated Arrow messages without looking into them.

use std::ops::Range;

use arrow::ipc::{
    Message, MessageHeader, MetadataVersion, RecordBatch, Schema, root_as_message_with_opts,
};
use flatbuffers::VerifierOptions;

use super::error::Fault;
use crate::limits::Limits;

const CONTINUATION: u32 = 0xFFFF_FFFF;

/// The parts of a record's payload.
pub(super) struct Frames<'a> {
    /// The flatbuffer of the schema message, not yet verified.
    pub(super) schema: &'a [u8],
    /// The verified header of the record batch.
    pub(super) batch: RecordBatch<'a>,
    /// The payload bytes of the record batch's buffers.
    pub(super) body: Range<usize>,
}

/// One schema, one record batch with its body, one end-of-stream marker, and nothing else.
pub(super) fn split<'a>(payload: &'a [u8], limits: &Limits) -> Result<Frames<'a>, Fault> {
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
    let mut at = 0;
    let schema = required(payload, &mut at, limits, "a schema")?;
    let batch = required(payload, &mut at, limits, "a record batch")?;
    let metadata_bytes = schema.len().saturating_add(batch.len());
    if metadata_bytes > limits.max_metadata_bytes {
        return Err(too_much_metadata(metadata_bytes, limits));
    }
    let message = verified(&payload[batch], MessageHeader::RecordBatch, "a record batch")?;
    let body_bytes = message.bodyLength();
    let body_end = usize::try_from(body_bytes)
        .ok()
        .and_then(|bytes| at.checked_add(bytes))
        .filter(|&end| end <= payload.len())
        .ok_or_else(|| {
            Fault::malformed(format_args!(
                "record batch says it has a body of {body_bytes} bytes, but {} bytes follow",
                payload.len() - at
            ))
        })?;
    let body = at..body_end;
    expect_end(payload, body_end, limits)?;
    Ok(Frames {
        schema: &payload[schema],
        batch: message
            .header_as_record_batch()
            .ok_or_else(|| Fault::malformed("record batch message has no header"))?,
        body,
    })
}

/// The next message's flatbuffer; `at` moves to the byte behind it.
fn required(
    payload: &[u8],
    at: &mut usize,
    limits: &Limits,
    what: &str,
) -> Result<Range<usize>, Fault> {
    match next(payload, at, limits)? {
        Some(range) => Ok(range),
        None => Err(Fault::malformed(format_args!(
            "end-of-stream marker at byte {at} where {what} was expected"
        ))),
    }
}

/// The next message's flatbuffer, or `None` for the end-of-stream marker.
fn next(payload: &[u8], at: &mut usize, limits: &Limits) -> Result<Option<Range<usize>>, Fault> {
    let start = *at;
    let Some((prefix, rest)) = payload[start..].split_first_chunk::<8>() else {
        return Err(Fault::malformed(format_args!(
            "record ends at byte {} within a message prefix",
            payload.len()
        )));
    };
    let [c0, c1, c2, c3, l0, l1, l2, l3] = *prefix;
    if u32::from_le_bytes([c0, c1, c2, c3]) != CONTINUATION {
        return Err(Fault::malformed(format_args!(
            "byte {start} does not begin an Arrow stream message (0xffffffff)"
        )));
    }
    let given = i32::from_le_bytes([l0, l1, l2, l3]);
    *at = start + 8;
    if given == 0 {
        return Ok(None);
    }
    let Ok(length) = usize::try_from(given) else {
        return Err(Fault::malformed(format_args!(
            "message at byte {start} has metadata of {given} bytes"
        )));
    };
    if length > limits.max_metadata_bytes {
        return Err(too_much_metadata(length, limits));
    }
    if length > rest.len() || !length.is_multiple_of(8) {
        return Err(Fault::malformed(format_args!(
            "message at byte {start} has metadata of {length} bytes, which must be a multiple of 8 \
             and at most the {} that follow",
            rest.len()
        )));
    }
    let range = *at..*at + length;
    *at = range.end;
    Ok(Some(range))
}

fn expect_end(payload: &[u8], mut at: usize, limits: &Limits) -> Result<(), Fault> {
    if at == payload.len() {
        return Err(Fault::malformed("record has no end-of-stream marker"));
    }
    if next(payload, &mut at, limits)?.is_some() {
        return Err(Fault::unsupported(
            "record has more than one record batch or dictionary, expected exactly one batch",
        ));
    }
    if at != payload.len() {
        return Err(Fault::malformed(format_args!(
            "record has {} bytes after its end-of-stream marker",
            payload.len() - at
        )));
    }
    Ok(())
}

fn too_much_metadata(bytes: usize, limits: &Limits) -> Fault {
    Fault::too_large(format_args!(
        "record has {bytes} bytes of metadata, more than the limit of {}",
        limits.max_metadata_bytes
    ))
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
    let message = root_as_message_with_opts(&options, metadata)
        .map_err(|_| Fault::malformed(format_args!("metadata of {what} are damaged")))?;
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
