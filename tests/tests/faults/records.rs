//! What is sent.

use std::time::Duration;

use arrow::buffer::Buffer;
use millrace_wire::{DType, Tensor, encode_tensors};

/// Between ten records and the next ten.
pub(crate) const PACE: Duration = Duration::from_millis(5);

/// At least how many records go through one fault.
pub(crate) fn records() -> usize {
    let asked = std::env::var("FAULT_RECORDS").ok();
    asked.map_or(5_000, |asked| {
        asked.parse().expect("FAULT_RECORDS is a number")
    })
}

/// Whole numbers below 2^24 are exact in 32-bit floats.
pub(crate) fn request(number: usize) -> Vec<u8> {
    let first = number_as_f32(number);
    let tensor = Tensor::fixed(
        "x",
        DType::Float32,
        vec![1, 4],
        Buffer::from_vec(vec![first, 1.0, 2.0, 3.0]),
    );
    encode_tensors(&[tensor.expect("four values a row")]).expect("a tensor encodes")
}

pub(crate) fn number_as_f32(number: usize) -> f32 {
    let high = u16::try_from(number / 4096).expect("below 2^24");
    let low = u16::try_from(number % 4096).expect("below 4096");
    f32::from(high) * 4096.0 + f32::from(low)
}
