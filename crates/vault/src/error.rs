//! Why something cannot be encrypted or decrypted.

use std::io;
use std::path::PathBuf;

/// Why something cannot be encrypted or decrypted. No message holds any of a key.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The file of the key.
    #[error("cannot read the key file {}", file.display())]
    KeyFile {
        /// Its path.
        file: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// No key at all.
    #[error("the key is empty")]
    NoKey,
    /// A key that protects nothing.
    #[error("the key has {bytes} bytes; it must have at least 12")]
    ShortKey {
        /// Its length without blanks at its ends.
        bytes: usize,
    },
    /// Nothing of it can be decrypted.
    #[error("the key is not the one that it was encrypted with")]
    WrongKey,
    /// The key is right, the content is not.
    #[error("it was changed or cut off after it was encrypted, at about byte {at}")]
    Damaged {
        /// Where, counted in plain bytes.
        at: u64,
    },
    /// Something else, or of a newer program.
    #[error("it is not encrypted in a format that is known here: {0}")]
    Format(&'static str),
    /// Reading or writing.
    #[error("cannot read or write")]
    Io(#[from] io::Error),
    /// The library refuses; it says no more.
    #[error("the cryptographic library failed")]
    Library,
}

impl From<aws_lc_rs::error::Unspecified> for VaultError {
    fn from(_: aws_lc_rs::error::Unspecified) -> Self {
        Self::Library
    }
}
