//! `tensorflow.serving.PredictRequest` to one record.

use super::fields::Fields;
use super::infer_request::check_output;
use super::{ProtobufError, check_count, record_of, tensor_proto};
use crate::quote::Name;
use crate::{Limits, Signature};

/// Which version of a model a `ModelSpec` asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum VersionChoice {
    /// Neither a version nor a label was given.
    #[default]
    Latest,
    /// A version number.
    Version(i64),
    /// A label; if a version was given too, the later of the two counts, as in any `oneof`.
    Label(String),
}

/// What must be known of a request before its tensors are read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PredictHead {
    /// The model's name as given, possibly empty.
    pub model: String,
    /// Which of its versions.
    pub version: VersionChoice,
    /// Empty means `serving_default`.
    pub signature_name: String,
}

/// A request that fits the signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PredictRequest {
    /// All inputs as one Arrow record.
    pub record: Vec<u8>,
    /// The outputs asked for; empty means all.
    pub outputs: Vec<String>,
}

/// Reads the `ModelSpec` of any of TensorFlow Serving's requests, where it is field 1.
///
/// # Errors
/// A message that is not well-formed on its outermost level or in its `ModelSpec`.
pub fn predict_head(message: &[u8]) -> Result<PredictHead, ProtobufError> {
    let mut head = PredictHead::default();
    let mut fields = Fields::of(message);
    while let Some(field) = fields.next()? {
        if field.number == 1 {
            read_spec(field.bytes()?, &mut head)?;
        }
    }
    Ok(head)
}

pub(super) fn read_spec(message: &[u8], head: &mut PredictHead) -> Result<(), ProtobufError> {
    let mut fields = Fields::of(message);
    while let Some(field) = fields.next()? {
        match field.number {
            1 => head.model = field.text("model_spec.name")?.to_owned(),
            2 => head.version = VersionChoice::Version(wrapped(field.bytes()?)?),
            3 => head.signature_name = field.text("model_spec.signature_name")?.to_owned(),
            4 => {
                let label = field.text("model_spec.version_label")?.to_owned();
                head.version = VersionChoice::Label(label);
            }
            _ => {}
        }
    }
    Ok(())
}

/// The number in a `google.protobuf.Int64Value`.
fn wrapped(message: &[u8]) -> Result<i64, ProtobufError> {
    let mut value = 0;
    let mut fields = Fields::of(message);
    while let Some(field) = fields.next()? {
        if field.number == 1 {
            value = field.int64()?;
        }
    }
    Ok(value)
}

/// Reads a whole request.
///
/// # Errors
/// A [`ProtobufError`] that names the input and what is wrong with it.
pub fn parse_predict(
    message: &[u8],
    signature: &Signature,
    limits: &Limits,
) -> Result<PredictRequest, ProtobufError> {
    let mut inputs: Vec<(&str, &[u8])> = Vec::new();
    let mut outputs: Vec<String> = Vec::new();
    let mut fields = Fields::of(message);
    while let Some(field) = fields.next()? {
        match field.number {
            2 => {
                let input = entry(field.bytes()?)?;
                if inputs.iter().any(|(name, _)| *name == input.0) {
                    return Err(ProtobufError::invalid(format!(
                        "input {} was given twice",
                        Name(input.0)
                    )));
                }
                inputs.push(input);
                check_count(inputs.len(), limits.max_columns, "inputs")?;
            }
            3 => {
                let name = field.text("an output's name")?;
                check_output(name, &outputs, signature)?;
                outputs.push(name.to_owned());
            }
            _ => {}
        }
    }
    let mut tensors = Vec::with_capacity(inputs.len());
    for (name, message) in inputs {
        tensors.push(tensor_proto::parse(name, message, signature, limits)?);
    }
    let record = record_of(&tensors, signature)?;
    Ok(PredictRequest { record, outputs })
}

/// A map entry: its key and its value, which is a message.
pub(super) fn entry(message: &[u8]) -> Result<(&str, &[u8]), ProtobufError> {
    let (mut key, mut value) = ("", &[][..]);
    let mut fields = Fields::of(message);
    while let Some(field) = fields.next()? {
        match field.number {
            1 => key = field.text("an input's name")?,
            2 => value = field.bytes()?,
            _ => {}
        }
    }
    Ok((key, value))
}
