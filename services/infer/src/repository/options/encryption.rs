//! `[encryption]`: how files were encrypted that do not say so themselves.

use millrace_boot::InvalidSetting;
use millrace_vault::{ClusterServing, FirstBytes, KeyBits};
use serde::Deserialize;

/// How a model's files were encrypted. Those of `millrace models encrypt` need none of this.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct EncryptionOptions {
    /// Who wrote the files.
    format: Option<Format>,
    /// What was given beside the secret.
    salt: String,
    /// 128 or 256.
    key_bits: Option<u32>,
    /// What the first 16 bytes are.
    vector: Vector,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Format {
    ClusterServing,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Vector {
    /// The file begins with it.
    #[default]
    First,
    /// It is all zeros and not in the file.
    Zero,
}

impl EncryptionOptions {
    pub(super) fn validate(&self) -> Result<(), InvalidSetting> {
        let wrong = |key: &str, problem: String| Err(InvalidSetting::new(key, problem));
        match (self.format, self.key_bits) {
            (_, Some(bits)) if !matches!(bits, 128 | 256) => wrong(
                "encryption.key_bits",
                format!("is {bits}; it must be 128 or 256"),
            ),
            (Some(Format::ClusterServing), _) if self.salt.is_empty() => wrong(
                "encryption.salt",
                "is not set; Cluster Serving's files need the salt that was given beside the secret"
                    .to_owned(),
            ),
            (None, _) if *self != Self::default() => wrong(
                "encryption.format",
                "is not set; write format = \"cluster-serving\"".to_owned(),
            ),
            _ => Ok(()),
        }
    }

    /// The old format that files have, if one was named.
    pub(in crate::repository) fn old_format(&self) -> Option<ClusterServing> {
        let Format::ClusterServing = self.format?;
        Some(ClusterServing {
            salt: self.salt.clone(),
            key_bits: match self.key_bits {
                Some(256) => KeyBits::Bits256,
                Some(_) | None => KeyBits::Bits128,
            },
            first_bytes: match self.vector {
                Vector::First => FirstBytes::Vector,
                Vector::Zero => FirstBytes::Block,
            },
        })
    }
}
