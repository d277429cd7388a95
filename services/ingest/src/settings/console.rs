//! The section `console`.

use serde::{Deserialize, Serialize};

/// The section `console`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConsoleSettings {
    /// Whether there is a page at `/console`.
    pub enabled: bool,
    /// Whether the page itself is answered without credentials where these are required: a browser has none before
    /// the page has asked for them. What it shows is behind them all the same.
    pub open_page: bool,
}

impl Default for ConsoleSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            open_page: false,
        }
    }
}
