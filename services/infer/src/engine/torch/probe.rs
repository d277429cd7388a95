//! The probe run: whether a module takes and answers what `model.toml` says.

use arrow::buffer::MutableBuffer;
use millrace_wire::{Signature, Tensor, TensorError, TensorSpec};

use super::TorchEngine;
use crate::engine::declared::described;
use crate::engine::{Engine, EngineError, LoadError};

/// Two rows, where the model takes them, so that an output that is not one row per row shows; open dimensions count as 1.
const ROWS: usize = 2;

/// Runs zeros, and answers the declared signature.
///
/// # Errors
/// [`LoadError::WarmUp`] if the model does not run on what is declared, [`LoadError::Declared`] if it answers something
/// else.
pub(super) fn checked(engine: &mut TorchEngine) -> Result<Signature, LoadError> {
    let signature = engine.signature().clone();
    let one_row = |input: &TensorSpec| input.shape.first() == Some(&Some(1));
    let rows = if signature.inputs.iter().any(one_row) {
        1
    } else {
        ROWS
    };
    let zeros: Result<Vec<Tensor>, TensorError> = signature
        .inputs
        .iter()
        .map(|input| zeros(input, rows))
        .collect();
    let zeros = zeros.map_err(|error| LoadError::WarmUp(EngineError::Failed(Box::new(error))))?;
    let outputs = engine.run(zeros).map_err(LoadError::WarmUp)?;
    for (spec, output) in signature.outputs.iter().zip(&outputs) {
        let given: Vec<Option<usize>> = output.shape().iter().map(|size| Some(*size)).collect();
        let same =
            |(spec, given): (&Option<usize>, &Option<usize>)| spec.is_none() || spec == given;
        let fits = spec.shape.is_empty()
            || spec.shape.len() == given.len() && spec.shape.iter().zip(&given).skip(1).all(same);
        if spec.dtype != output.dtype() || !fits {
            return Err(LoadError::Declared {
                declared: described(&spec.name, spec.dtype, &spec.shape),
                given: described(&spec.name, output.dtype(), &given),
            });
        }
    }
    Ok(signature)
}

fn zeros(input: &TensorSpec, rows: usize) -> Result<Tensor, TensorError> {
    let mut shape = vec![rows];
    shape.extend(input.shape.iter().skip(1).map(|size| size.unwrap_or(1)));
    let elements: usize = shape.iter().product();
    let size_bytes = elements * input.dtype.element_size_bytes().unwrap_or(0);
    let zeros = MutableBuffer::from_len_zeroed(size_bytes);
    Tensor::fixed(input.name.as_str(), input.dtype, shape, zeros.into())
}
