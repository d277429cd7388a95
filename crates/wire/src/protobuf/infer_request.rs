//! `inference.ModelInferRequest` to one record.

use arrow::buffer::Buffer;

use super::contents::{self, Described};
use super::fields::Fields;
use super::strings::length_prefixed;
use super::{ProtobufError, check_count, checked_shape, record_of};
use crate::dtype::DType;
use crate::quote::{Name, shortened};
use crate::{Limits, Signature, Tensor};

/// What must be known of a request before its tensors are read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InferHead {
    /// The model's name as given, possibly empty.
    pub model_name: String,
    /// The version as given; empty is the newest.
    pub model_version: String,
    /// The caller's id of the request, to be repeated in the answer; empty if there is none.
    pub id: String,
}

/// A request that fits the signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InferRequest {
    /// All inputs as one Arrow record.
    pub record: Vec<u8>,
    /// The outputs asked for, in this order; empty means all.
    pub outputs: Vec<String>,
    /// Whether the inputs came as typed contents, so that the answer should too.
    pub typed: bool,
}

/// Reads who is asked, and skips everything else.
///
/// # Errors
/// A message that is not well-formed on its outermost level.
pub fn infer_head(message: &[u8]) -> Result<InferHead, ProtobufError> {
    let mut head = InferHead::default();
    let mut fields = Fields::of(message);
    while let Some(field) = fields.next()? {
        match field.number {
            1 => head.model_name = field.text("model_name")?.to_owned(),
            2 => head.model_version = field.text("model_version")?.to_owned(),
            3 => head.id = field.text("id")?.to_owned(),
            _ => {}
        }
    }
    Ok(head)
}

/// Reads a whole request. Raw contents go from the message straight into the record.
///
/// # Errors
/// A [`ProtobufError`] that names the input and what is wrong with it.
pub fn parse_infer(
    message: impl Into<Buffer>,
    signature: &Signature,
    limits: &Limits,
) -> Result<InferRequest, ProtobufError> {
    let message = message.into();
    let parts = Parts::of(&message, limits)?;
    let outputs = outputs_of(&parts.outputs, signature)?;
    let mut inputs = Vec::with_capacity(parts.inputs.len());
    for input in &parts.inputs {
        inputs.push(Input::of(input, signature, limits)?);
    }
    let typed = inputs.iter().any(|input| input.contents.is_some());
    if !parts.raw.is_empty() && (typed || parts.raw.len() != inputs.len()) {
        return Err(raw_does_not_fit(typed, inputs.len(), parts.raw.len()));
    }
    let mut tensors = Vec::with_capacity(inputs.len());
    for (index, input) in inputs.iter().enumerate() {
        tensors.push(match parts.raw.get(index) {
            Some(raw) => raw_tensor(&input.described, raw, &message)?,
            None => contents::parse(&input.described, input.contents.unwrap_or_default())?,
        });
    }
    Ok(InferRequest {
        record: record_of(&tensors, signature)?,
        outputs,
        typed: parts.raw.is_empty(),
    })
}

fn raw_does_not_fit(typed: bool, inputs: usize, raw: usize) -> ProtobufError {
    ProtobufError::invalid(match typed {
        true => "raw_input_contents and typed contents may not mix in one request".to_owned(),
        false => format!("request has {inputs} inputs but {raw} raw_input_contents"),
    })
}

/// The lists of a request, in place.
struct Parts<'a> {
    inputs: Vec<&'a [u8]>,
    outputs: Vec<&'a [u8]>,
    raw: Vec<&'a [u8]>,
}

impl<'a> Parts<'a> {
    fn of(message: &'a [u8], limits: &Limits) -> Result<Self, ProtobufError> {
        let mut parts = Self {
            inputs: Vec::new(),
            outputs: Vec::new(),
            raw: Vec::new(),
        };
        let mut fields = Fields::of(message);
        while let Some(field) = fields.next()? {
            let (list, what) = match field.number {
                5 => (&mut parts.inputs, "inputs"),
                6 => (&mut parts.outputs, "outputs"),
                7 => (&mut parts.raw, "raw_input_contents"),
                _ => continue,
            };
            list.push(field.bytes()?);
            check_count(list.len(), limits.max_columns, what)?;
        }
        Ok(parts)
    }
}

