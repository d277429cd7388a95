//! Days of the calendar, by which objects are kept and removed.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A day in UTC, written `2026-11-23`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Day(
    /// Since 1970.
    i64,
);

impl Day {
    pub(crate) fn of(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_secs() / DAY.as_secs()).unwrap_or(i64::MAX / 2))
    }

    /// How long ago it ended; `None` if it has not.
    pub(crate) fn ended_before(self, now: SystemTime) -> Option<Duration> {
        let end = u64::try_from(self.0 + 1).unwrap_or(0);
        let end = UNIX_EPOCH.checked_add(Duration::from_secs(end.checked_mul(DAY.as_secs())?))?;
        now.duration_since(end).ok()
    }

    /// Year, month and day, by the arithmetic of eras of 400 years that begin on the first of March.
    fn date(self) -> (i64, i64, i64) {
        let days = self.0 + 719_468;
        let era = days.div_euclid(146_097);
        let of_era = days.rem_euclid(146_097);
        let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let shifted = (5 * of_year + 2) / 153;
        let day = of_year - (153 * shifted + 2) / 5 + 1;
        let month = if shifted < 10 {
            shifted + 3
        } else {
            shifted - 9
        };
        (year + era * 400 + i64::from(month <= 2), month, day)
    }

    fn of_date(year: i64, month: i64, day: i64) -> Self {
        let year = year - i64::from(month <= 2);
        let era = year.div_euclid(400);
        let of_era = year.rem_euclid(400);
        let shifted = if month > 2 { month - 3 } else { month + 9 };
        let of_year = (153 * shifted + 2) / 5 + day - 1;
        Self(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.date();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

/// The text names no day.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NoDay;

impl FromStr for Day {
    type Err = NoDay;

    fn from_str(text: &str) -> Result<Self, NoDay> {
        let mut parts = text.splitn(3, '-').map(|part| part.parse().ok());
        let mut next = || parts.next().flatten().ok_or(NoDay);
        let day = Self::of_date(next()?, next()?, next()?);
        match day.to_string() == text {
            true => Ok(day),
            false => Err(NoDay),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_written_and_read() {
        for (days, text) in [
            (0, "1970-01-01"),
            (11_016, "2000-02-29"),
            (11_017, "2000-03-01"),
            (20_780, "2026-11-23"),
            (20_819, "2027-01-01"),
        ] {
            assert_eq!(Day(days).to_string(), text);
            assert_eq!(text.parse(), Ok(Day(days)), "{text}");
        }
        for text in [
            "",
            "2026-11",
            "2026-02-30",
            "2026-11-23-1",
            "26-11-23",
            "a-b-c",
            "2026-1-1",
        ] {
            assert_eq!(text.parse::<Day>(), Err(NoDay), "{text}");
        }
    }

    #[test]
    fn a_day_has_ended_at_midnight() {
        let midnight = UNIX_EPOCH + DAY;
        assert_eq!(Day(0).ended_before(midnight), Some(Duration::ZERO));
        assert_eq!(Day(0).ended_before(midnight - Duration::from_secs(1)), None);
        assert_eq!(Day::of(midnight), Day(1));
    }
}
