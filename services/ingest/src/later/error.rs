//! What can go wrong with requests that are answered later or sent twice.

use std::time::Duration;

use millrace_wire::Status;

use crate::front::Error;
use crate::front::error::Kind;

use super::archive::ArchiveError;
use super::claims::ClaimError;
use super::wish::BadWish;

/// Why there is no answer to fetch, or why a request is not sent again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LaterError {
    #[error(transparent)]
    Wish(#[from] BadWish),
    #[error("no such path: expected /v1/results/MODEL/ID, as in the Location of a 202")]
    Path,
    #[error("the id in the path is none that was given out: use the Location of a 202 as it is")]
    Malformed,
    #[error(
        "the names of the outputs and the id are too long to be part of a Location: name fewer \
         outputs, or none, or ask without respond-async"
    )]
    TooManyOutputs,
    #[error("there is no such request")]
    Unknown,
    #[error("the result is not kept any more")]
    Expired,
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error("Idempotency-Key is missing: this line wants one with every request")]
    KeyMissing,
    #[error("this Idempotency-Key was used with another request before")]
    KeyReused,
    #[error("the request with this Idempotency-Key is still being worked on")]
    StillRunning,
    #[error(transparent)]
    Claim(#[from] ClaimError),
}

impl LaterError {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Wish(BadWish::Wait { .. }) => Kind::invalid("wait"),
            Self::Wish(_) => Kind::invalid("idempotency_key"),
            Self::Path => Kind::new(Status::NotFound, "no_such_path"),
            Self::TooManyOutputs => Kind::invalid("oip"),
            Self::Malformed => Kind::invalid("result_id"),
            Self::Unknown => Kind::new(Status::NotFound, "unknown_result"),
            Self::Expired => Kind::new(Status::NotFound, "expired_result").over_http(410),
            Self::Archive(error) => match error {
                ArchiveError::Busy | ArchiveError::Waiting { .. } => Kind::busy("results_busy", 1),
                ArchiveError::Kafka(_) | ArchiveError::Slow => Kind::busy("results_unreadable", 5),
                ArchiveError::Stopping => Kind::busy("stopping", 1),
            },
            Self::KeyMissing => Kind::invalid("idempotency_key"),
            Self::KeyReused => {
                Kind::new(Status::FailedPrecondition, "idempotency_key_reused").over_http(422)
            }
            Self::StillRunning => Kind::new(Status::Aborted, "idempotency_key_running")
                .over_http(409)
                .again_after(Duration::from_secs(1)),
            Self::Claim(_) => Kind::busy("idempotency_keys", 1),
        }
    }
}

impl From<BadWish> for Error {
    fn from(error: BadWish) -> Self {
        Self::Later(error.into())
    }
}

impl From<ArchiveError> for Error {
    fn from(error: ArchiveError) -> Self {
        Self::Later(error.into())
    }
}

impl From<ClaimError> for Error {
    fn from(error: ClaimError) -> Self {
        Self::Later(error.into())
    }
}
