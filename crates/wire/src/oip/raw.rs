//! A body without JSON: the elements of the model's only input, for a single row.

use super::binary::{self, Announced};
use super::error::OipError;
use super::outputs::Outputs;
use super::request::InferRequest;
use crate::json::JsonLimits;
use crate::quote::{Name, Shape};
use crate::{Signature, Tensor, TensorSpec, VariableData};

/// Reads a raw request: one row, whose open dimension, if there is one, follows from the length.
pub(super) fn read(
    body: &[u8],
    signature: &Signature,
    limits: &JsonLimits,
) -> Result<InferRequest, OipError> {
    let [spec] = signature.inputs.as_slice() else {
        return Err(OipError::invalid(format!(
            "a raw request (Inference-Header-Content-Length: 0) is for models of one input, this one has {}",
            signature.inputs.len()
        )));
    };
    if body.is_empty() {
        return Err(OipError::invalid("the raw request is empty"));
    }
    let tensor = match spec.dtype.element_size_bytes() {
        Some(element_bytes) => read_fixed(body, spec, element_bytes)?,
        None => read_one_element(body, spec)?,
    };
    if tensor.elements_per_row() > limits.max_elements {
        return Err(OipError::too_large(format!(
            "input {} has {} elements, more than the limit of {}",
            Name(&spec.name),
            tensor.elements_per_row(),
            limits.max_elements
        )));
    }
    Ok(InferRequest {
        id: None,
        tensors: vec![tensor],
        outputs: Outputs::all_binary(),
        timeout: None,
        priority: 0,
    })
}

fn read_fixed(body: &[u8], spec: &TensorSpec, element_bytes: usize) -> Result<Tensor, OipError> {
    let misfit = || {
        OipError::invalid(format!(
            "the raw request has {} bytes, which are no single row of input {} of type {} and shape {}",
            body.len(),
            Name(&spec.name),
            spec.dtype,
            Shape(&spec.shape)
        ))
    };
    let row = spec.shape.get(1..).unwrap_or_default();
    let mut known = element_bytes;
    for size in row.iter().flatten() {
        known = known.checked_mul(*size).ok_or_else(misfit)?;
    }
    let open = row.iter().filter(|size| size.is_none()).count();
    if open > 1 {
        return Err(OipError::invalid(format!(
            "the shape of the raw request cannot be deduced: input {} has {open} open dimensions",
            Name(&spec.name)
        )));
    }
    if known == 0 || !body.len().is_multiple_of(known) || (open == 0 && body.len() != known) {
        return Err(misfit());
    }
    let deduced = body.len() / known;
    let mut shape = vec![1];
    shape.extend(row.iter().map(|size| size.unwrap_or(deduced)));
    let announced = Announced {
        spec,
        shape,
        size_bytes: body.len(),
    };
    binary::read(&announced, body)
}

/// The whole body is one element, without a length before it.
fn read_one_element(body: &[u8], spec: &TensorSpec) -> Result<Tensor, OipError> {
    let row = spec.shape.get(1..).unwrap_or_default();
    if !row.iter().all(|size| size.is_none_or(|size| size == 1)) {
        return Err(OipError::invalid(format!(
            "a raw request holds one element, but input {} has shape {}",
            Name(&spec.name),
            Shape(&spec.shape)
        )));
    }
    let data = VariableData::from_iter([body]);
    let shape = vec![1; spec.shape.len()];
    Ok(Tensor::variable(
        spec.name.as_str(),
        spec.dtype,
        shape,
        data,
    )?)
}
