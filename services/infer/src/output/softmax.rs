//! Scores to probabilities along the last dimension.

use arrow::buffer::Buffer;
use half::{bf16, f16};
use millrace_wire::{DType, Tensor, TensorError};

use super::numbers::as_f64;

/// A tensor of the same type and shape, whose last dimension adds up to 1. Computed in double precision, with the
/// largest score taken away first. A NaN or an infinite score makes its whole row NaN.
pub(super) fn softmax(tensor: &Tensor) -> Result<Tensor, TensorError> {
    let Some(mut numbers) = as_f64(tensor) else {
        return Ok(tensor.clone());
    };
    let classes = tensor.shape().last().copied().unwrap_or(1);
    for row in numbers.chunks_exact_mut(classes.max(1)) {
        let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mut sum = 0.0;
        for number in row.iter_mut() {
            *number = (*number - largest).exp();
            sum += *number;
        }
        for number in row {
            *number /= sum;
        }
    }
    let shape = tensor.shape().to_vec();
    Tensor::fixed(
        tensor.name(),
        tensor.dtype(),
        shape,
        narrowed(tensor.dtype(), &numbers),
    )
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "this is where values are rounded"
)]
fn narrowed(dtype: DType, numbers: &[f64]) -> Buffer {
    match dtype {
        DType::Float16 => Buffer::from_vec(numbers.iter().map(|it| f16::from_f64(*it)).collect()),
        DType::Bfloat16 => {
            let bits = numbers.iter().map(|it| bf16::from_f64(*it).to_bits());
            Buffer::from_vec(bits.collect::<Vec<u16>>())
        }
        DType::Float64 => Buffer::from_slice_ref(numbers),
        _ => Buffer::from_vec(numbers.iter().map(|it| *it as f32).collect()),
    }
}
