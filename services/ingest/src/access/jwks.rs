//! The keys that tokens are verified with: a JSON Web Key Set (RFC 7517).
//!
//! The key decides the algorithm, never the token, so that no token can have
//! an RSA key taken for the secret of an HMAC.

use std::collections::HashMap;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::Value;

/// Fewer bits than 2048 can be factored by those who can afford it.
const MIN_RSA_MODULUS_BASE64: usize = 342;

/// Why a key set cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JwksError {
    #[error("line {line} is not understood; a JSON Web Key Set is {{\"keys\": […]}}")]
    Syntax { line: usize },
    #[error(
        "key {kid:?} is private or symmetric; a key set for verification holds public keys only"
    )]
    Secret { kid: String },
    #[error("key {kid:?} is not understood; RSA of at least 2048 bits, P-256 and Ed25519 are")]
    Key { kid: String },
    #[error("kid {kid:?} stands twice")]
    KidTwice { kid: String },
    #[error("has no key for RS256, ES256 or EdDSA with a kid")]
    Empty,
}

/// A public key and the only algorithm it is used with.
pub(crate) struct VerifyingKey {
    pub(crate) key: DecodingKey,
    pub(crate) algorithm: Algorithm,
}

/// All usable keys, by their `kid`.
pub(crate) struct Jwks {
    keys: HashMap<String, VerifyingKey>,
}

impl Jwks {
    /// Reads a key set. Keys for encryption, without `kid` or of other
    /// algorithms are left out, as RFC 7517 wants it.
    ///
    /// # Errors
    /// [`JwksError`]: also for a private key, which should lie elsewhere.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, JwksError> {
        let syntax = |error: serde_json::Error| JwksError::Syntax { line: error.line() };
        let mut set: Value = serde_json::from_slice(bytes).map_err(syntax)?;
        let Some(Value::Array(entries)) = set.get_mut("keys").map(Value::take) else {
            return Err(JwksError::Syntax { line: 1 });
        };
        let mut keys = HashMap::new();
        for entry in entries {
            let kid = entry.get("kid").and_then(Value::as_str).unwrap_or_default();
            let kid: String = kid.chars().take(64).collect();
            if ["d", "k", "p", "q"]
                .iter()
                .any(|secret| entry.get(secret).is_some())
            {
                return Err(JwksError::Secret { kid });
            }
            let Some(key) = verifying_key(entry, &kid)? else {
                continue;
            };
            if keys.insert(kid.clone(), key).is_some() {
                return Err(JwksError::KidTwice { kid });
            }
        }
        match keys.is_empty() {
            true => Err(JwksError::Empty),
            false => Ok(Self { keys }),
        }
    }

    /// The key of this name.
    pub(crate) fn get(&self, kid: &str) -> Option<&VerifyingKey> {
        self.keys.get(kid)
    }
}

/// `None` for a key that is not for us.
fn verifying_key(entry: Value, kid: &str) -> Result<Option<VerifyingKey>, JwksError> {
    let broken = || JwksError::Key {
        kid: kid.to_owned(),
    };
    let known = entry.get("kty").and_then(Value::as_str);
    if kid.is_empty() || !matches!(known, Some("RSA" | "EC" | "OKP")) {
        return Ok(None);
    }
    let jwk: Jwk = serde_json::from_value(entry).map_err(|_| broken())?;
    let (algorithm, name) = match &jwk.algorithm {
        AlgorithmParameters::RSA(rsa) if rsa.n.len() >= MIN_RSA_MODULUS_BASE64 => {
            (Algorithm::RS256, KeyAlgorithm::RS256)
        }
        AlgorithmParameters::RSA(_) => return Err(broken()),
        AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P256 => {
            (Algorithm::ES256, KeyAlgorithm::ES256)
        }
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => {
            (Algorithm::EdDSA, KeyAlgorithm::EdDSA)
        }
        _ => return Ok(None),
    };
    let common = &jwk.common;
    let signs = matches!(common.public_key_use, None | Some(PublicKeyUse::Signature));
    if !signs || common.key_algorithm.is_some_and(|given| given != name) {
        return Ok(None);
    }
    let key = DecodingKey::from_jwk(&jwk).map_err(|_| broken())?;
    Ok(Some(VerifyingKey { key, algorithm }))
}
