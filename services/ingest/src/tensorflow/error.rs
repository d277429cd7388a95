//! What only TensorFlow Serving's REST API can be asked wrongly.

use std::fmt;

use actix_web::HttpRequest;
use millrace_wire::json::{JsonError, JsonErrorKind, WriteError};

use crate::front::Error;
use crate::front::error::Kind;
use crate::http::segment::SegmentError;
use crate::http::{HttpError, shortened_path};

use super::path::PathError;

/// Why a request is none of TensorFlow Serving's.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TensorflowError {
    /// A path with a sentence of its own there.
    #[error(transparent)]
    Path(PathError),
    #[error("{request}: {error}")]
    NoPath {
        request: Malformed,
        error: PathError,
    },
    #[error("{request}: {error}")]
    Method {
        request: Malformed,
        error: HttpError,
    },
    #[error("{request}: to predict, POST to {}:predict", .request.path)]
    NoVerb { request: Malformed },
    #[error("Origin header is missing in CORS preflight: expected http:// or https:// and a host")]
    NoOrigin,
    #[error(transparent)]
    Unfit(WriteError),
    #[error(transparent)]
    Json(#[from] JsonError),
    #[error(
        "Serving signature name: {given:?} not found in signature def; expected serving_default"
    )]
    SignatureName { given: String },
}

/// What TensorFlow Serving says of every path and method that it does not know.
#[derive(Debug)]
pub(crate) struct Malformed {
    method: String,
    path: String,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Malformed request: {} {}", self.method, self.path)
    }
}

impl Malformed {
    pub(super) fn of(request: &HttpRequest) -> Self {
        Self {
            method: request.method().as_str().chars().take(16).collect(),
            path: shortened_path(request),
        }
    }
}

impl TensorflowError {
    pub(super) fn of_path(error: PathError, request: &HttpRequest) -> Self {
        match error {
            PathError::NoModel | PathError::Segment(SegmentError::Overflow { .. }) => {
                Self::Path(error)
            }
            error => Self::NoPath {
                request: Malformed::of(request),
                error,
            },
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Path(_) | Self::NoPath { .. } | Self::NoVerb { .. } => Kind::invalid("path"),
            Self::Method { error, .. } => error.kind(),
            Self::NoOrigin => Kind::invalid("origin"),
            Self::Unfit(_) => Kind::invalid("method_unfit"),
            Self::Json(error) => match error.kind() {
                JsonErrorKind::Invalid => Kind::invalid("json"),
                JsonErrorKind::TooLarge => Kind::invalid("json_too_large").over_http(413),
            },
            Self::SignatureName { .. } => Kind::invalid("signature_name"),
        }
    }

    /// The methods that are allowed instead.
    pub(crate) fn allow(&self) -> Option<&'static str> {
        match self {
            Self::Method { error, .. } => error.allow(),
            _ => None,
        }
    }
}

impl From<JsonError> for Error {
    fn from(error: JsonError) -> Self {
        Self::Tensorflow(error.into())
    }
}
