//! Everything that can keep a caller from an answer, in the words of every protocol.
//!
//! `Display` is the sentence, [`Error::kind`] the rest. `docs/errors.md` is
//! the table of them.

use std::time::Duration;

use millrace_wire::Status;
use millrace_wire::json;

use crate::access::AccessError;
use crate::arrow_body::ArrowError;
use crate::console::ConsoleError;
use crate::grpc::GrpcError;
use crate::http::HttpError;
use crate::later::LaterError;
use crate::oip::OipError;
use crate::tensorflow::TensorflowError;

use super::admission::Full;
use super::catalog::NotServed;
use super::control::ControlError;
use super::head::BadTimeout;
use super::large::LargeError;
use super::line::LineError;
use super::overload::Behind;
use super::rate::TooOften;

/// Why a caller gets no prediction. A protocol adds a variant around its own
/// enum for what only it can be asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error(transparent)]
    Grpc(#[from] GrpcError),
    #[error(transparent)]
    Access(#[from] AccessError),
    #[error(transparent)]
    Tensorflow(#[from] TensorflowError),
    #[error(transparent)]
    Later(#[from] LaterError),
    #[error(transparent)]
    Oip(#[from] OipError),
    #[error(transparent)]
    Arrow(#[from] ArrowError),
    #[error(transparent)]
    Console(#[from] ConsoleError),
    #[error(transparent)]
    Timeout(#[from] BadTimeout),
    #[error("the time that the caller gave, {} ms, was over before the request was read", .timeout.as_millis())]
    Expired { timeout: Duration },
    #[error(transparent)]
    NotServed(#[from] NotServed),
    #[error(transparent)]
    Control(#[from] ControlError),
    #[error(transparent)]
    Full(#[from] Full),
    #[error(transparent)]
    TooOften(#[from] TooOften),
    #[error(transparent)]
    Behind(#[from] Behind),
    #[error("request cannot be encoded")]
    Encode(#[source] millrace_wire::EncodeError),
    #[error(transparent)]
    Large(#[from] LargeError),
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
    #[error("it does not say which version answered")]
    NoVersion,
    #[error("{0}")]
    Outputs(#[source] json::WriteError),
}

/// How an error looks from outside, besides its sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind {
    http_status: u16,
    grpc: Status,
    reason: &'static str,
    retry_after: Option<Duration>,
}

impl Kind {
    /// The kind of a gRPC status; over HTTP it is what TensorFlow Serving
    /// answers for that. `reason` is the label of the metric `rejected`.
    pub(crate) fn new(grpc: Status, reason: &'static str) -> Self {
        Self {
            http_status: grpc.http_status(),
            grpc,
            reason,
            retry_after: None,
        }
    }

    /// A fault of the request.
    pub(crate) fn invalid(reason: &'static str) -> Self {
        Self::new(Status::InvalidArgument, reason)
    }

    /// A state that passes: the caller may try again after so many seconds.
    pub(crate) fn busy(reason: &'static str, seconds: u64) -> Self {
        Self {
            retry_after: Some(Duration::from_secs(seconds)),
            ..Self::new(Status::Unavailable, reason)
        }
    }

    /// The same, and the caller may try again after that time.
    pub(crate) fn again_after(self, retry_after: Duration) -> Self {
        Self {
            retry_after: Some(retry_after),
            ..self
        }
    }

    /// The same with a status that HTTP has and gRPC has not.
    pub(crate) fn over_http(self, http_status: u16) -> Self {
        Self {
            http_status,
            ..self
        }
    }
}

impl Error {
    /// A short name of the kind of failure, for metrics.
    pub(crate) fn reason(&self) -> &'static str {
        self.kind().reason
    }

    /// The status over HTTP.
    pub(crate) fn http_status(&self) -> u16 {
        self.kind().http_status
    }

    /// The status over gRPC.
    pub(crate) fn grpc(&self) -> Status {
        self.kind().grpc
    }

    /// When to try again, where that may help.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        self.kind().retry_after
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Http(error) => error.kind(),
            Self::Grpc(error) => error.kind(),
            Self::Access(error) => error.kind(),
            Self::Tensorflow(error) => error.kind(),
            Self::Later(error) => error.kind(),
            Self::Oip(error) => error.kind(),
            Self::Arrow(error) => error.kind(),
            Self::Console(error) => error.kind(),
            Self::Timeout(_) => Kind::invalid("timeout"),
            Self::Expired { .. } => Kind::new(Status::DeadlineExceeded, "timed_out"),
            Self::NotServed(error) => of_not_served(error),
            Self::Control(error) => error.kind(),
            Self::Full(_) => Kind::busy("in_flight", 1),
            Self::TooOften(error) => Kind::new(Status::ResourceExhausted, "rate")
                .over_http(429)
                .again_after(error.retry_after),
            Self::Behind(_) => {
                Kind::new(Status::Unavailable, "lag").again_after(Behind::RETRY_AFTER)
            }
            Self::Encode(_) => Kind::new(Status::Internal, "encode"),
            Self::Large(error) => error.kind(),
            Self::Line(error) => of_line(error),
            Self::Failed { status, .. } => of_status(*status),
            Self::BadReply(_) => Kind::new(Status::Internal, "bad_reply").over_http(502),
            Self::Worker => Kind::new(Status::Internal, "internal"),
        }
    }
}

fn of_not_served(error: &NotServed) -> Kind {
    match error {
        NotServed::UnknownModel { .. }
        | NotServed::UnknownVersion { .. }
        | NotServed::UnknownLabel { .. }
        | NotServed::Unloaded { .. } => Kind::new(Status::NotFound, "unknown_model"),
        NotServed::NotRead => Kind::busy("not_ready", 5),
        NotServed::NoReplica { .. } | NotServed::Nothing => Kind::busy("not_served", 5),
        NotServed::Ambiguous { .. } => Kind::invalid("ambiguous_model"),
    }
}

fn of_line(error: &LineError) -> Kind {
    match error {
        LineError::NotReady => Kind::busy("not_ready", 5),
        LineError::Busy => Kind::busy("producer_busy", 1),
        LineError::TooLarge { .. } => Kind::invalid("record_too_large").over_http(413),
        LineError::Undelivered { .. } | LineError::NotSent { .. } => Kind::busy("undelivered", 5),
        LineError::Refused { .. } => Kind::busy("refused_by_producer", 5),
        LineError::TimedOut { .. } => Kind::new(Status::DeadlineExceeded, "timed_out"),
        LineError::Stopping => Kind::busy("stopping", 1),
    }
}

/// The status comes from the fixed table of codes, never from the record's text.
fn of_status(status: Status) -> Kind {
    let retry_after = match status {
        Status::ResourceExhausted | Status::Unavailable => Some(Duration::from_secs(1)),
        _ => None,
    };
    Kind {
        retry_after,
        ..Kind::new(status, "infer")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(error: impl Into<Error>, http_status: u16, grpc: Status, retry_after: Option<u64>) {
        let error = error.into();
        assert_eq!((error.http_status(), error.grpc()), (http_status, grpc));
        let seconds = error.retry_after().map(|it| it.as_secs());
        assert_eq!(seconds, retry_after);
    }

    #[test]
    fn each_kind_of_failure_has_its_status() {
        let full = Full::Requests { limit: 1 };
        check(full, 503, Status::Unavailable, Some(1));
        check(NotServed::Nothing, 503, Status::Unavailable, Some(5));
        check(LineError::Busy, 503, Status::Unavailable, Some(1));
        check(BadReply::NoValue, 502, Status::Internal, None);
        let expired = Error::Expired {
            timeout: Duration::ZERO,
        };
        check(expired, 504, Status::DeadlineExceeded, None);
    }

    #[test]
    fn the_code_of_infer_decides_the_status() {
        let check = |status, http_status, retry_after| {
            let sentence = "x".to_owned();
            check(
                Error::Failed { status, sentence },
                http_status,
                status,
                retry_after,
            );
        };
        check(Status::InvalidArgument, 400, None);
        check(Status::DeadlineExceeded, 504, None);
        check(Status::Internal, 500, None);
        check(Status::ResourceExhausted, 429, Some(1));
        check(Status::Unavailable, 503, Some(1));
    }
}
