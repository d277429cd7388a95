//! The section `grpc`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The section `grpc`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GrpcSettings {
    /// Where to listen; port 0 takes any free one, and nothing at all turns gRPC off.
    pub listen: String,
    /// Where to write the bound `host:port`, for whoever asked for port 0.
    pub port_file: Option<PathBuf>,
}

impl Default for GrpcSettings {
    fn default() -> Self {
        Self {
            listen: "0.0.0.0:8081".to_owned(),
            port_file: None,
        }
    }
}
