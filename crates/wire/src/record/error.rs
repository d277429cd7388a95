//! Why a payload is not a record of ours.

use std::fmt;

/// The most bytes of a message.
const MAX_MESSAGE_BYTES: usize = 200;

/// What kind of fault a payload has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecodeErrorKind {
    /// Not an Arrow stream, or one that contradicts itself.
    Malformed,
    /// Valid Arrow that we do not take, such as dictionaries, compression or nulls.
    Unsupported,
    /// Beyond one of the [`crate::Limits`].
    TooLarge,
}

/// A payload that cannot be decoded, with the reason as a sentence for its sender.
pub struct DecodeError {
    fault: Fault,
    payload: Vec<u8>,
}

impl DecodeError {
    /// What kind of fault it is.
    pub fn kind(&self) -> DecodeErrorKind {
        self.fault.kind
    }

    /// The bytes as they were received.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The bytes as they were received.
    pub fn into_payload(self) -> Vec<u8> {
        self.payload
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.fault.message)
    }
}

impl fmt::Debug for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecodeError")
            .field("kind", &self.fault.kind)
            .field("message", &self.fault.message)
            .field("payload_bytes", &self.payload.len())
            .finish()
    }
}

impl std::error::Error for DecodeError {}

/// A [`DecodeError`] before it gets its payload.
#[derive(Debug)]
pub(crate) struct Fault {
    kind: DecodeErrorKind,
    message: String,
}

impl Fault {
    pub(crate) fn malformed(message: impl fmt::Display) -> Self {
        Self::new(DecodeErrorKind::Malformed, message)
    }

    pub(crate) fn unsupported(message: impl fmt::Display) -> Self {
        Self::new(DecodeErrorKind::Unsupported, message)
    }

    pub(crate) fn too_large(message: impl fmt::Display) -> Self {
        Self::new(DecodeErrorKind::TooLarge, message)
    }

    fn new(kind: DecodeErrorKind, message: impl fmt::Display) -> Self {
        let mut message = message.to_string();
        message.truncate(message.floor_char_boundary(MAX_MESSAGE_BYTES));
        Self { kind, message }
    }

    pub(crate) fn with_payload(self, payload: Vec<u8>) -> DecodeError {
        DecodeError {
            fault: self,
            payload,
        }
    }
}
