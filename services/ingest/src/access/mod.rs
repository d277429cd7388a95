//! Who may ask: TLS, API keys, tokens, and what each caller may do.
//!
//! Authentication happens once per request, before its body is read; the
//! permission for a model is asked by `front`, before anything is looked up.

mod credentials;
mod error;
mod jwks;
mod keys;
mod own;
mod permissions;
pub(crate) mod tls;
mod token;
mod watch;

use std::sync::Arc;

pub(crate) use credentials::{AUTHORIZATION, Presented, X_API_KEY};
pub(crate) use error::AccessError;
pub use own::ask_ready;
pub(crate) use permissions::{Caller, Right};
pub(crate) use watch::{FileError, Watch, Watcher};

use crate::settings::{AccessSettings, ControlSettings};
use jwks::Jwks;
use keys::KeyRing;
use token::TokenRules;
use watch::Watched;

/// Knows the callers; cheap to clone.
#[derive(Clone)]
pub(crate) struct Access {
    shared: Arc<Shared>,
}

struct Shared {
    required: bool,
    keys: Option<Watched<KeyRing>>,
    tokens: Option<(Watched<Jwks>, TokenRules)>,
    anonymous: Caller,
    conceals: bool,
    control: bool,
    open_metrics: bool,
}

impl Access {
    /// Reads the files of credentials that the settings name.
    ///
    /// # Errors
    /// When one cannot be used.
    pub(crate) fn open(
        settings: &AccessSettings,
        control: &ControlSettings,
        watcher: &mut Watcher,
    ) -> Result<Self, FileError> {
        let mut keys = None;
        if let Some(path) = &settings.api_keys {
            let parse = |[file]: &[Vec<u8>; 1]| Ok(KeyRing::parse(file)?);
            keys = Some(watcher.follow("access.api_keys", [path.clone()], parse)?);
        }
        let mut tokens = None;
        if let Some(path) = &settings.jwks {
            let parse = |[file]: &[Vec<u8>; 1]| Ok(Jwks::parse(file)?);
            let jwks = watcher.follow("access.jwks", [path.clone()], parse)?;
            tokens = Some((jwks, TokenRules::of(&settings.jwt)));
        }
        // Where callers are known, one that nobody knows does not control.
        let anonymous = match keys.is_some() || tokens.is_some() {
            true => Caller::anonymous().without(Right::Control),
            false => Caller::anonymous(),
        };
        let shared = Shared {
            required: settings.needs_credentials(),
            keys,
            tokens,
            anonymous,
            conceals: settings.conceal_models,
            control: control.enabled,
            open_metrics: settings.open_metrics,
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Who sends a request with these credentials.
    ///
    /// # Errors
    /// Any of [`AccessError`] that is a 401.
    pub(crate) fn authenticate(
        &self,
        presented: Result<Option<Presented<'_>>, AccessError>,
    ) -> Result<Caller, AccessError> {
        let shared = &*self.shared;
        if !shared.required && shared.keys.is_none() && shared.tokens.is_none() {
            // Nobody is known, so whatever is sent is meant for somebody in front of us.
            return Ok(shared.anonymous.clone());
        }
        let Some(presented) = presented? else {
            return match shared.required {
                true => Err(AccessError::Missing),
                false => Ok(shared.anonymous.clone()),
            };
        };
        if presented.is_token() {
            let (keys, rules) = shared.tokens.as_ref().ok_or(AccessError::Unknown)?;
            return rules.verify(presented.secret(), &keys.get());
        }
        let keys = shared.keys.as_ref().ok_or(AccessError::Unknown)?;
        keys.get().find(presented).ok_or(AccessError::Unknown)
    }

    /// Whether the caller may do this with the model, whether or not there is
    /// such a model.
    ///
    /// # Errors
    /// `Forbidden`, and `ControlOff` for everybody while control is off.
    pub(crate) fn permit(
        &self,
        caller: &Caller,
        right: Right,
        model: &str,
    ) -> Result<(), AccessError> {
        if right == Right::Control {
            self.check_control()?;
        }
        if caller.may(right, model) {
            return Ok(());
        }
        Err(AccessError::Forbidden {
            caller: caller.name().into(),
            right,
            model: model.chars().take(64).collect(),
        })
    }

    /// Whether anything may be changed from outside, by anybody.
    ///
    /// # Errors
    /// `ControlOff`
    pub(crate) fn check_control(&self) -> Result<(), AccessError> {
        match self.shared.control {
            true => Ok(()),
            false => Err(AccessError::ControlOff),
        }
    }

    /// Whether `/metrics` is answered to everybody.
    pub(crate) fn opens_metrics(&self) -> bool {
        self.shared.open_metrics || !self.shared.required
    }

    /// Whether a forbidden model must look like one that does not exist.
    pub(crate) fn conceals_models(&self) -> bool {
        self.shared.conceals
    }
}

#[cfg(test)]
mod tests;
