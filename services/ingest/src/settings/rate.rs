//! The section `limits.rate`.

use std::num::NonZeroU32;

use millrace_boot::{InvalidSetting, Validate};
use serde::{Deserialize, Serialize};

use super::rules::at_least_one;

/// The section `limits.rate`: how often one client may ask; past it it gets 429.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RateSettings {
    /// Requests a second over a long time, such as 0.5; 0 for no limit.
    pub per_second: f64,
    /// Requests at once after a pause; 0 for as many as in a second.
    pub burst: u32,
    /// Clients told apart at once, about 200 bytes each; when there are more,
    /// they share.
    pub clients: usize,
    /// The header in which a proxy of yours names the client's address, such
    /// as `x-forwarded-for`; its last entry counts. Only for an ingest that
    /// nobody reaches except through that proxy: anybody could write it.
    pub address_header: Option<String>,
}

impl Default for RateSettings {
    fn default() -> Self {
        Self {
            per_second: 0.0,
            burst: 0,
            clients: 100_000,
            address_header: None,
        }
    }
}

impl RateSettings {
    /// Requests at once, at least 1.
    pub(crate) fn burst(&self) -> NonZeroU32 {
        // What does not fit is far above any burst; what is below 1 is 1.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "from a float it saturates"
        )]
        let in_a_second = self.per_second.ceil() as u32;
        let burst = match self.burst {
            0 => in_a_second,
            burst => burst,
        };
        NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN)
    }
}

impl Validate for RateSettings {
    fn validate(&self) -> Result<(), InvalidSetting> {
        // Slower than one in a day is a mistake, and so is faster than a clock ticks.
        let possible = self.per_second == 0.0 || (1e-5..=1e9).contains(&self.per_second);
        if !possible {
            let problem = format!(
                "is {}; write 0 for no limit, or a number from 0.00001 to 1000000000",
                self.per_second
            );
            return Err(InvalidSetting::new("limits.rate.per_second", problem));
        }
        let name = self.address_header.as_deref().unwrap_or("x");
        let token = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if name.is_empty() || !name.bytes().all(token) {
            let problem = format!("is {name:?}; write the name of a header");
            return Err(InvalidSetting::new("limits.rate.address_header", problem));
        }
        at_least_one("limits.rate.clients", self.clients)
    }
}
