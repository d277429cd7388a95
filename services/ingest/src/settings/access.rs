//! The sections `access` and `control`: who may ask for what.

use std::path::PathBuf;
use std::time::Duration;

use millrace_boot::{InvalidSetting, Validate};
use serde::{Deserialize, Serialize};

use super::rules::not_zero;

/// The section `access`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccessSettings {
    /// Whether every request needs credentials. Unset: when `api_keys` or
    /// `jwks` is set. False with one of them lets callers without credentials
    /// predict and read; wrong credentials are refused all the same.
    pub required: Option<bool>,
    /// TOML file of API keys, each by its SHA-256; read again when it changes.
    pub api_keys: Option<PathBuf>,
    /// JSON Web Key Set that tokens are verified with; read again when it changes.
    pub jwks: Option<PathBuf>,
    /// What a token must say.
    pub jwt: JwtSettings,
    /// Whether a model that the caller may not use is answered like one that does not exist.
    pub conceal_models: bool,
    /// Whether `/metrics` is answered without credentials.
    pub open_metrics: bool,
    /// How often the files of `tls` and `access` are looked at.
    #[serde(with = "humantime_serde")]
    pub reload_interval: Duration,
}

/// The section `access.jwt`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JwtSettings {
    /// The only accepted `iss`; needed with `access.jwks`.
    pub issuer: Option<String>,
    /// What `aud` must name; needed with `access.jwks`.
    pub audience: Option<String>,
    /// How far the clocks of issuer and ingest may be apart.
    #[serde(with = "humantime_serde")]
    pub leeway: Duration,
    /// The claim with the models, a list of patterns or one text with spaces between them.
    pub models_claim: String,
    /// What the scopes that concern us begin with; the rest is a right, or `right:pattern`.
    pub scope_prefix: String,
}

/// The section `control`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ControlSettings {
    /// Whether callers may change what is served: load and unload models.
    pub enabled: bool,
    /// How long a caller waits for all replicas to have done it; past it the
    /// answer is 504, and they go on.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
}

impl Default for ControlSettings {
    fn default() -> Self {
        Self {
            enabled: false,
            timeout: Duration::from_secs(120),
        }
    }
}

impl Validate for ControlSettings {
    fn validate(&self) -> Result<(), InvalidSetting> {
        not_zero("control.timeout", self.timeout)
    }
}

impl Default for AccessSettings {
    fn default() -> Self {
        Self {
            required: None,
            api_keys: None,
            jwks: None,
            jwt: JwtSettings::default(),
            conceal_models: false,
            open_metrics: true,
            reload_interval: Duration::from_secs(3),
        }
    }
}

impl Default for JwtSettings {
    fn default() -> Self {
        Self {
            issuer: None,
            audience: None,
            leeway: Duration::from_secs(30),
            models_claim: "models".to_owned(),
            scope_prefix: "millrace:".to_owned(),
        }
    }
}

impl AccessSettings {
    /// Whether callers without credentials are turned away.
    pub(crate) fn needs_credentials(&self) -> bool {
        self.required.unwrap_or_else(|| self.knows_anybody())
    }

    fn knows_anybody(&self) -> bool {
        self.api_keys.is_some() || self.jwks.is_some()
    }
}

impl Validate for AccessSettings {
    fn validate(&self) -> Result<(), InvalidSetting> {
        let broken = |key: &str, problem: &str| Err(InvalidSetting::new(key, problem));
        if self.required == Some(true) && !self.knows_anybody() {
            let problem = "is true, but neither access.api_keys nor access.jwks is set";
            return broken("access.required", problem);
        }
        let unset = |text: &Option<String>| text.as_ref().is_none_or(String::is_empty);
        if self.jwks.is_some() && unset(&self.jwt.issuer) {
            return broken("access.jwt.issuer", "is not set, but access.jwks is");
        }
        if self.jwks.is_some() && unset(&self.jwt.audience) {
            return broken("access.jwt.audience", "is not set, but access.jwks is");
        }
        if self.jwt.models_claim.is_empty() {
            return broken("access.jwt.models_claim", "is empty");
        }
        not_zero("access.reload_interval", self.reload_interval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(change: impl FnOnce(&mut AccessSettings), key: Option<&str>) {
        let mut settings = AccessSettings::default();
        change(&mut settings);
        let refused = settings.validate().err().map(|error| error.key);
        assert_eq!(refused.as_deref(), key);
    }

    #[test]
    fn access_that_nobody_could_get_is_refused() {
        check(|it| it.required = Some(true), Some("access.required"));
        check(|it| it.required = Some(false), None);
        check(|it| it.api_keys = Some("keys.toml".into()), None);
    }

    #[test]
    fn tokens_need_an_issuer_and_an_audience() {
        let with_keys = |it: &mut AccessSettings| it.jwks = Some("jwks.json".into());
        check(with_keys, Some("access.jwt.issuer"));
        let with_issuer = |it: &mut AccessSettings| {
            with_keys(it);
            it.jwt.issuer = Some("https://issuer".into());
        };
        check(with_issuer, Some("access.jwt.audience"));
        let with_both = |it: &mut AccessSettings| {
            with_issuer(it);
            it.jwt.audience = Some("millrace".into());
        };
        check(with_both, None);
    }

    #[test]
    fn a_file_of_credentials_makes_them_required() {
        let mut settings = AccessSettings::default();
        assert!(!settings.needs_credentials());
        settings.api_keys = Some("keys.toml".into());
        assert!(settings.needs_credentials());
        settings.required = Some(false);
        assert!(!settings.needs_credentials());
    }
}
