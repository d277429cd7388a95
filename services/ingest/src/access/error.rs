//! Why a caller is turned away. No sentence repeats a credential, or says
//! which part of one was wrong.

use std::sync::Arc;

use millrace_wire::Status;

use super::permissions::Right;

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
    /// The label of `rejected`.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Missing => "credentials_missing",
            Self::Malformed => "credentials_malformed",
            Self::Unknown => "credentials",
            Self::Expired | Self::TooEarly => "credentials_expired",
            Self::Forbidden { .. } => "forbidden",
            Self::ControlOff => "control_off",
        }
    }

    /// 401, or 403 for a caller who is known.
    pub(crate) fn http_status(&self) -> u16 {
        match self {
            Self::Forbidden { .. } | Self::ControlOff => 403,
            _ => 401,
        }
    }

    /// The code of gRPC.
    pub(crate) fn grpc(&self) -> Status {
        match self {
            Self::Forbidden { .. } | Self::ControlOff => Status::PermissionDenied,
            _ => Status::Unauthenticated,
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
