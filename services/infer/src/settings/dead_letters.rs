//! When dead letters have become the rule, and reading ends.

use std::time::Duration;

use millrace_boot::InvalidSetting;
use serde::{Deserialize, Serialize};

/// When dead letters have become the rule: somebody has to look, and what is written to the dead-letter topic until then
/// would have to be written back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeadLetterSettings {
    /// Reading ends when more than this share of a model's records became dead letters; 1 never ends it.
    pub max_share: f64,
    /// The share is that of the records of so long.
    #[serde(with = "humantime_serde")]
    pub window: Duration,
    /// It does not end before there are so many dead letters within the window.
    pub min_count: u32,
    /// After so long, reading is tried again.
    #[serde(with = "humantime_serde")]
    pub pause: Duration,
    /// So many records decide whether it goes on.
    pub trial_records: u32,
}

impl Default for DeadLetterSettings {
    fn default() -> Self {
        Self {
            max_share: 0.5,
            window: Duration::from_secs(60),
            min_count: 1_000,
            pause: Duration::from_secs(30),
            trial_records: 10,
        }
    }
}

impl DeadLetterSettings {
    /// The first value that cannot be.
    pub(crate) fn validate(&self) -> Result<(), InvalidSetting> {
        let wrong = |key: &str, problem: &str| Err(InvalidSetting::new(key, problem));
        if !(0.0..=1.0).contains(&self.max_share) {
            return wrong("dead_letters.max_share", "must be from 0 to 1");
        }
        if self.window < Duration::from_secs(1) {
            return wrong("dead_letters.window", "must be at least 1s");
        }
        if self.min_count == 0 {
            return wrong("dead_letters.min_count", "must be at least 1");
        }
        if self.pause < Duration::from_millis(100) {
            return wrong("dead_letters.pause", "must be at least 100ms");
        }
        if self.trial_records == 0 {
            return wrong("dead_letters.trial_records", "must be at least 1");
        }
        Ok(())
    }
}
