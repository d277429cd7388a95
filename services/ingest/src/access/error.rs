//! Why a caller is turned away. No sentence repeats a credential, or says
//! which part of one was wrong.

use std::sync::Arc;

use millrace_wire::Status;

use super::permissions::Right;
use crate::front::error::Kind;

/// Why a caller is turned away.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AccessError {
    #[error("no credentials were given; send Authorization: Bearer … or X-API-Key: …")]
    Missing,
    #[error("credentials must be given once, as Authorization: Bearer … or as X-API-Key: …")]
    Malformed,
    #[error("credentials are not valid")]
    Unknown,
    #[error("token has expired")]
    Expired,
    #[error("token is not valid yet")]
    TooEarly,
    #[error("caller {caller:?} may not {right} model {model:?}")]
    Forbidden {
        caller: Arc<str>,
        right: Right,
        model: String,
    },
    #[error("control endpoints are off; the setting control.enabled turns them on")]
    ControlOff,
}

impl AccessError {
    /// 401, or 403 for a caller who is known.
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Missing => Kind::new(Status::Unauthenticated, "credentials_missing"),
            Self::Malformed => Kind::new(Status::Unauthenticated, "credentials_malformed"),
            Self::Unknown => Kind::new(Status::Unauthenticated, "credentials"),
            Self::Expired | Self::TooEarly => {
                Kind::new(Status::Unauthenticated, "credentials_expired")
            }
            Self::Forbidden { .. } => Kind::new(Status::PermissionDenied, "forbidden"),
            Self::ControlOff => Kind::new(Status::PermissionDenied, "control_off"),
        }
    }

    /// The value of `WWW-Authenticate` (RFC 6750), which every 401 has.
    pub(crate) fn challenge(&self) -> Option<&'static str> {
        match self {
            Self::Missing => Some(r#"Bearer realm="millrace""#),
            Self::Malformed => Some(r#"Bearer realm="millrace", error="invalid_request""#),
            Self::Unknown | Self::Expired | Self::TooEarly => {
                Some(r#"Bearer realm="millrace", error="invalid_token""#)
            }
            Self::Forbidden { .. } | Self::ControlOff => None,
        }
    }
}
