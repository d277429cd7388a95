//! What only a gRPC caller can do wrong, and how every error looks to him.

use millrace_wire::protobuf::{ProtobufError, ProtobufErrorKind};
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

use crate::front::Error;
use crate::front::error::Kind;

use super::timeout::BadGrpcTimeout;

/// Why a call is refused that no other protocol has.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GrpcError {
    #[error(transparent)]
    Message(#[from] ProtobufError),
    #[error(transparent)]
    Timeout(#[from] BadGrpcTimeout),
    #[error("request message is larger than the limit of {limit_bytes} bytes")]
    TooLarge { limit_bytes: usize },
    #[error(
        "request message did not arrive in time: {received_bytes} bytes, then nothing for too long"
    )]
    Stalled { received_bytes: usize },
    #[error("request was not complete within the {} ms that its caller gave", .timeout.as_millis())]
    Expired { timeout: std::time::Duration },
    #[error("model name {given:?} is not a name: letters, digits, '.', '_' and '-' are allowed")]
    ModelName { given: String },
    #[error("model version {given:?} is not a number from 0 to 9223372036854775807")]
    Version { given: String },
    #[error(
        "Serving signature name: {given:?} not found in signature def; expected serving_default"
    )]
    SignatureName { given: String },
    #[error("metadata field {given:?} is not supported: only signature_def is")]
    MetadataField { given: String },
    #[error("all tasks of a MultiInferenceRequest must ask for the same version of one model")]
    Tasks,
    #[error("{what}")]
    Unimplemented { what: &'static str },
    #[error("{what}")]
    Forbidden { what: &'static str },
    #[error("the answer cannot be written: {0}")]
    Answer(#[source] millrace_wire::oip::ResponseError),
    #[error("{message}")]
    Tonic { code: Code, message: String },
}

impl GrpcError {
    pub(crate) fn kind(&self) -> Kind {
        use millrace_wire::Status::{
            DeadlineExceeded, FailedPrecondition, Internal, ResourceExhausted, Unimplemented,
        };
        match self {
            Self::Message(error) => match error.kind() {
                ProtobufErrorKind::Invalid => Kind::invalid("protobuf"),
                ProtobufErrorKind::TooLarge => Kind::new(ResourceExhausted, "protobuf_too_large"),
            },
            Self::Timeout(_) => Kind::invalid("timeout"),
            Self::TooLarge { .. } => Kind::new(ResourceExhausted, "body_too_large"),
            Self::Stalled { .. } => Kind::new(DeadlineExceeded, "body_stalled"),
            Self::Expired { .. } => Kind::new(DeadlineExceeded, "timed_out"),
            Self::ModelName { .. } | Self::Version { .. } => Kind::invalid("path"),
            Self::SignatureName { .. } => Kind::invalid("signature_name"),
            Self::Tasks => Kind::invalid("protobuf"),
            Self::MetadataField { .. } => Kind::invalid("metadata_field"),
            Self::Unimplemented { .. } => Kind::new(Unimplemented, "not_implemented"),
            Self::Forbidden { .. } => Kind::new(FailedPrecondition, "control_disabled"),
            Self::Answer(_) => Kind::new(Internal, "bad_reply"),
            Self::Tonic { code, .. } => Kind::new(wire_status(*code), "grpc"),
        }
    }
}

/// The status with the sentence as its message; where trying again may help, `retry-after` says
/// after how many seconds.
pub(super) fn status_of(error: &Error) -> Status {
    let mut status = Status::new(code_of(error.grpc()), error.to_string());
    if let Some(retry_after) = error.retry_after() {
        let seconds = MetadataValue::from(retry_after.as_secs());
        status.metadata_mut().insert("retry-after", seconds);
    }
    if let Ok(reason) = MetadataValue::try_from(error.reason()) {
        status.metadata_mut().insert(REASON, reason);
    }
    status
}

/// Metadata of a refusal: the short name of its kind, as `docs/errors.md` lists them.
pub(super) const REASON: &str = "mr-reason";

/// The two lists have the same numbers.
pub(super) fn code_of(status: millrace_wire::Status) -> Code {
    let number = millrace_wire::Status::ALL
        .iter()
        .position(|it| *it == status);
    Code::from_i32(number.and_then(|it| i32::try_from(it).ok()).unwrap_or(2))
}

/// The way back.
pub(super) fn wire_status(code: Code) -> millrace_wire::Status {
    let number = usize::try_from(i32::from(code)).unwrap_or(2);
    let found = millrace_wire::Status::ALL.get(number);
    found.copied().unwrap_or(millrace_wire::Status::Unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_code() {
        for status in millrace_wire::Status::ALL {
            assert_eq!(wire_status(code_of(status)), status);
        }
        assert_eq!(
            code_of(millrace_wire::Status::Unauthenticated),
            Code::Unauthenticated
        );
        assert_eq!(
            code_of(millrace_wire::Status::InvalidArgument),
            Code::InvalidArgument
        );
    }
}