/// The names of the outputs asked for: each is one of the model's, and none comes twice.
fn outputs_of(messages: &[&[u8]], signature: &Signature) -> Result<Vec<String>, ProtobufError> {
    let mut outputs: Vec<String> = Vec::with_capacity(messages.len());
    for message in messages {
        let mut name = "";
        let mut fields = Fields::of(message);
        while let Some(field) = fields.next()? {
            if field.number == 1 {
                name = field.text("an output's name")?;
            }
        }
        check_output(name, &outputs, signature)?;
        outputs.push(name.to_owned());
    }
    Ok(outputs)
}

/// Refuses an output that the model does not have, or that was asked for before.
pub(super) fn check_output(
    name: &str,
    before: &[String],
    signature: &Signature,
) -> Result<(), ProtobufError> {
    if !signature.outputs.iter().any(|output| output.name == name) {
        let known: Vec<&str> = signature
            .outputs
            .iter()
            .map(|it| shortened(&it.name))
            .take(4)
            .collect();
        return Err(ProtobufError::invalid(format!(
            "unknown output {}; the model has {} outputs, such as {}",
            Name(name),
            signature.outputs.len(),
            known.join(", ")
        )));
    }
    match before.iter().any(|other| other == name) {
        true => Err(ProtobufError::invalid(format!(
            "output {} is asked for twice",
            Name(name)
        ))),
        false => Ok(()),
    }
}

/// One of the inputs: what it is, and its typed contents if it has any.
struct Input<'a> {
    described: Described<'a>,
    contents: Option<&'a [u8]>,
}

impl<'a> Input<'a> {
    fn of(
        message: &'a [u8],
        signature: &Signature,
        limits: &Limits,
    ) -> Result<Self, ProtobufError> {
        let (mut name, mut datatype, mut contents) = ("", "", None);
        let mut dims = Vec::new();
        let mut fields = Fields::of(message);
        while let Some(field) = fields.next()? {
            match field.number {
                1 => name = field.text("an input's name")?,
                2 => datatype = field.text("an input's datatype")?,
                3 => field.int64s(&mut dims, limits.max_rank, "dimensions in one shape")?,
                5 if contents.is_some() => {
                    return Err(ProtobufError::invalid(format!(
                        "input {} has contents twice",
                        Name(name)
                    )));
                }
                // Some clients send empty contents beside the raw ones.
                5 => contents = Some(field.bytes()?).filter(|bytes| !bytes.is_empty()),
                _ => {}
            }
        }
        let (shape, elements) = checked_shape(name, &dims, limits)?;
        let dtype = dtype_of(name, datatype, signature)?;
        let described = Described {
            name,
            dtype,
            shape,
            elements,
        };
        Ok(Self {
            described,
            contents,
        })
    }
}

/// The protocol has one type for text and bytes; which of the two it is, the model knows.
fn dtype_of(name: &str, datatype: &str, signature: &Signature) -> Result<DType, ProtobufError> {
    let known = signature.inputs.iter().find(|input| input.name == name);
    if datatype == "BYTES" {
        return Ok(match known.map(|input| input.dtype) {
            Some(DType::String) => DType::String,
            _ => DType::Bytes,
        });
    }
    let parsed = datatype
        .parse()
        .ok()
        .filter(|dtype| *dtype != DType::String);
    parsed.ok_or_else(|| {
        let expected = known.map_or("FP32", |input| match input.dtype {
            DType::String => "BYTES",
            dtype => dtype.name(),
        });
        ProtobufError::invalid(format!(
            "input {}: unknown datatype {:?}, expected {expected}",
            Name(name),
            shortened(datatype)
        ))
    })
}

fn raw_tensor(
    input: &Described<'_>,
    raw: &[u8],
    message: &Buffer,
) -> Result<Tensor, ProtobufError> {
    match input.dtype {
        DType::String | DType::Bytes => {
            input.variable(length_prefixed(input.name, raw, input.elements)?)
        }
        _ => {
            let start = raw.as_ptr().addr() - message.as_ptr().addr();
            input.fixed(message.slice_with_length(start, raw.len()))
        }
    }
}
