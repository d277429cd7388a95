//! The section `tls`: certificates of the HTTP and the gRPC listener.

use std::path::PathBuf;

use millrace_boot::{InvalidSetting, Validate};
use serde::{Deserialize, Serialize};

/// The section `tls`. All files are PEM, and read again when they change.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsSettings {
    /// The server's certificate and what leads to its root; with `key` it turns TLS on.
    pub certificate: Option<PathBuf>,
    /// The private key of `certificate`: PKCS #8, PKCS #1 or SEC 1.
    pub key: Option<PathBuf>,
    /// Whose certificates a client must show; with it TLS is mutual.
    pub client_ca: Option<PathBuf>,
}

impl Validate for TlsSettings {
    fn validate(&self) -> Result<(), InvalidSetting> {
        let missing = |key: &str, because: &str| {
            let problem = format!("is not set, but {because} is");
            Err(InvalidSetting::new(key, problem))
        };
        match (&self.certificate, &self.key, &self.client_ca) {
            (None, Some(_), _) => missing("tls.certificate", "tls.key"),
            (Some(_), None, _) => missing("tls.key", "tls.certificate"),
            (None, None, Some(_)) => missing("tls.certificate", "tls.client_ca"),
            _ => Ok(()),
        }
    }
}
