//! The codec through its public door: what is accepted, what is refused and in which words, what is written.

mod answers;
mod binary;
mod json;
mod refused;

use super::*;
use crate::json::JsonLimits;
use crate::{Signature, TensorSpec};

/// An input or output of this type and row shape, -1 being open.
fn spec(name: &str, dtype: DType, row_shape: &[i64]) -> TensorSpec {
    let mut shape = vec![None];
    shape.extend(row_shape.iter().map(|&size| usize::try_from(size).ok()));
    TensorSpec {
        name: name.to_owned(),
        dtype,
        shape,
    }
}

/// A model whose only input `x` has this type and row shape, and whose outputs are `x` and `y`.
fn single(dtype: DType, row_shape: &[i64]) -> Signature {
    Signature {
        inputs: vec![spec("x", dtype, row_shape)],
        outputs: vec![spec("x", dtype, row_shape), spec("y", DType::Float32, &[])],
    }
}

/// `x: FP32[-1,2]` and `id: STRING[-1]`.
fn two() -> Signature {
    Signature {
        inputs: vec![
            spec("x", DType::Float32, &[2]),
            spec("id", DType::String, &[]),
        ],
        outputs: vec![],
    }
}

fn parse(
    bytes: &[u8],
    header_length: Option<&str>,
    signature: &Signature,
) -> Result<InferRequest, OipError> {
    let body = InferBody {
        bytes,
        header_length,
    };
    parse_infer(body, signature, &JsonLimits::default())
}

#[track_caller]
fn accept_json(body: &str, signature: &Signature) -> InferRequest {
    parse(body.as_bytes(), None, signature).unwrap_or_else(|error| panic!("{body}: {error}"))
}

/// JSON with raw tensors behind it.
fn with_tail(json: &str, tail: &[u8]) -> (Vec<u8>, String) {
    ([json.as_bytes(), tail].concat(), json.len().to_string())
}

#[track_caller]
fn accept_binary(json: &str, tail: &[u8], signature: &Signature) -> InferRequest {
    let (body, length) = with_tail(json, tail);
    parse(&body, Some(&length), signature).unwrap_or_else(|error| panic!("{json}: {error}"))
}

/// The body is refused as invalid with this in the sentence, which keeps the general promises.
#[track_caller]
fn refuse(
    bytes: impl AsRef<[u8]>,
    header_length: Option<&str>,
    signature: &Signature,
    fragment: &str,
) {
    let bytes = bytes.as_ref();
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned();
    let error = match parse(bytes, header_length, signature) {
        Ok(request) => panic!("accepted {shown}: {request:?}"),
        Err(error) => error,
    };
    let sentence = error.to_string();
    assert!(
        sentence.contains(fragment),
        "{shown}: {sentence:?} lacks {fragment:?}"
    );
    assert!(sentence.len() <= 400, "{} bytes", sentence.len());
    assert!(!sentence.chars().any(char::is_control), "{sentence:?}");
    assert_eq!(error.kind(), OipErrorKind::Invalid, "{sentence}");
}

#[track_caller]
fn refuse_json(body: &str, signature: &Signature, fragment: &str) {
    refuse(body, None, signature, fragment);
}

/// An input of JSON data.
fn x(datatype: &str, shape: &str, data: &str) -> String {
    format!(
        r#"{{"inputs":[{{"name":"x","shape":{shape},"datatype":"{datatype}","data":{data}}}]}}"#
    )
}

/// An input of raw data.
fn x_binary(datatype: &str, shape: &str, size_bytes: &str) -> String {
    format!(
        r#"{{"inputs":[{{"name":"x","shape":{shape},"datatype":"{datatype}","parameters":{{"binary_data_size":{size_bytes}}}}}]}}"#
    )
}
