//! Why a message is refused, in one sentence.

use std::fmt;

/// The longest sentence, in bytes.
const MAX_SENTENCE_BYTES: usize = 400;

/// What to answer with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProtobufErrorKind {
    /// The message is malformed or does not fit the signature: `INVALID_ARGUMENT`.
    Invalid,
    /// The message holds more than the limits allow: `RESOURCE_EXHAUSTED`.
    TooLarge,
}

/// Why a message is refused. The sentence names the input, what was expected and what was given, and
/// repeats at most 64 bytes of any text in the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProtobufError {
    kind: ProtobufErrorKind,
    sentence: String,
}

impl ProtobufError {
    pub(super) fn invalid(sentence: impl Into<String>) -> Self {
        Self::new(ProtobufErrorKind::Invalid, sentence.into())
    }

    pub(super) fn too_large(sentence: impl Into<String>) -> Self {
        Self::new(ProtobufErrorKind::TooLarge, sentence.into())
    }

    fn new(kind: ProtobufErrorKind, mut sentence: String) -> Self {
        sentence.truncate(sentence.floor_char_boundary(MAX_SENTENCE_BYTES));
        Self { kind, sentence }
    }

    /// What to answer with.
    pub fn kind(&self) -> ProtobufErrorKind {
        self.kind
    }
}

impl fmt::Display for ProtobufError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl std::error::Error for ProtobufError {}
