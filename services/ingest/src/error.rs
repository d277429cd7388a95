//! The one place where a failure becomes an HTTP status and a sentence.
//!
//! Every answer that is not 200 is `{"error": "sentence"}`. `docs/errors.md`
//! is the table of them.

use std::time::Duration;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError};
use millrace_wire::Status;
use millrace_wire::json::{self, JsonErrorKind};

use crate::admission::Full;
use crate::body::BodyError;
use crate::catalog::NotServed;
use crate::line::LineError;
use crate::routes::PathError;

/// Header with the id under which a request can be found in logs and topics.
pub(crate) const X_REQUEST_ID: &str = "x-request-id";

/// Everything that can keep a caller from a prediction.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("no such path: {path}")]
    NoSuchPath { path: String },
    #[error("method {method} is not allowed here, only {allow}")]
    MethodNotAllowed { method: String, allow: &'static str },
    #[error("Malformed request: {method} {path}: to predict, POST to {path}:predict")]
    NoVerb { method: String, path: String },
    #[error("method {verb} is not implemented, use :predict")]
    NotImplemented { verb: &'static str },
    #[error(transparent)]
    Path(#[from] PathError),
    #[error(transparent)]
    NotServed(#[from] NotServed),
    #[error(transparent)]
    Full(#[from] Full),
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error(transparent)]
    Json(#[from] json::JsonError),
    #[error(
        "Serving signature name: {given:?} not found in signature def; expected serving_default"
    )]
    SignatureName { given: String },
    #[error("request cannot be encoded")]
    Encode(#[source] millrace_wire::EncodeError),
    #[error(transparent)]
    Line(#[from] LineError),
    #[error("{sentence}")]
    Failed { status: Status, sentence: String },
    #[error("reply of infer is malformed: {0}")]
    BadReply(#[from] BadReply),
    #[error("a worker thread of ingest was lost")]
    Worker,
}

/// What can be wrong with a reply record.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadReply {
    #[error("{0}")]
    Headers(#[from] millrace_wire::headers::HeaderError),
    #[error("{0}")]
    Record(#[source] millrace_wire::DecodeError),
    #[error("it has no value")]
    NoValue,
    #[error("{0}")]
    Outputs(#[source] json::WriteError),
}

/// How an error looks from outside.
struct Answer {
    status: u16,
    /// The label of `rejected`.
    reason: &'static str,
    retry_after: Option<Duration>,
}

const fn answer(status: u16, reason: &'static str) -> Answer {
    Answer {
        status,
        reason,
        retry_after: None,
    }
}

const fn busy(status: u16, reason: &'static str, seconds: u64) -> Answer {
    Answer {
        status,
        reason,
        retry_after: Some(Duration::from_secs(seconds)),
    }
}

impl Error {
    /// A short name of the kind of failure, for metrics.
    pub(crate) fn reason(&self) -> &'static str {
        self.answer().reason
    }

    fn answer(&self) -> Answer {
        match self {
            Self::NoSuchPath { .. } => answer(404, "no_such_path"),
            Self::MethodNotAllowed { .. } => answer(405, "method"),
            Self::NoVerb { .. } => answer(400, "path"),
            Self::NotImplemented { .. } => answer(501, "not_implemented"),
            Self::Path(PathError::Shape) => answer(404, "path"),
            Self::Path(_) => answer(400, "path"),
            Self::NotServed(error) => of_not_served(error),
            Self::Full(_) => busy(503, "in_flight", 1),
            Self::Body(error) => of_body(error),
            Self::Json(error) => match error.kind() {
                JsonErrorKind::Invalid => answer(400, "json"),
                JsonErrorKind::TooLarge => answer(413, "json_too_large"),
            },
            Self::SignatureName { .. } => answer(400, "signature_name"),
            Self::Encode(_) => answer(500, "encode"),
            Self::Line(error) => of_line(error),
            Self::Failed { status, .. } => of_status(*status),
            Self::BadReply(_) => answer(502, "bad_reply"),
            Self::Worker => answer(500, "internal"),
        }
    }

    fn allow(&self) -> Option<&'static str> {
        match self {
            Self::MethodNotAllowed { allow, .. } => Some(allow),
            _ => None,
        }
    }
}

fn of_not_served(error: &NotServed) -> Answer {
    match error {
        NotServed::UnknownModel { .. }
        | NotServed::UnknownVersion { .. }
        | NotServed::UnknownLabel { .. } => answer(404, "unknown_model"),
        NotServed::NotRead => busy(503, "not_ready", 5),
        NotServed::NoReplica { .. } | NotServed::Nothing => busy(503, "not_served", 5),
        NotServed::Ambiguous { .. } => answer(400, "ambiguous_model"),
    }
}

fn of_body(error: &BodyError) -> Answer {
    match error {
        BodyError::TooLarge { .. } => answer(413, "body_too_large"),
        BodyError::TooManyPieces { .. } => answer(413, "body_pieces"),
        BodyError::Stalled { .. } => answer(408, "body_stalled"),
        BodyError::Broken { .. } => answer(400, "body_broken"),
        BodyError::Full(_) => busy(503, "in_flight", 1),
        BodyError::ContentType { .. } => answer(415, "content_type"),
        BodyError::ContentEncoding { .. } => answer(415, "content_encoding"),
        BodyError::Expectation { .. } => answer(417, "expectation"),
    }
}

fn of_line(error: &LineError) -> Answer {
    match error {
        LineError::NotReady => busy(503, "not_ready", 5),
        LineError::Busy => busy(503, "producer_busy", 1),
        LineError::TooLarge { .. } => answer(413, "record_too_large"),
        LineError::Undelivered { .. } | LineError::NotSent { .. } => busy(503, "undelivered", 5),
        LineError::Refused { .. } => busy(503, "refused_by_producer", 5),
        LineError::TimedOut { .. } => answer(504, "timed_out"),
        LineError::Stopping => busy(503, "stopping", 1),
    }
}

/// The status comes from the fixed table of codes, never from the record's text.
fn of_status(status: Status) -> Answer {
    let retry_after = match status {
        Status::ResourceExhausted | Status::Unavailable => Some(Duration::from_secs(1)),
        _ => None,
    };
    Answer {
        status: status.http_status(),
        reason: "infer",
        retry_after,
    }
}

impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.answer().status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        if let Some(retry_after) = self.answer().retry_after {
            response.insert_header((header::RETRY_AFTER, retry_after.as_secs().to_string()));
        }
        if let Some(allow) = self.allow() {
            response.insert_header((header::ALLOW, allow));
        }
        response.insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"));
        response
            .content_type("application/json")
            .body(json::error_body(&self.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The body of an answer that says `sentence`.
    fn body_of(sentence: &str) -> Vec<u8> {
        let failed = Error::Failed {
            status: Status::Internal,
            sentence: sentence.to_owned(),
        };
        let body = failed.error_response().into_body();
        actix_web::body::MessageBody::try_into_bytes(body)
            .unwrap()
            .to_vec()
    }

    #[test]
    fn a_body_is_json_whatever_the_sentence() {
        for sentence in [
            "",
            "plain",
            "a\"b\\c",
            "\u{0}\u{1b}[31m\n",
            "<script>&",
            "ü…\u{2028}",
        ] {
            let body = body_of(sentence);
            let parsed: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(parsed["error"], sentence);
            assert!(!body.iter().any(u8::is_ascii_control), "{body:?}");
        }
    }

    #[test]
    fn a_sentence_of_any_length_fits_512_bytes() {
        for long in [
            "x".repeat(1 << 20),
            "\u{0}".repeat(4096),
            "\u{10ffff}".repeat(4096),
        ] {
            let body = body_of(&long);
            assert!(body.len() <= 512, "{}", body.len());
            serde_json::from_slice::<serde_json::Value>(&body).unwrap();
        }
    }

    fn check(error: impl Into<Error>, status: u16, retry_after: Option<&str>) {
        let response = error.into().error_response();
        assert_eq!(response.status().as_u16(), status);
        let given = response.headers().get(header::RETRY_AFTER);
        assert_eq!(given.map(|value| value.to_str().unwrap()), retry_after);
    }

    #[test]
    fn each_kind_of_failure_has_its_status() {
        check(PathError::NoModel, 400, None);
        check(PathError::Shape, 404, None);
        check(
            BodyError::TooLarge {
                limit_bytes: 1,
                announced_bytes: None,
            },
            413,
            None,
        );
        check(BodyError::Stalled { received_bytes: 1 }, 408, None);
        check(Full::Requests { limit: 1 }, 503, Some("1"));
        check(NotServed::Nothing, 503, Some("5"));
        check(LineError::Busy, 503, Some("1"));
        check(BadReply::NoValue, 502, None);
    }

    #[test]
    fn the_code_of_infer_decides_the_status() {
        let failed = |status| Error::Failed {
            status,
            sentence: "x".into(),
        };
        check(failed(Status::InvalidArgument), 400, None);
        check(failed(Status::DeadlineExceeded), 504, None);
        check(failed(Status::Internal), 500, None);
        check(failed(Status::ResourceExhausted), 429, Some("1"));
        check(failed(Status::Unavailable), 503, Some("1"));
    }

    #[test]
    fn a_refused_method_is_told_which_one_is_allowed() {
        let error = Error::MethodNotAllowed {
            method: "GET".into(),
            allow: "POST",
        };
        let response = error.error_response();
        assert_eq!(response.headers().get(header::ALLOW).unwrap(), "POST");
    }
}
