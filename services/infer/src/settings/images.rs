//! How encoded images are decoded.

use millrace_boot::InvalidSetting;
use serde::{Deserialize, Serialize};

use super::at_least;

/// How encoded images are decoded, for each version of a model that takes some.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ImageSettings {
    /// Threads that decode beside the engine's.
    pub threads: usize,
    /// Larger images are refused by their header, whatever the size of the file.
    pub max_pixels: usize,
    /// Decoding rests while this many bytes of pixels wait for the engine. A record whose images become more is refused.
    pub max_decoded_bytes: usize,
}

impl Default for ImageSettings {
    fn default() -> Self {
        Self {
            threads: 1,
            max_pixels: 25_000_000,
            max_decoded_bytes: 256 << 20,
        }
    }
}

impl ImageSettings {
    /// The first value that cannot be.
    pub(crate) fn validate(&self) -> Result<(), InvalidSetting> {
        at_least("images.threads", self.threads, 1)?;
        at_least("images.max_pixels", self.max_pixels, 1)?;
        at_least("images.max_decoded_bytes", self.max_decoded_bytes, 1)
    }
}
