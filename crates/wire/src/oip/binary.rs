//! Raw tensors: little-endian, row-major, packed; an element of `BYTES` is a 4-byte length and its bytes.

use arrow::buffer::Buffer;

use super::error::OipError;
use crate::quote::{Name, Shape};
use crate::tensor::{checked_product, known};
use crate::{Tensor, TensorSpec, VariableData};

/// Bytes of the length before each element of `BYTES`.
const PREFIX_BYTES: usize = 4;

/// A raw tensor that the JSON announces; its shape fits the specification.
pub(super) struct Announced<'a> {
    pub(super) spec: &'a TensorSpec,
    pub(super) shape: Vec<usize>,
    /// As announced by `binary_data_size`.
    pub(super) size_bytes: usize,
}

/// Reads the tensor from its bytes, which are as many as announced.
pub(super) fn read(announced: &Announced<'_>, bytes: &[u8]) -> Result<Tensor, OipError> {
    let spec = announced.spec;
    let elements = checked_product(&announced.shape).unwrap_or(0);
    let shape = announced.shape.clone();
    let Some(element_bytes) = spec.dtype.element_size_bytes() else {
        let data = read_elements(&spec.name, bytes, elements)?;
        let tensor = Tensor::variable(spec.name.as_str(), spec.dtype, shape, data);
        return Ok(tensor?);
    };
    if elements.checked_mul(element_bytes) != Some(bytes.len()) {
        return Err(OipError::invalid(format!(
            "input {} of type {} and shape {} has {} elements of {element_bytes} bytes, \
             got \"binary_data_size\" {}",
            Name(&spec.name),
            spec.dtype,
            Shape(&known(&shape)),
            elements,
            bytes.len()
        )));
    }
    let tensor = Tensor::fixed(spec.name.as_str(), spec.dtype, shape, Buffer::from(bytes));
    Ok(tensor?)
}

/// Reads exactly so many elements of any length, which fill the bytes.
fn read_elements(name: &str, bytes: &[u8], elements: usize) -> Result<VariableData, OipError> {
    let text_bytes = elements
        .checked_mul(PREFIX_BYTES)
        .and_then(|prefixes| bytes.len().checked_sub(prefixes))
        .ok_or_else(|| {
            OipError::invalid(format!(
                "input {} has {elements} elements, too many for {} bytes of binary data",
                Name(name),
                bytes.len()
            ))
        })?;
    let mut data = VariableData::with_capacity(elements, text_bytes);
    let mut rest = bytes;
    for index in 0..elements {
        let (element, after) = take_element(rest).ok_or_else(|| {
            OipError::invalid(format!(
                "element {index} of input {} goes beyond its binary data",
                Name(name)
            ))
        })?;
        data.push(element);
        rest = after;
    }
    if !rest.is_empty() {
        return Err(OipError::invalid(format!(
            "{} bytes follow the last element of input {}",
            rest.len(),
            Name(name)
        )));
    }
    Ok(data)
}

fn take_element(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (prefix, rest) = bytes.split_first_chunk::<PREFIX_BYTES>()?;
    let length = usize::try_from(u32::from_le_bytes(*prefix)).ok()?;
    rest.split_at_checked(length)
}

/// Appends a tensor's elements; false, and nothing appended, if an element is of 4 GiB or more.
pub(super) fn push(tensor: &Tensor, out: &mut Vec<u8>) -> bool {
    let Some(elements) = tensor.elements() else {
        out.extend_from_slice(tensor.fixed_bytes().unwrap_or_default());
        return true;
    };
    let before = out.len();
    out.reserve(elements.bytes().len() + PREFIX_BYTES * elements.len());
    for element in elements.iter() {
        let Ok(length) = u32::try_from(element.len()) else {
            out.truncate(before);
            return false;
        };
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(element);
    }
    true
}
