//! `[signature]`: inputs and outputs of models whose format does not carry them.

use millrace_boot::InvalidSetting;
use serde::Deserialize;

/// Inputs and outputs of models whose format does not carry them.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SignatureOptions {}

impl SignatureOptions {
    #[expect(
        clippy::unused_self,
        clippy::unnecessary_wraps,
        reason = "the frame's; keys follow"
    )]
    pub(super) fn validate(&self) -> Result<(), InvalidSetting> {
        Ok(())
    }
}
