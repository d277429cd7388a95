//! The codec through its public door: what is accepted, what is refused and in which words, what is written.

mod accepted;
mod answers;
mod bad_inputs;
mod bad_values;
mod corpus;
mod examples;
mod hostile;
mod sentences;
mod slides;
mod sparse;
mod strict;

use crate::{DType, Signature, TensorSpec};

use super::*;

/// An input of this type and row shape, -1 being open.
fn input(name: &str, dtype: DType, row_shape: &[i64]) -> TensorSpec {
    let mut shape = vec![None];
    shape.extend(row_shape.iter().map(|&size| usize::try_from(size).ok()));
    TensorSpec {
        name: name.to_owned(),
        dtype,
        shape,
    }
}

fn signature(inputs: Vec<TensorSpec>) -> Signature {
    Signature {
        inputs,
        outputs: Vec::new(),
    }
}

/// A signature with one input `x`.
fn single(dtype: DType, row_shape: &[i64]) -> Signature {
    signature(vec![input("x", dtype, row_shape)])
}

fn parse(body: impl AsRef<[u8]>, signature: &Signature) -> Result<PredictRequest, JsonError> {
    parse_predict(body.as_ref(), signature, &JsonLimits::default())
}

#[track_caller]
fn accept(body: impl AsRef<[u8]>, signature: &Signature) -> PredictRequest {
    parse(body.as_ref(), signature).unwrap_or_else(|error| {
        panic!("{}: {error}", String::from_utf8_lossy(body.as_ref()));
    })
}

/// The sentence for a body that must be refused; every sentence keeps the general promises.
#[track_caller]
fn refuse(body: impl AsRef<[u8]>, signature: &Signature) -> JsonError {
    let body = body.as_ref();
    let shown = String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
    match parse(body, signature) {
        Ok(request) => panic!("accepted {shown}: {request:?}"),
        Err(error) => {
            let sentence = error.to_string();
            assert!(sentence.len() <= 512, "{shown}: {} bytes", sentence.len());
            assert!(
                !sentence.chars().any(char::is_control),
                "{shown}: {sentence:?}"
            );
            let answer = error_body(&sentence);
            assert!(answer.len() <= 512, "{shown}");
            let read: serde_json::Value = serde_json::from_slice(&answer).unwrap();
            assert!(
                sentence.starts_with(read["error"].as_str().unwrap()),
                "{shown}"
            );
            error
        }
    }
}

#[track_caller]
fn check_refused(body: impl AsRef<[u8]>, signature: &Signature, fragment: &str) {
    let shown =
        String::from_utf8_lossy(&body.as_ref()[..body.as_ref().len().min(200)]).into_owned();
    let sentence = refuse(body, signature).to_string();
    assert!(
        sentence.contains(fragment),
        "{shown}: {sentence:?} lacks {fragment:?}"
    );
}
