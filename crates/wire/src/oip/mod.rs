//! The Open Inference Protocol's REST bodies: JSON, and the binary tensor extension.
//!
//! A request is a JSON object and, behind it, the raw tensors it announces, in the order of its
//! `inputs`. The object is read in one forward scan guided by the model's signature: types and shapes
//! are checked before anything is read or allocated for them, and `data` go straight into the tensor.
//! What differs from Triton is listed in `docs/open-inference-protocol.md`.

mod binary;
mod envelope;
mod error;
mod input;
mod outputs;
mod parameters;
mod raw;
mod request;
mod write;

use crate::DType;

pub use error::{OipError, OipErrorKind};
pub use outputs::{Outputs, RequestedOutput};
pub use request::{InferBody, InferRequest, parse_infer};
pub use write::{Answer, InferResponse, ResponseError, write_infer};

#[cfg(test)]
mod tests;

/// A type's name in this protocol, which has `BYTES` for text and binary.
pub fn datatype(dtype: DType) -> &'static str {
    match dtype {
        DType::String => DType::Bytes.name(),
        other => other.name(),
    }
}

/// True for the types that have no JSON form in this protocol.
pub(crate) fn is_binary_only(dtype: DType) -> bool {
    matches!(dtype, DType::Float16 | DType::Bfloat16)
}
