//! `[images]`: which inputs are encoded images, and what becomes of them.

use millrace_boot::InvalidSetting;
use serde::Deserialize;

/// Which inputs are encoded images.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ImageOptions {}

impl ImageOptions {
    #[expect(
        clippy::unused_self,
        clippy::unnecessary_wraps,
        reason = "the frame's; keys follow"
    )]
    pub(super) fn validate(&self) -> Result<(), InvalidSetting> {
        Ok(())
    }
}
