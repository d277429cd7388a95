//! The section `results`.

use std::time::Duration;

use millrace_boot::{InvalidSetting, Validate};
use serde::{Deserialize, Serialize};

use super::rules::{at_least_one, not_zero};

/// The section `results`: answers that are fetched later, and requests that
/// are sent twice.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResultSettings {
    /// How long a result can be fetched and an idempotency key stands for its
    /// request; past it callers get 410. Not above the `retention.ms` of the
    /// topics `results.*` and `idempotency`.
    #[serde(with = "humantime_serde")]
    pub retention: Duration,
    /// The longest that a caller may wait for a result in one request.
    #[serde(with = "humantime_serde")]
    pub max_wait: Duration,
    /// Callers that may wait for results at once; past it they get 503.
    pub max_waiting: usize,
    /// Idempotency keys remembered, about 250 bytes each; while there are so
    /// many, requests with new ones get 503.
    pub idempotency_keys: usize,
    /// Refuse requests for predictions that have no `Idempotency-Key`.
    pub require_idempotency_key: bool,
}

impl Default for ResultSettings {
    fn default() -> Self {
        Self {
            retention: Duration::from_secs(24 * 60 * 60),
            max_wait: Duration::from_secs(60),
            max_waiting: 1024,
            idempotency_keys: 100_000,
            require_idempotency_key: false,
        }
    }
}

impl Validate for ResultSettings {
    fn validate(&self) -> Result<(), InvalidSetting> {
        not_zero("results.retention", self.retention)?;
        at_least_one("results.max_waiting", self.max_waiting)?;
        at_least_one("results.idempotency_keys", self.idempotency_keys)
    }
}
