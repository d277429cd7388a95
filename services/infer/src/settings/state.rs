//! What is remembered of processes that died.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What is remembered of processes that died.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StateSettings {
    /// A folder that is there again when the process is started anew, such as a volume that lives as long as its pod.
    /// Any number of processes may share it. Without it, one below the system's folder of temporary files.
    pub path: Option<PathBuf>,
}
