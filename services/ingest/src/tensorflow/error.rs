//! What only TensorFlow Serving's REST API can be asked wrongly.

use millrace_wire::Status;
use millrace_wire::json::{JsonError, JsonErrorKind};

use crate::front::Error;
use crate::front::error::Kind;

use super::path::PathError;

/// Why a request is none of TensorFlow Serving's.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TensorflowError {
    #[error(transparent)]
    Path(#[from] PathError),
    #[error("Malformed request: {method} {path}: to predict, POST to {path}:predict")]
    NoVerb { method: String, path: String },
    #[error("method {verb} is not implemented, use :predict")]
    NotImplemented { verb: &'static str },
    #[error(transparent)]
    Json(#[from] JsonError),
    #[error(
        "Serving signature name: {given:?} not found in signature def; expected serving_default"
    )]
    SignatureName { given: String },
}

impl TensorflowError {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Path(error) => error.kind(),
            Self::NoVerb { .. } => Kind::invalid("path"),
            Self::NotImplemented { .. } => Kind::new(Status::Unimplemented, "not_implemented"),
            Self::Json(error) => match error.kind() {
                JsonErrorKind::Invalid => Kind::invalid("json"),
                JsonErrorKind::TooLarge => Kind::invalid("json_too_large").over_http(413),
            },
            Self::SignatureName { .. } => Kind::invalid("signature_name"),
        }
    }
}

impl From<PathError> for Error {
    fn from(error: PathError) -> Self {
        Self::Tensorflow(error.into())
    }
}

impl From<JsonError> for Error {
    fn from(error: JsonError) -> Self {
        Self::Tensorflow(error.into())
    }
}
