//! What only HTTP can get wrong: paths, methods and bodies.

use actix_web::HttpRequest;
use actix_web::http::header::HeaderMap;
use millrace_wire::Status;

use crate::front::Error;
use crate::front::error::Kind;

use super::body::BodyError;
use super::segment::SegmentError;

/// Why a request is none, before any protocol looks at it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    #[error("no such path: {path}")]
    NoSuchPath { path: String },
    #[error("method {method} is not allowed here, only {allow}")]
    MethodNotAllowed { method: String, allow: &'static str },
    #[error("header {name} is not UTF-8")]
    Header { name: String },
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

/// No header of ours is anything but text, and no proxy agrees on what else is.
pub(super) fn check_headers(headers: &HeaderMap) -> Result<(), HttpError> {
    for (name, value) in headers {
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
