//! The section `replies`.

use millrace_boot::{InvalidSetting, Validate};
use serde::{Deserialize, Serialize};

/// The section `replies`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RepliesSettings {
    /// The partition of the replies topic to read: the ordinal of this
    /// replica, if it has one. One at random otherwise.
    pub partition: Option<i32>,
}

impl Validate for RepliesSettings {
    fn validate(&self) -> Result<(), InvalidSetting> {
        match self.partition {
            Some(partition) if partition < 0 => {
                Err(InvalidSetting::new("replies.partition", "is negative"))
            }
            _ => Ok(()),
        }
    }
}
