//! A whole infer request: where its JSON ends, what its inputs are, what its answer shall hold.

use std::time::Duration;

use super::envelope;
use super::error::OipError;
use super::outputs::Outputs;
use super::raw;
use crate::json::JsonLimits;
use crate::{Signature, Tensor};

/// A body and the value of the header that says where its JSON ends.
#[derive(Debug, Clone, Copy)]
pub struct InferBody<'a> {
    /// Everything that was sent.
    pub bytes: &'a [u8],
    /// `Inference-Header-Content-Length`: bytes of JSON before the raw tensors. Without it all is JSON;
    /// 0 is a body of nothing but the only input's elements.
    pub header_length: Option<&'a str>,
}

/// An infer request whose values fit the signature.
#[derive(Debug)]
pub struct InferRequest {
    /// To be repeated in the answer.
    pub id: Option<String>,
    /// One tensor per input of the signature, in its order, all with the same number of rows, which is
    /// at least 1. Data start at a 64-byte boundary.
    pub tensors: Vec<Tensor>,
    /// What the answer shall hold and how.
    pub outputs: Outputs,
    /// How long the caller waits; never zero.
    pub timeout: Option<Duration>,
    /// The request's priority; 0 is the default.
    pub priority: u64,
}

/// Reads an infer request for the inputs of `signature`.
///
/// Values are only accepted where they fit: every input is there once, of the signature's type, rank and
/// dimensions, with as many elements as its shape says. Whatever the body, this returns in time
/// proportional to its length and allocates no more than a few times the tensors that it can hold.
pub fn parse_infer(
    body: InferBody<'_>,
    signature: &Signature,
    limits: &JsonLimits,
) -> Result<InferRequest, OipError> {
    let Some(header_length) = body.header_length else {
        return envelope::read(body.bytes, None, (signature, limits)).map_err(|error| {
            match std::str::from_utf8(body.bytes) {
                Ok(_) => error,
                Err(_) => OipError::invalid(format!(
                    "{error}; a body with binary tensors needs the header Inference-Header-Content-Length"
                )),
            }
        });
    };
    match read_length(header_length, body.bytes.len())? {
        0 => raw::read(body.bytes, signature, limits),
        length => {
            let (head, tail) = body.bytes.split_at(length);
            envelope::read(head, Some(tail), (signature, limits))
        }
    }
}

/// The header's value; at most the body's length.
fn read_length(text: &str, body_bytes: usize) -> Result<usize, OipError> {
    let digits_only = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let length = text.parse::<usize>().ok().filter(|_| digits_only);
    let length = length.ok_or_else(|| {
        let given: String = text.chars().take(32).collect();
        OipError::invalid(format!(
            "Inference-Header-Content-Length must be a number of bytes, got {given:?}"
        ))
    })?;
    if length > body_bytes {
        return Err(OipError::invalid(format!(
            "Inference-Header-Content-Length is {length}, but the body has {body_bytes} bytes"
        )));
    }
    Ok(length)
}
