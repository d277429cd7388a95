//! What files are encrypted with: a text from a file or a setting.

use std::fmt;
use std::fs;
use std::num::NonZeroU32;
use std::path::Path;

use aws_lc_rs::pbkdf2;
use zeroize::Zeroizing;

use crate::VaultError;

/// Shorter texts are guessed.
const SHORTEST: usize = 12;

/// A text that keys of files are derived from. It is wiped from memory when it is dropped, and never shown.
#[derive(Clone)]
pub struct Key(Zeroizing<Vec<u8>>);

impl Key {
    /// Blanks and line ends around it do not count.
    ///
    /// # Errors
    /// [`VaultError::NoKey`] if nothing else is there.
    pub fn new(text: &str) -> Result<Self, VaultError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(VaultError::NoKey);
        }
        Ok(Self(Zeroizing::new(text.as_bytes().to_vec())))
    }

    /// The text of a file.
    ///
    /// # Errors
    /// [`VaultError::KeyFile`], or what [`new`](Self::new) says.
    pub fn read(file: &Path) -> Result<Self, VaultError> {
        let text = fs::read_to_string(file).map_err(|source| VaultError::KeyFile {
            file: file.to_owned(),
            source,
        })?;
        Self::new(&Zeroizing::new(text))
    }

    /// Whether it may protect new files; old ones are read with any.
    pub(crate) fn check_length(&self) -> Result<(), VaultError> {
        match self.0.len() {
            bytes if bytes < SHORTEST => Err(VaultError::ShortKey { bytes }),
            _ => Ok(()),
        }
    }

    /// PBKDF2 with HMAC-SHA-256.
    pub(crate) fn derive(&self, salt: &[u8], iterations: NonZeroU32, key: &mut [u8]) {
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, salt, &self.0, key);
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Key(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_never_shown_and_short_ones_protect_nothing_new() {
        let key = Key::new("correct horse battery\n").unwrap();
        assert_eq!(format!("{key:?}"), "Key(…)");
        assert_eq!(&**key.0, b"correct horse battery");
        let short = Key::new("  short \n").unwrap();
        let error = short.check_length().unwrap_err().to_string();
        assert!(error.contains("5 bytes") && error.contains("12"), "{error}");
        assert!(!error.contains("short"), "{error}");
        assert!(matches!(Key::new(" \n"), Err(VaultError::NoKey)));
    }
}
