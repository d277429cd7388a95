//! Why a body is refused, in one sentence that fits an answer.

use std::fmt;

use super::write::push_escaped;

/// The longest sentence, in bytes.
const MAX_SENTENCE_BYTES: usize = 400;

/// The longest error body, in bytes.
const MAX_BODY_BYTES: usize = 512;

/// What to answer with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonErrorKind {
    /// The body is not JSON or does not fit the signature: 400.
    Invalid,
    /// The body holds more rows or elements than the limits allow: 413.
    TooLarge,
}

/// Why a predict request is refused. The sentence names the field, what was expected and what was
/// given, and repeats at most 64 bytes of the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonError {
    kind: JsonErrorKind,
    sentence: String,
}

impl JsonError {
    pub(super) fn invalid(sentence: impl Into<String>) -> Self {
        Self::new(JsonErrorKind::Invalid, sentence.into())
    }

    pub(super) fn too_large(sentence: impl Into<String>) -> Self {
        Self::new(JsonErrorKind::TooLarge, sentence.into())
    }

    fn new(kind: JsonErrorKind, mut sentence: String) -> Self {
        sentence.truncate(sentence.floor_char_boundary(MAX_SENTENCE_BYTES));
        Self { kind, sentence }
    }

    /// What to answer with.
    pub fn kind(&self) -> JsonErrorKind {
        self.kind
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl std::error::Error for JsonError {}

/// The body `{"error": "…"}` that TensorFlow Serving's clients expect, laid out as there and at most
/// 512 bytes long; a longer sentence is cut between characters.
pub fn error_body(sentence: &str) -> Vec<u8> {
    const END: &[u8] = b"\"\n}";
    let mut body = b"{\n    \"error\": \"".to_vec();
    for character in sentence.chars() {
        let before = body.len();
        push_escaped(character.encode_utf8(&mut [0; 4]).as_bytes(), &mut body);
        if body.len() > MAX_BODY_BYTES - END.len() {
            body.truncate(before);
            break;
        }
    }
    body.extend_from_slice(END);
    body
}
