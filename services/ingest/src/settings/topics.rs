//! The section `topics`.

use millrace_boot::{InvalidSetting, Validate};
use serde::{Deserialize, Serialize};

/// The section `topics`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TopicSettings {
    /// Every topic's name begins with it and a dot.
    pub prefix: String,
}

impl Default for TopicSettings {
    fn default() -> Self {
        Self {
            prefix: "millrace".to_owned(),
        }
    }
}

impl Validate for TopicSettings {
    fn validate(&self) -> Result<(), InvalidSetting> {
        check_prefix(&self.prefix)
    }
}

/// What may stand in a topic's name, and short enough to leave room for the rest.
fn check_prefix(prefix: &str) -> Result<(), InvalidSetting> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if prefix.is_empty() || prefix.len() > 80 || !prefix.bytes().all(allowed) {
        let problem = format!("is {prefix:?}; write 1 to 80 letters, digits, '.', '_' or '-'");
        return Err(InvalidSetting::new("topics.prefix", problem));
    }
    Ok(())
}
