//! The answer of infer as `tensorflow.serving.PredictResponse`.

use super::tensor_proto;
use super::write::{push_bytes, push_message, push_text, push_varint_field};
use crate::Record;
use crate::oip::ResponseError;

/// What stands in an answer beside its outputs.
#[derive(Debug, Clone, Copy)]
pub struct PredictAnswer<'a> {
    /// The model that answered.
    pub model: &'a str,
    /// Its version.
    pub version: i64,
    /// The signature that was asked for; it is repeated.
    pub signature_name: &'a str,
    /// The outputs asked for; empty means all.
    pub outputs: &'a [String],
}

/// Writes the answer: typed values, as TensorFlow Serving does.
///
/// # Errors
/// An output that infer did not send, or whose rows differ in shape and are no tensor.
pub fn write_predict_response(
    answer: PredictAnswer<'_>,
    record: &Record,
) -> Result<Vec<u8>, ResponseError> {
    let mut out = Vec::with_capacity(record.payload().len());
    for tensor in super::infer_response::outputs_of(record, answer.outputs)? {
        push_message(&mut out, 1, |entry| {
            push_text(entry, 1, tensor.name());
            push_message(entry, 2, |proto| tensor_proto::write(&tensor, proto));
        });
    }
    push_bytes(&mut out, 2, &spec(answer));
    Ok(out)
}

/// The `ModelSpec` of an answer.
pub(super) fn spec(answer: PredictAnswer<'_>) -> Vec<u8> {
    let mut spec = Vec::new();
    push_text(&mut spec, 1, answer.model);
    push_message(&mut spec, 2, |value| {
        push_varint_field(value, 1, answer.version.cast_unsigned());
    });
    push_text(&mut spec, 3, answer.signature_name);
    spec
}
