//! When a batch is full.

use std::time::Duration;

use millrace_boot::InvalidSetting;
use serde::{Deserialize, Serialize};

use super::at_least;

/// When a batch is full.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BatchSettings {
    /// Rows in one run; records with more are split and their answers put together again. Without it the number is
    /// measured when a model is loaded: the smallest batch beyond which the engine gets less than 5 % faster.
    pub max_rows: Option<usize>,
    /// The most rows that are measured.
    pub max_rows_limit: usize,
    /// Bytes of Arrow records in one run; a single row may be larger.
    pub max_bytes: usize,
    /// How long a free engine waits for a batch to fill. Zero: it takes what is there.
    #[serde(with = "humantime_serde")]
    pub max_delay: Duration,
}

impl Default for BatchSettings {
    fn default() -> Self {
        Self {
            max_rows: None,
            max_rows_limit: 128,
            max_bytes: 4 << 20,
            max_delay: Duration::ZERO,
        }
    }
}

impl BatchSettings {
    /// The first value that cannot be; `section` is where it stands.
    pub(crate) fn validate(&self, section: &str) -> Result<(), InvalidSetting> {
        if let Some(rows) = self.max_rows {
            at_least(&format!("{section}.max_rows"), rows, 1)?;
        }
        at_least(&format!("{section}.max_rows_limit"), self.max_rows_limit, 1)?;
        at_least(&format!("{section}.max_bytes"), self.max_bytes, 1)?;
        if self.max_delay > Duration::from_secs(60) {
            let problem = format!("is {}s; it must be at most 60s", self.max_delay.as_secs());
            return Err(InvalidSetting::new(format!("{section}.max_delay"), problem));
        }
        Ok(())
    }
}
