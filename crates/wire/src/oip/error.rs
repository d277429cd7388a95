//! Why a request is refused, in one sentence that fits an answer.

use std::fmt;

use crate::SignatureError;
use crate::json::{JsonError, JsonErrorKind};
use crate::tensor::TensorError;

/// The longest sentence, in bytes.
const MAX_SENTENCE_BYTES: usize = 400;

/// What to answer with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OipErrorKind {
    /// The body contradicts itself or does not fit the signature: 400.
    Invalid,
    /// The body holds more rows or elements than the limits allow: 413.
    TooLarge,
}

/// Why an infer request is refused. The sentence names the field, what was expected and what was given,
/// and repeats at most 64 bytes of the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OipError {
    kind: OipErrorKind,
    sentence: String,
}

impl OipError {
    pub(super) fn invalid(sentence: impl fmt::Display) -> Self {
        Self::new(OipErrorKind::Invalid, sentence)
    }

    pub(super) fn too_large(sentence: impl fmt::Display) -> Self {
        Self::new(OipErrorKind::TooLarge, sentence)
    }

    fn new(kind: OipErrorKind, sentence: impl fmt::Display) -> Self {
        let mut sentence = sentence.to_string();
        sentence.truncate(sentence.floor_char_boundary(MAX_SENTENCE_BYTES));
        Self { kind, sentence }
    }

    /// What to answer with.
    pub fn kind(&self) -> OipErrorKind {
        self.kind
    }
}

impl fmt::Display for OipError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl std::error::Error for OipError {}

impl From<JsonError> for OipError {
    fn from(error: JsonError) -> Self {
        match error.kind() {
            JsonErrorKind::Invalid => Self::invalid(error),
            JsonErrorKind::TooLarge => Self::too_large(error),
        }
    }
}

impl From<SignatureError> for OipError {
    fn from(error: SignatureError) -> Self {
        Self::invalid(error)
    }
}

impl From<TensorError> for OipError {
    fn from(error: TensorError) -> Self {
        Self::invalid(error)
    }
}
