//! The section `limits`.

use millrace_boot::{InvalidSetting, Validate};
use serde::{Deserialize, Serialize};

use super::rate::RateSettings;
use super::rules::{at_least_one, within};

/// actix refuses more by itself, with a bare 431: it cannot be told otherwise.
const MAX_HEADERS: usize = 96;
const MAX_HEADER_BYTES: usize = 128 << 10;
/// The JSON parser remembers so many levels in one word.
const MAX_DEPTH: usize = 64;

/// The section `limits`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitSettings {
    /// The largest request body as it is sent; past it the caller gets 413.
    pub body_bytes: usize,
    /// The largest request body once decompressed; past it the caller gets
    /// 413. With 0 compressed bodies are refused with 415.
    pub decompressed_bytes: usize,
    /// The most headers of one request; past it the caller gets 431. Over HTTP
    /// the library's own limit of 96 stays, with a bare 431.
    pub headers: usize,
    /// The most bytes of one request's path and headers; past it the caller
    /// gets 431. Over HTTP the library's own limit of 128 KiB stays, with a
    /// bare 431.
    pub header_bytes: usize,
    /// The most instances (rows) of one request; past it the caller gets 413.
    pub instances: usize,
    /// The most elements of one input over all instances; past it the caller
    /// gets 413.
    pub elements: usize,
    /// How deep lists and objects may stand in each other in parts of a JSON
    /// body that are skipped; past it the caller gets 400. What is read is as
    /// deep as its tensor.
    pub depth: usize,
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
            headers: MAX_HEADERS,
            header_bytes: MAX_HEADER_BYTES,
            instances: 1 << 20,
            elements: 1 << 26,
            depth: 32,
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
        within("limits.headers", self.headers, 1..=MAX_HEADERS)?;
        within(
            "limits.header_bytes",
            self.header_bytes,
            1024..=MAX_HEADER_BYTES,
        )?;
        at_least_one("limits.instances", self.instances)?;
        at_least_one("limits.elements", self.elements)?;
        within("limits.depth", self.depth, 1..=MAX_DEPTH)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_that_nothing_could_hold_are_refused() {
        let check = |change: fn(&mut LimitSettings), key: &str| {
            let mut settings = LimitSettings::default();
            change(&mut settings);
            assert_eq!(settings.validate().unwrap_err().key, key);
        };
        assert!(LimitSettings::default().validate().is_ok());
        check(|it| it.headers = 97, "limits.headers");
        check(|it| it.headers = 0, "limits.headers");
        check(|it| it.header_bytes = 200_000, "limits.header_bytes");
        check(|it| it.header_bytes = 10, "limits.header_bytes");
        check(|it| it.instances = 0, "limits.instances");
        check(|it| it.elements = 0, "limits.elements");
        check(|it| it.depth = 65, "limits.depth");
        check(|it| it.in_flight_bytes = 1, "limits.in_flight_bytes");
    }
}
