//! JSON Web Tokens (RFC 7519): who signed them, for whom, until when, and what
//! they grant.

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Validation, decode, decode_header};
use serde_json::{Map, Value};

use super::error::AccessError;
use super::jwks::Jwks;
use super::permissions::{Caller, Grant, Pattern, Right};
use crate::settings::JwtSettings;

/// What a token must say, and how its claims are read.
pub(crate) struct TokenRules {
    issuer: String,
    audience: String,
    leeway_seconds: u64,
    models_claim: String,
    scope_prefix: String,
}

impl TokenRules {
    /// The rules of these settings, which have been checked.
    pub(crate) fn of(settings: &JwtSettings) -> Self {
        Self {
            issuer: settings.issuer.clone().unwrap_or_default(),
            audience: settings.audience.clone().unwrap_or_default(),
            leeway_seconds: settings.leeway.as_secs(),
            models_claim: settings.models_claim.clone(),
            scope_prefix: settings.scope_prefix.clone(),
        }
    }

    /// The caller that a token speaks for.
    ///
    /// # Errors
    /// `Expired`, `TooEarly`, and `Unknown` for everything else that is wrong.
    pub(crate) fn verify(&self, token: &str, keys: &Jwks) -> Result<Caller, AccessError> {
        let header = decode_header(token).map_err(|_| AccessError::Unknown)?;
        // "crit" names extensions that must be understood; we understand none.
        if header.crit.is_some() {
            return Err(AccessError::Unknown);
        }
        let kid = header.kid.ok_or(AccessError::Unknown)?;
        let key = keys.get(&kid).ok_or(AccessError::Unknown)?;
        let mut rules = Validation::new(key.algorithm);
        rules.leeway = self.leeway_seconds;
        rules.validate_nbf = true;
        rules.set_issuer(&[&self.issuer]);
        rules.set_audience(&[&self.audience]);
        rules.set_required_spec_claims(&["exp", "iss", "aud"]);
        let decoded = decode::<Map<String, Value>>(token, &key.key, &rules);
        let claims = decoded.map_err(|error| why(error.kind()))?.claims;
        Ok(Caller::known(&name_of(&claims), self.grants_of(&claims)))
    }

    /// `prefix + right` grants a right for the models of the models claim,
    /// `prefix + right:pattern` for those of the pattern. A models claim
    /// without any scope of ours grants predict and read.
    fn grants_of(&self, claims: &Map<String, Value>) -> Vec<Grant> {
        let models = words(claims.get(&self.models_claim));
        let models: Vec<Pattern> = models.iter().filter_map(|it| Pattern::parse(it)).collect();
        let mut scopes = words(claims.get("scope"));
        scopes.extend(words(claims.get("scp")));
        let ours: Vec<&str> = scopes
            .iter()
            .filter_map(|scope| scope.strip_prefix(&*self.scope_prefix))
            .collect();
        if ours.is_empty() {
            let grant = |right| Grant {
                right,
                models: models.clone(),
            };
            return [Right::Predict, Right::Read].map(grant).into();
        }
        let mut grants = Vec::new();
        for scope in ours {
            let (right, pattern) = scope
                .split_once(':')
                .map_or((scope, None), |(right, pattern)| (right, Some(pattern)));
            let Some(right) = Right::parse(right) else {
                continue;
            };
            let models = match pattern {
                Some(pattern) => Pattern::parse(pattern).into_iter().collect(),
                None => models.clone(),
            };
            grants.push(Grant { right, models });
        }
        grants
    }
}

fn why(kind: &ErrorKind) -> AccessError {
    match kind {
        ErrorKind::ExpiredSignature => AccessError::Expired,
        ErrorKind::ImmatureSignature => AccessError::TooEarly,
        _ => AccessError::Unknown,
    }
}

/// The subject, shortened and cleaned: it goes into logs and sentences.
fn name_of(claims: &Map<String, Value>) -> String {
    let named = ["sub", "client_id"]
        .iter()
        .find_map(|key| claims.get(*key)?.as_str());
    let visible = named
        .unwrap_or("unnamed")
        .chars()
        .filter(char::is_ascii_graphic);
    visible.take(64).collect()
}

/// A list of texts, or one text with spaces between its words.
fn words(claim: Option<&Value>) -> Vec<String> {
    match claim {
        Some(Value::String(text)) => text
            .split(' ')
            .filter(|it| !it.is_empty())
            .map(str::to_owned)
            .collect(),
        Some(Value::Array(items)) => items
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
        _ => Vec::new(),
    }
}
