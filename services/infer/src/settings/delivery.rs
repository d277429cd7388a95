//! What is promised about results.

use std::time::Duration;

use millrace_boot::InvalidSetting;
use serde::{Deserialize, Serialize};

/// How often the result of a record may be in the results topic.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// Once, and again after a crash.
    #[default]
    AtLeastOnce,
    /// Once, for readers of committed records: results, dead letters and progress are one transaction.
    ExactlyOnce,
}

impl Delivery {
    /// The name in settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::AtLeastOnce => "at_least_once",
            Self::ExactlyOnce => "exactly_once",
        }
    }
}

/// The transactions of `exactly_once`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TransactionSettings {
    /// How long results gather before they are committed together; readers of committed records see them after that.
    #[serde(with = "humantime_serde")]
    pub commit_interval: Duration,
    /// After how long the broker gives up the transaction of a process that is gone; readers of committed records wait
    /// until then.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
}

impl Default for TransactionSettings {
    fn default() -> Self {
        Self {
            commit_interval: Duration::from_millis(100),
            timeout: Duration::from_secs(15),
        }
    }
}

impl TransactionSettings {
    pub(crate) fn validate(&self) -> Result<(), InvalidSetting> {
        let (least, most) = (Duration::from_secs(1), Duration::from_secs(900));
        if !(least..=most).contains(&self.timeout) {
            let problem = "must be between 1s and 15min, the most that brokers allow by default";
            return Err(InvalidSetting::new("transactions.timeout", problem));
        }
        if self.commit_interval * 2 > self.timeout {
            let problem = "must be at most half of transactions.timeout";
            return Err(InvalidSetting::new("transactions.commit_interval", problem));
        }
        Ok(())
    }
}
