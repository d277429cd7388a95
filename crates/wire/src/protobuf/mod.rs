//! The gRPC messages that carry tensors, straight from their bytes to a record and back.
//!
//! `ModelInferRequest` of the Open Inference Protocol, `PredictRequest` and the requests with examples
//! of TensorFlow Serving are walked in place: a general decoder would turn two bytes of a hostile message into hundreds of
//! memory, and would build a tree only to throw it away. Field numbers are those of the public
//! protocols.
//!
//! What a message may hold is bounded by [`Limits`] before anything is allocated for it. Unknown
//! fields and parameters are skipped, as protobuf wants; a field given twice, two inputs of one name
//! or values for a dtype that is not the tensor's are refused.

mod contents;
mod error;
mod examples_request;
mod examples_response;
mod feature;
mod fields;
mod infer_request;
mod infer_response;
mod predict_request;
mod predict_response;
mod scalars;
mod strings;
mod tensor_proto;
mod write;

pub use error::{ProtobufError, ProtobufErrorKind};
pub use examples_request::{MultiHead, multi_inference_head, parse_examples};
pub use examples_response::{
    write_classification_response, write_multi_inference_response, write_regression_response,
};
pub use infer_request::{InferHead, InferRequest, infer_head, parse_infer};
pub use infer_response::{
    InferAnswer, write_infer_response, write_stream_error, write_stream_response,
};
pub use predict_request::{
    PredictHead, PredictRequest, VersionChoice, parse_predict, predict_head,
};
pub use predict_response::{PredictAnswer, write_predict_response};
pub use tensor_proto::{data_type_name, data_type_number};

use crate::{Limits, Signature, Tensor, encode_tensors};

/// Checks tensors against the signature and makes one record of them.
fn record_of(tensors: &[Tensor], signature: &Signature) -> Result<Vec<u8>, ProtobufError> {
    signature
        .check_tensors(tensors)
        .map_err(|error| ProtobufError::invalid(error.to_string()))?;
    encode_tensors(tensors).map_err(|error| ProtobufError::too_large(error.to_string()))
}

/// Refuses a list that grows beyond its limit.
fn check_count(count: usize, limit: usize, what: &str) -> Result<(), ProtobufError> {
    match count > limit {
        true => Err(ProtobufError::too_large(format!(
            "request has more than {limit} {what}"
        ))),
        false => Ok(()),
    }
}

/// The elements of a shape from outside.
///
/// Refuses negative dimensions, more dimensions or elements than the limits allow, and no dimension
/// at all: dimension 0 counts the rows.
fn checked_shape(
    input: &str,
    dims: &[i64],
    limits: &Limits,
) -> Result<(Vec<usize>, usize), ProtobufError> {
    let name = crate::quote::Name(input);
    if dims.is_empty() {
        return Err(ProtobufError::invalid(format!(
            "input {name} has no shape; dimension 0 counts the rows"
        )));
    }
    let mut shape = Vec::with_capacity(dims.len());
    for &size in dims {
        let size = usize::try_from(size).map_err(|_| {
            ProtobufError::invalid(format!(
                "input {name}: dimension {size} in its shape is negative"
            ))
        })?;
        shape.push(size);
    }
    match crate::tensor::checked_product(&shape) {
        Some(elements) if elements <= limits.max_elements => Ok((shape, elements)),
        _ => Err(ProtobufError::too_large(format!(
            "input {name}: its shape {} holds more than {} elements",
            crate::quote::Shape(&crate::tensor::known(&shape)),
            limits.max_elements
        ))),
    }
}
