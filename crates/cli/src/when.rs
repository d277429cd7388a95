//! Times and spans as people write and read them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970, by this machine's clock.
pub(crate) fn now_unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}

/// `90s`, `5m`, `2h`, `7days`.
pub(crate) fn parse_span(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|error| format!("{error}; write a span such as 90s, 5m, 2h or 7days"))
}

/// A span in its largest unit: `12 s`, `5 min`, `3 h`, `9 days`.
pub(crate) fn span(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

/// How long ago a time is; what lies ahead, by another machine's clock, is now.
pub(crate) fn ago(unix_ms: i64, now_unix_ms: i64) -> Duration {
    let past = now_unix_ms.saturating_sub(unix_ms).max(0);
    Duration::from_millis(past.unsigned_abs())
}

/// A time in UTC, `2026-11-22 21:59:02`.
pub(crate) fn time(unix_ms: i64) -> String {
    let since = Duration::from_millis(u64::try_from(unix_ms).unwrap_or_default());
    let Some(time) = UNIX_EPOCH.checked_add(since) else {
        return format!("{unix_ms} ms since 1970");
    };
    let text = humantime::format_rfc3339_seconds(time).to_string();
    text.replace('T', " ").replace('Z', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_as_people_write_them() {
        assert_eq!(parse_span("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_span("2h 30m"), Ok(Duration::from_secs(9000)));
        assert!(parse_span("yesterday").unwrap_err().contains("such as 90s"));
    }

    #[test]
    fn spans_are_written_in_one_unit() {
        let written = [59, 119, 120, 7200, 172_800].map(|s| span(Duration::from_secs(s)));
        assert_eq!(written, ["59 s", "119 s", "2 min", "2 h", "2 days"]);
    }

    #[test]
    fn times_are_utc_and_the_future_is_now() {
        assert_eq!(time(1_795_384_742_000), "2026-11-22 21:59:02");
        assert_eq!(ago(2000, 1000), Duration::ZERO);
        assert_eq!(
            ago(i64::MIN, i64::MAX).as_millis(),
            u128::from(i64::MAX.unsigned_abs())
        );
    }
}
