//! `[output]`: what becomes of the outputs before they are sent.

use millrace_boot::InvalidSetting;
use serde::Deserialize;

/// What becomes of the outputs before they are sent.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct OutputOptions {}

impl OutputOptions {
    #[expect(
        clippy::unused_self,
        clippy::unnecessary_wraps,
        reason = "the frame's; keys follow"
    )]
    pub(super) fn validate(&self) -> Result<(), InvalidSetting> {
        Ok(())
    }
}
