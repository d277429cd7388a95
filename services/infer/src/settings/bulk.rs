//! The bulk lane: a second requests topic per model, for what may wait.

use millrace_boot::InvalidSetting;
use serde::{Deserialize, Serialize};

/// The bulk lane of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BulkSettings {
    /// Whether `<prefix>.requests.<model>.bulk` is read.
    pub enabled: bool,
    /// While both topics have records: percent of the engines' time for those of the bulk topic. Otherwise they get all
    /// that is left; with 0 only that.
    pub weight: u8,
}

impl Default for BulkSettings {
    fn default() -> Self {
        Self {
            enabled: false,
            weight: 10,
        }
    }
}

impl BulkSettings {
    /// The first value that cannot be.
    pub(crate) fn validate(&self) -> Result<(), InvalidSetting> {
        if self.weight <= 90 {
            return Ok(());
        }
        let problem = format!(
            "is {}; it is percent of the engines' time, at most 90",
            self.weight
        );
        Err(InvalidSetting::new("bulk.weight", problem))
    }
}
