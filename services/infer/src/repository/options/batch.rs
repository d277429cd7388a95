//! `[batch]`: when a batch of this model is full.

use std::time::Duration;

use serde::Deserialize;

use crate::settings::BatchSettings;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct BatchChanges {
    max_rows: Option<usize>,
    max_rows_limit: Option<usize>,
    max_bytes: Option<usize>,
    #[serde(with = "humantime_serde")]
    max_delay: Option<Duration>,
}

impl BatchChanges {
    pub(super) fn over(self, general: &BatchSettings) -> BatchSettings {
        BatchSettings {
            max_rows: self.max_rows.or(general.max_rows),
            max_rows_limit: self.max_rows_limit.unwrap_or(general.max_rows_limit),
            max_bytes: self.max_bytes.unwrap_or(general.max_bytes),
            max_delay: self.max_delay.unwrap_or(general.max_delay),
        }
    }
}
