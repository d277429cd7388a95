//! The section `limits`.

use millrace_boot::{InvalidSetting, Validate};
use serde::{Deserialize, Serialize};

use super::rate::RateSettings;
use super::rules::at_least_one;

/// The section `limits`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitSettings {
    /// The largest request body as it is sent; past it the caller gets 413.
    pub body_bytes: usize,
    /// The largest request body once decompressed; past it the caller gets
    /// 413. With 0 compressed bodies are refused with 415.
    pub decompressed_bytes: usize,
    /// Requests being answered at once; past it callers get 503.
    pub in_flight_requests: usize,
    /// Bytes of bodies and records held at once; past it callers get 503.
    pub in_flight_bytes: usize,
    /// The largest request or reply record, not above the topics'
    /// `max.message.bytes`; a larger request gets 413, a larger reply 502.
    pub record_bytes: usize,
    /// How often one client may ask.
    pub rate: RateSettings,
    /// Requests that may wait for a model, by what infer reports every few
    /// seconds; past it callers get 503. No limit by default.
    pub max_lag_records: Option<u64>,
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self {
            body_bytes: 10 << 20,
            decompressed_bytes: 32 << 20,
            in_flight_requests: 1024,
            in_flight_bytes: 256 << 20,
            // The topics take 16 MiB; the difference is for what surrounds a record.
            record_bytes: 16_000_000,
            rate: RateSettings::default(),
            max_lag_records: None,
        }
    }
}

impl Validate for LimitSettings {
    fn validate(&self) -> Result<(), InvalidSetting> {
        at_least_one("limits.body_bytes", self.body_bytes)?;
        at_least_one("limits.in_flight_requests", self.in_flight_requests)?;
        at_least_one("limits.record_bytes", self.record_bytes)?;
        self.rate.validate()?;
        let largest = self.body_bytes.max(self.decompressed_bytes);
        if self.in_flight_bytes < largest {
            let problem = format!(
                "is {}; it must be at least limits.body_bytes and limits.decompressed_bytes, {largest}",
                self.in_flight_bytes
            );
            return Err(InvalidSetting::new("limits.in_flight_bytes", problem));
        }
        Ok(())
    }
}
