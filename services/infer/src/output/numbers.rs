//! Numbers of any type as double precision.

use half::bf16;
use half::f16;
use half::slice::HalfBitsSliceExt;
use millrace_wire::{DType, Tensor};

/// Every element of a tensor of numbers; `None` for booleans, strings and bytes. INT64 and UINT64 beyond 2^53 are
/// rounded.
#[expect(
    clippy::cast_precision_loss,
    reason = "scores are compared, and doubles are as exact as scores need to be"
)]
pub(super) fn as_f64(tensor: &Tensor) -> Option<Vec<f64>> {
    let numbers = match tensor.dtype() {
        DType::Int8 => all(tensor.typed::<i8>()?, |it| f64::from(*it)),
        DType::Int16 => all(tensor.typed::<i16>()?, |it| f64::from(*it)),
        DType::Int32 => all(tensor.typed::<i32>()?, |it| f64::from(*it)),
        DType::Int64 => all(tensor.typed::<i64>()?, |it| *it as f64),
        DType::Uint8 => all(tensor.typed::<u8>()?, |it| f64::from(*it)),
        DType::Uint16 => all(tensor.typed::<u16>()?, |it| f64::from(*it)),
        DType::Uint32 => all(tensor.typed::<u32>()?, |it| f64::from(*it)),
        DType::Uint64 => all(tensor.typed::<u64>()?, |it| *it as f64),
        DType::Float16 => all(tensor.typed::<f16>()?, |it| f64::from(*it)),
        DType::Bfloat16 => {
            let numbers: &[bf16] = tensor.typed::<u16>()?.reinterpret_cast();
            all(numbers, |it| f64::from(*it))
        }
        DType::Float32 => all(tensor.typed::<f32>()?, |it| f64::from(*it)),
        DType::Float64 => tensor.typed::<f64>()?.to_vec(),
        DType::Bool | DType::String | DType::Bytes => return None,
    };
    Some(numbers)
}

fn all<T>(numbers: &[T], convert: impl Fn(&T) -> f64) -> Vec<f64> {
    numbers.iter().map(convert).collect()
}

/// Whether a type holds numbers.
pub(super) fn is_number(dtype: DType) -> bool {
    !matches!(dtype, DType::Bool | DType::String | DType::Bytes)
}

/// Whether a type holds numbers with fractions.
pub(super) fn is_float(dtype: DType) -> bool {
    matches!(
        dtype,
        DType::Float16 | DType::Bfloat16 | DType::Float32 | DType::Float64
    )
}
