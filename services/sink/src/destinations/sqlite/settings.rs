//! What can be set of a SQLite table.

use std::path::PathBuf;

use millrace_boot::InvalidSetting;
use serde::{Deserialize, Serialize};

use crate::settings::invalid;

/// A table in a SQLite database.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SqliteSettings {
    /// The database file; made if it is not there.
    pub path: PathBuf,
}

impl SqliteSettings {
    pub(crate) fn place(&self) -> String {
        format!("the SQLite database {}", self.path.display())
    }

    pub(crate) fn validate(&self, key: &str) -> Result<(), InvalidSetting> {
        if self.path.as_os_str().is_empty() {
            return invalid(key, "path", "is empty; name a database file");
        }
        Ok(())
    }
}
