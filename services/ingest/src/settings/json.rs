//! The section `json`.

use serde::{Deserialize, Serialize};

/// The section `json`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JsonSettings {
    /// Whether to refuse what TensorFlow Serving lets through: bare `NaN` and
    /// `Infinity`, numbers that overflow, keys that nobody knows. Answers then
    /// have `null` for what is not finite.
    pub strict: bool,
}
