//! What only HTTP can get wrong: paths, methods and bodies.

use actix_web::HttpRequest;
use actix_web::dev::RequestHead;
use millrace_wire::Status;

use crate::front::error::Kind;
use crate::front::{Error, RequestLimits};

use super::body::BodyError;
use super::segment::SegmentError;

/// The colon, the space and the end of a header's line.
const AROUND_HEADER_BYTES: usize = 4;

/// Why a request is none, before any protocol looks at it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    #[error("no such path: {path}")]
    NoSuchPath { path: String },
    #[error("method {method} is not allowed here, only {allow}")]
    MethodNotAllowed { method: String, allow: &'static str },
    #[error("header {name} is not UTF-8")]
    Header { name: String },
    #[error("request has {count} headers: the limit is {limit}")]
    Headers { count: usize, limit: usize },
    #[error("path and headers have {size_bytes} bytes: the limit is {limit_bytes} bytes")]
    HeaderBytes {
        size_bytes: usize,
        limit_bytes: usize,
    },
    #[error(transparent)]
    Segment(#[from] SegmentError),
    #[error(transparent)]
    Body(#[from] BodyError),
}

impl HttpError {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::NoSuchPath { .. } => Kind::new(Status::NotFound, "no_such_path"),
            Self::MethodNotAllowed { .. } => {
                Kind::new(Status::Unimplemented, "method").over_http(405)
            }
            Self::Header { .. } => Kind::invalid("header"),
            Self::Headers { .. } | Self::HeaderBytes { .. } => {
                Kind::invalid("header_size").over_http(431)
            }
            Self::Segment(_) => Kind::invalid("path"),
            Self::Body(error) => error.kind(),
        }
    }

    /// A method that is not among those allowed.
    pub(crate) fn method(request: &HttpRequest, allow: &'static str) -> Self {
        let method = request.method().as_str().chars().take(16).collect();
        Self::MethodNotAllowed { method, allow }
    }

    /// The methods that are allowed instead.
    pub(crate) fn allow(&self) -> Option<&'static str> {
        match self {
            Self::MethodNotAllowed { allow, .. } => Some(allow),
            _ => None,
        }
    }
}

/// The head must be small, and no header of ours is anything but text: no proxy agrees on what else is.
pub(super) fn check_head(head: &RequestHead, limits: &RequestLimits) -> Result<(), HttpError> {
    let count = head.headers.len();
    if count > limits.headers {
        let limit = limits.headers;
        return Err(HttpError::Headers { count, limit });
    }
    let mut size_bytes = head.uri.path_and_query().map_or(0, |it| it.as_str().len());
    for (name, value) in &head.headers {
        size_bytes += name.as_str().len() + value.len() + AROUND_HEADER_BYTES;
    }
    if size_bytes > limits.header_bytes {
        return Err(HttpError::HeaderBytes {
            size_bytes,
            limit_bytes: limits.header_bytes,
        });
    }
    for (name, value) in &head.headers {
        let value = value.as_bytes();
        if !value.is_ascii() && std::str::from_utf8(value).is_err() {
            let name = name.as_str().chars().take(32).collect();
            return Err(HttpError::Header { name });
        }
    }
    Ok(())
}

impl From<BodyError> for Error {
    fn from(error: BodyError) -> Self {
        Self::Http(error.into())
    }
}

/// Nothing stands at the request's path.
pub(crate) fn no_path(request: &HttpRequest) -> Error {
    let path = shortened_path(request);
    HttpError::NoSuchPath { path }.into()
}

/// Something stands there, for other methods.
pub(crate) fn not_allowed(request: &HttpRequest, allow: &'static str) -> Error {
    HttpError::method(request, allow).into()
}

/// As much of the path as a sentence repeats.
pub(crate) fn shortened_path(request: &HttpRequest) -> String {
    request.uri().path().chars().take(48).collect()
}
