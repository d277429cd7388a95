//! What can be wrong with an Arrow stream as a body.

use millrace_wire::{DecodeError, DecodeErrorKind, SignatureError};

use crate::front::error::Kind;

/// Why a body is no request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArrowError {
    #[error("body is no Arrow stream of one record batch: {0}")]
    Record(#[source] DecodeError),
    #[error(transparent)]
    Signature(SignatureError),
}

impl ArrowError {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Record(error) => match error.kind() {
                DecodeErrorKind::Malformed | DecodeErrorKind::Unsupported => Kind::invalid("arrow"),
                DecodeErrorKind::TooLarge => Kind::invalid("arrow_too_large").over_http(413),
            },
            Self::Signature(_) => Kind::invalid("arrow"),
        }
    }
}
