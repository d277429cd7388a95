//! What only the Open Inference Protocol can be asked wrongly.

use millrace_wire::oip::{OipError as BodyError, OipErrorKind, ResponseError};
use millrace_wire::{Status, TensorError};

use crate::front::Error;
use crate::front::catalog::{Names, NotServed};
use crate::front::error::Kind;
use crate::http::segment::SegmentError;

/// Why a request is none of the Open Inference Protocol.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OipError {
    #[error(transparent)]
    Segment(#[from] SegmentError),
    #[error("Request for unknown model: '{model}' is not found; models served: {served}")]
    UnknownModel { model: String, served: Names },
    #[error(
        "Request for unknown model: '{model}' version {version} is not found; its versions: {versions}"
    )]
    UnknownVersion {
        model: String,
        version: i64,
        versions: Names,
    },
    #[error("header Inference-Header-Content-Length must be there at most once and be text")]
    HeaderLength,
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error(transparent)]
    Response(#[from] ResponseError),
    #[error("body must be empty or an object such as {{\"ready\": true}} of at most 4096 bytes")]
    Index,
    #[error("body must be empty or an object with an object \"parameters\"")]
    Load,
    #[error("outputs cannot be selected: {0}")]
    Select(#[source] TensorError),
    #[error("{what} is not supported: {instead}")]
    NotSupported {
        what: &'static str,
        instead: &'static str,
    },
}

impl OipError {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Segment(_) => Kind::invalid("path"),
            Self::UnknownModel { .. } | Self::UnknownVersion { .. } => {
                Kind::new(Status::NotFound, "unknown_model")
            }
            Self::HeaderLength | Self::Index | Self::Load => Kind::invalid("oip"),
            Self::Body(error) => match error.kind() {
                OipErrorKind::Invalid => Kind::invalid("oip"),
                OipErrorKind::TooLarge => Kind::invalid("oip_too_large").over_http(413),
            },
            Self::Response(ResponseError::Missing { .. } | ResponseError::TooLong { .. }) => {
                Kind::new(Status::Internal, "bad_reply").over_http(502)
            }
            Self::Response(_) => Kind::invalid("oip_output"),
            Self::Select(_) => Kind::new(Status::Internal, "bad_reply").over_http(502),
            Self::NotSupported { .. } => Kind::new(Status::Unimplemented, "not_implemented"),
        }
    }
}

/// The same error, in the words that Triton's callers look for.
pub(super) fn in_our_words(error: Error) -> Error {
    match error {
        Error::NotServed(NotServed::UnknownModel { model, served }) => {
            OipError::UnknownModel { model, served }.into()
        }
        Error::NotServed(NotServed::UnknownVersion {
            model,
            version,
            versions,
        }) => OipError::UnknownVersion {
            model,
            version,
            versions,
        }
        .into(),
        other => other,
    }
}
