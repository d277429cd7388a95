//! `InferTensorContents`: the elements of one input as typed lists.

use super::ProtobufError;
use super::fields::{Field, Fields};
use super::scalars::{Scalars, too_many};
use super::strings::too_few;
use crate::dtype::DType;
use crate::quote::Name;
use crate::{Tensor, VariableData};

/// An input whose name, dtype and shape are known.
pub(super) struct Described<'a> {
    pub(super) name: &'a str,
    pub(super) dtype: DType,
    pub(super) shape: Vec<usize>,
    pub(super) elements: usize,
}

impl Described<'_> {
    /// The tensor of these bytes, which must be as many as the shape needs.
    pub(super) fn fixed(
        &self,
        bytes: impl Into<arrow::buffer::Buffer>,
    ) -> Result<Tensor, ProtobufError> {
        Tensor::fixed(self.name, self.dtype, self.shape.clone(), bytes.into()).map_err(invalid)
    }

    /// The same for text and bytes.
    pub(super) fn variable(&self, data: VariableData) -> Result<Tensor, ProtobufError> {
        Tensor::variable(self.name, self.dtype, self.shape.clone(), data).map_err(invalid)
    }
}

fn invalid(error: crate::TensorError) -> ProtobufError {
    ProtobufError::invalid(error.to_string())
}

/// The lists of `InferTensorContents`, by their field numbers.
const LISTS: [&str; 8] = [
    "bool_contents",
    "int_contents",
    "int64_contents",
    "uint_contents",
    "uint64_contents",
    "fp32_contents",
    "fp64_contents",
    "bytes_contents",
];

/// The list that a dtype takes; none for the types that only raw contents can hold.
pub(super) fn list_of(dtype: DType) -> Option<u32> {
    match dtype {
        DType::Bool => Some(1),
        DType::Int8 | DType::Int16 | DType::Int32 => Some(2),
        DType::Int64 => Some(3),
        DType::Uint8 | DType::Uint16 | DType::Uint32 => Some(4),
        DType::Uint64 => Some(5),
        DType::Float32 => Some(6),
        DType::Float64 => Some(7),
        DType::String | DType::Bytes => Some(8),
        DType::Float16 | DType::Bfloat16 => None,
    }
}

/// Reads the contents of one input.
pub(super) fn parse(input: &Described<'_>, contents: &[u8]) -> Result<Tensor, ProtobufError> {
    let Some(list) = list_of(input.dtype) else {
        return Err(ProtobufError::invalid(format!(
            "input {}: {} has no typed contents, send it in raw_input_contents",
            Name(input.name),
            input.dtype
        )));
    };
    match input.dtype {
        DType::String | DType::Bytes => parse_bytes(input, contents, list),
        _ => parse_scalars(input, contents, list),
    }
}

fn parse_scalars(
    input: &Described<'_>,
    contents: &[u8],
    list: u32,
) -> Result<Tensor, ProtobufError> {
    let mut scalars = Scalars::new(input.name, input.dtype, input.elements);
    let mut fields = Fields::of(contents);
    while let Some(field) = fields.next()? {
        if belongs(input, &field, list)? {
            scalars.push(&field)?;
        }
    }
    if scalars.count() != input.elements {
        return Err(too_few(input.name, input.elements, scalars.count()));
    }
    input.fixed(scalars.into_bytes())
}

fn parse_bytes(input: &Described<'_>, contents: &[u8], list: u32) -> Result<Tensor, ProtobufError> {
    // An element takes two bytes at least.
    let capacity = input.elements.min(contents.len() / 2);
    let mut data = VariableData::with_capacity(capacity, contents.len());
    let mut fields = Fields::of(contents);
    while let Some(field) = fields.next()? {
        if belongs(input, &field, list)? {
            if data.len() == input.elements {
                return Err(too_many(input.name, input.elements));
            }
            data.push(field.bytes()?);
        }
    }
    if data.len() != input.elements {
        return Err(too_few(input.name, input.elements, data.len()));
    }
    input.variable(data)
}

/// Whether a field is the list that the dtype takes; another list is refused, an unknown field is not.
fn belongs(input: &Described<'_>, field: &Field<'_>, list: u32) -> Result<bool, ProtobufError> {
    let name = |number: u32| {
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        LISTS.get(index)
    };
    match name(field.number) {
        None => Ok(false),
        Some(_) if field.number == list => Ok(true),
        Some(given) => Err(ProtobufError::invalid(format!(
            "input {}: {} takes {}, got {given}",
            Name(input.name),
            input.dtype,
            name(list).unwrap_or(given)
        ))),
    }
}
