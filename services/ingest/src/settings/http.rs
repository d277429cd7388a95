//! The section `http`.

use std::path::PathBuf;
use std::time::Duration;

use millrace_boot::{InvalidSetting, Validate};
use serde::{Deserialize, Serialize};

use super::rules::{at_least_one, not_zero};

/// The section `http`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpSettings {
    /// Where to listen; port 0 takes any free one.
    pub listen: String,
    /// Where to write the bound `host:port`, for whoever asked for port 0.
    pub port_file: Option<PathBuf>,
    /// Threads that read, parse and write; 0 means one per core.
    pub workers: usize,
    /// The longest silence of a caller who has not sent all of a request; past it he gets 408.
    #[serde(with = "humantime_serde")]
    pub read_timeout: Duration,
    /// How long an idle connection stays open.
    #[serde(with = "humantime_serde")]
    pub keep_alive: Duration,
    /// Open connections, over all workers; more wait to be accepted.
    pub max_connections: usize,
    /// What browsers may do.
    pub cors: CorsSettings,
}

/// The section `http.cors`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CorsSettings {
    /// Whether pages of any origin may call, as TensorFlow Serving allows with
    /// `--rest_api_enable_cors_support`.
    pub enabled: bool,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            listen: "0.0.0.0:8080".to_owned(),
            port_file: None,
            workers: 0,
            read_timeout: Duration::from_secs(10),
            keep_alive: Duration::from_secs(75),
            max_connections: 10_000,
            cors: CorsSettings::default(),
        }
    }
}

impl Validate for HttpSettings {
    fn validate(&self) -> Result<(), InvalidSetting> {
        at_least_one("http.max_connections", self.max_connections)?;
        not_zero("http.read_timeout", self.read_timeout)?;
        not_zero("http.keep_alive", self.keep_alive)
    }
}
