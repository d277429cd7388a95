//! What is known of a request before its body.

use std::net::IpAddr;
use std::time::Duration;

use tokio::time::Instant;

use crate::access::Caller;
use crate::later::wish::Wish;

use super::pending::RequestId;
use super::trace_context::TraceContext;

/// The longest text of a time-out, in bytes.
const MAX_TIMEOUT_BYTES: usize = 32;

/// The head of one request, whatever its protocol.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) id: RequestId,
    /// When the head had been read: deadlines count from here.
    pub(crate) at: Instant,
    pub(crate) trace: TraceContext,
    /// How long the caller is willing to wait.
    pub(crate) timeout: Option<Duration>,
    pub(crate) caller: Caller,
    /// From where he calls, as far as that is known.
    pub(crate) address: Option<IpAddr>,
    /// Answer later, or only once: what a caller can wish besides an answer.
    pub(crate) wish: Wish,
}

/// A caller's time-out that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Request-Timeout is {given:?}: expected one number of seconds above 0, such as 2 or 0.25")]
pub(crate) struct BadTimeout {
    given: String,
}

/// Reads seconds such as `2`, `0.25` or `1e3`; what no clock can hold is the
/// longest that one can, because the settings cap it anyway.
///
/// # Errors
/// [`BadTimeout`] for what is no number, zero or negative.
pub(crate) fn timeout_of(text: &str) -> Result<Duration, BadTimeout> {
    let bad = || BadTimeout {
        given: text.chars().take(MAX_TIMEOUT_BYTES).collect(),
    };
    // Without this, "inf" and "nan" would be numbers.
    let starts_well = text.starts_with(|first: char| first.is_ascii_digit());
    if text.len() > MAX_TIMEOUT_BYTES || !starts_well {
        return Err(bad());
    }
    match text.parse::<f64>() {
        Ok(seconds) if seconds > 0.0 => {
            Ok(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
        }
        _ => Err(bad()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_may_have_decimals_and_be_more_than_anybody_waits() {
        assert_eq!(timeout_of("2"), Ok(Duration::from_secs(2)));
        assert_eq!(timeout_of("0.25"), Ok(Duration::from_millis(250)));
        assert_eq!(timeout_of("1e9"), Ok(Duration::from_secs(1_000_000_000)));
        assert_eq!(timeout_of("1e300"), Ok(Duration::MAX));
    }

    #[test]
    fn what_is_no_time_is_refused_and_named() {
        for text in [
            "", "0", "0.0", "-1", "+1", "abc", "nan", "inf", "1s", "1,5", " 1",
        ] {
            let error = timeout_of(text).unwrap_err().to_string();
            assert!(error.contains(&format!("{text:?}")), "{error}");
        }
        let long = timeout_of(&"9".repeat(4096)).unwrap_err().to_string();
        assert!(long.len() < 150, "{long}");
    }
}
