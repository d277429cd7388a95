//! What can be set of files.

use millrace_boot::InvalidSetting;
use serde::{Deserialize, Serialize};

use crate::settings::invalid;

/// A folder of files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilesSettings {
    /// A local folder.
    pub url: String,
    /// The format of the files.
    #[serde(default)]
    pub format: FileFormat,
}

/// Formats of files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileFormat {
    /// Parquet, compressed with zstd.
    #[default]
    Parquet,
}

impl FilesSettings {
    pub(crate) fn place(&self) -> String {
        format!("the folder {}", self.url.trim_end_matches('/'))
    }

    pub(crate) fn validate(&self, key: &str) -> Result<(), InvalidSetting> {
        if self.url.is_empty() {
            return invalid(key, "url", "is empty; name a folder");
        }
        Ok(())
    }
}
