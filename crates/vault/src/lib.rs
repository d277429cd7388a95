//! Encrypted files: AES-256-GCM in chunks for new ones, and the AES-CBC of Cluster Serving for old ones.
//!
//! It knows keys, bytes and streams; it knows nothing of models or settings, and opens no file but that of a key.

mod cluster_serving;
mod error;
mod key;
mod sealed;

pub use cluster_serving::{ClusterServing, FirstBytes, KeyBits};
pub use error::VaultError;
pub use key::Key;
pub use sealed::{MAGIC, decrypt, encrypt, is_encrypted};
