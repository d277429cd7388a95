//! The answer of infer as `inference.ModelInferResponse`, alone or in a stream.

use super::contents;
use super::write::{push_bytes, push_length, push_message, push_packed, push_text, push_varint};
use crate::dtype::DType;
use crate::oip::ResponseError;
use crate::{Record, Tensor};

/// What stands in an answer beside its outputs.
#[derive(Debug, Clone, Copy)]
pub struct InferAnswer<'a> {
    /// The model that answered.
    pub model: &'a str,
    /// Its version.
    pub version: i64,
    /// The caller's id of the request.
    pub id: &'a str,
    /// The outputs asked for, in this order; empty means all.
    pub outputs: &'a [String],
    /// Whether to answer in typed contents. Half precision has none: then the answer is raw.
    pub typed: bool,
}

/// Writes the answer.
///
/// # Errors
/// An output that infer did not send, or whose rows differ in shape and are no tensor.
pub fn write_infer_response(
    answer: InferAnswer<'_>,
    record: &Record,
) -> Result<Vec<u8>, ResponseError> {
    let tensors = outputs_of(record, answer.outputs)?;
    let can_be_typed = |tensor: &Tensor| contents::list_of(tensor.dtype()).is_some();
    let typed = answer.typed && tensors.iter().all(can_be_typed);
    let mut out = Vec::with_capacity(record.payload().len() + 256);
    push_text(&mut out, 1, answer.model);
    push_text(&mut out, 2, &answer.version.to_string());
    push_text(&mut out, 3, answer.id);
    for tensor in &tensors {
        push_message(&mut out, 5, |output| write_output(tensor, typed, output));
    }
    if !typed {
        for tensor in &tensors {
            write_raw(tensor, &mut out);
        }
    }
    Ok(out)
}

/// Wraps an answer as one message of a stream.
pub fn write_stream_response(answer: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(answer.len() + 8);
    push_bytes(&mut out, 2, answer);
    out
}

/// One message of a stream for a request that failed, with the id that it had.
pub fn write_stream_error(sentence: &str, id: &str) -> Vec<u8> {
    let mut out = Vec::new();
    push_text(&mut out, 1, sentence);
    if !id.is_empty() {
        push_message(&mut out, 2, |response| push_text(response, 3, id));
    }
    out
}

/// The outputs asked for, in that order; all of them when none is named. Names were checked against
/// the signature before.
pub(super) fn outputs_of(record: &Record, named: &[String]) -> Result<Vec<Tensor>, ResponseError> {
    let mut indices: Vec<usize> = (0..record.columns().len()).collect();
    if !named.is_empty() {
        indices.clear();
        for name in named {
            let index = record.column_index(name);
            let missing = || ResponseError::Missing { name: name.clone() };
            indices.push(index.ok_or_else(missing)?);
        }
    }
    let mut tensors = Vec::with_capacity(indices.len());
    for index in indices {
        let ragged = |source| ResponseError::Ragged {
            name: record.columns()[index].name().to_owned(),
            source,
        };
        tensors.push(record.tensor(index).map_err(ragged)?);
    }
    Ok(tensors)
}

fn write_output(tensor: &Tensor, typed: bool, out: &mut Vec<u8>) {
    push_text(out, 1, tensor.name());
    let datatype = match tensor.dtype() {
        DType::String => DType::Bytes.name(),
        dtype => dtype.name(),
    };
    push_text(out, 2, datatype);
    push_message(out, 3, |shape| {
        for &size in tensor.shape() {
            push_varint(shape, u64::try_from(size).unwrap_or(u64::MAX));
        }
    });
    if typed {
        push_message(out, 5, |contents| write_contents(tensor, contents));
    }
}

fn write_contents(tensor: &Tensor, out: &mut Vec<u8>) {
    let Some(list) = contents::list_of(tensor.dtype()) else {
        return;
    };
    match tensor.elements() {
        Some(elements) => {
            for element in elements.iter() {
                push_bytes(out, list, element);
            }
        }
        None => push_message(out, list, |packed| push_packed(tensor, packed)),
    }
}

fn write_raw(tensor: &Tensor, out: &mut Vec<u8>) {
    const RAW: u32 = 6;
    let Some(elements) = tensor.elements() else {
        push_bytes(out, RAW, tensor.fixed_bytes().unwrap_or_default());
        return;
    };
    push_length(out, RAW, elements.bytes().len() + 4 * elements.len());
    for element in elements.iter() {
        // No record is as large as 4 GiB.
        let length = u32::try_from(element.len()).unwrap_or(u32::MAX);
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(element);
    }
}
