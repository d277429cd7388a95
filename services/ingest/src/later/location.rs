//! Where a result will be: the last part of the path that a 202 names.

use std::fmt;
use std::str::FromStr;

use crate::front::pending::RequestId;

use super::form::Form;

/// A longer text is not looked at.
const MAX_BYTES: usize = 1024;

/// Names one request record for the caller who knows its id. The rest only
/// says where to look and how to write what is there: a caller who changes it
/// finds the same or nothing.
///
/// As text: `ID-PARTITION-OFFSET-TIME-FORM`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Location {
    pub(crate) id: RequestId,
    /// Of the request record.
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    /// When the request was accepted.
    pub(crate) at_unix_ms: i64,
    /// How the answer is written unless the caller asks for something else.
    pub(crate) form: Form,
}

/// The text is none that ingest gives out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotALocation;

impl Location {
    /// Whether its text is short enough to be read again.
    pub(super) fn is_readable(form: &Form) -> bool {
        // What stands before the form: an id and three numbers.
        const REST_BYTES: usize = 32 + 10 + 19 + 19 + 4;
        form.text().len() + REST_BYTES <= MAX_BYTES
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            id,
            partition,
            offset,
            at_unix_ms,
            form,
        } = self;
        write!(f, "{id}-{partition}-{offset}-{at_unix_ms}-{}", form.text())
    }
}

impl FromStr for Location {
    type Err = NotALocation;

    fn from_str(text: &str) -> Result<Self, NotALocation> {
        if text.len() > MAX_BYTES {
            return Err(NotALocation);
        }
        let mut parts = text.splitn(5, '-');
        let mut next = || parts.next().ok_or(NotALocation);
        let location = Self {
            id: next()?.parse().map_err(|_| NotALocation)?,
            partition: number(next()?)?,
            offset: number(next()?)?,
            at_unix_ms: number(next()?)?,
            form: Form::parse(next()?).ok_or(NotALocation)?,
        };
        // One location has one text, whatever number parsers take for a number.
        match location.to_string() == text {
            true => Ok(location),
            false => Err(NotALocation),
        }
    }
}

fn number<T: FromStr + PartialOrd + Default>(digits: &str) -> Result<T, NotALocation> {
    match digits.parse() {
        Ok(number) if number >= T::default() => Ok(number),
        _ => Err(NotALocation),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "000102030405060708090a0b0c0d0e0f";

    #[test]
    fn a_location_is_read_as_it_was_written() {
        let location = Location {
            id: ID.parse().unwrap(),
            partition: 3,
            offset: i64::MAX,
            at_unix_ms: 1_795_372_800_000,
            form: Form::Columns,
        };
        let text = location.to_string();
        assert_eq!(
            text,
            format!("{ID}-3-9223372036854775807-1795372800000-columns")
        );
        assert_eq!(text.parse(), Ok(location));
    }

    #[test]
    fn what_ingest_never_writes_is_no_location() {
        let long = format!("{ID}-3-1-1-oip-b{}", "61".repeat(1000));
        for text in [
            "",
            "-",
            ID,
            "----",
            &format!("{ID}-3-1-1"),
            &format!("{ID}-3-1-1-"),
            &format!("{ID}-3-1-1-table"),
            &format!("{ID}-3-1-1-rows-rows"),
            &format!("{ID}-+3-1-1-rows"),
            &format!("{ID}-03-1-1-rows"),
            &format!("{ID}--3-1-1-rows"),
            &format!("{ID}-2147483648-1-1-rows"),
            &format!("{ID}-3-9223372036854775808-1-rows"),
            &format!("{ID}-3- 1-1-rows"),
            &format!("{}-3-1-1-rows", ID.to_uppercase()),
            &format!("{}-3-1-1-rows", &ID[1..]),
            &format!("{ID}-٣-1-1-rows"),
            &long,
        ] {
            assert_eq!(text.parse::<Location>(), Err(NotALocation), "{text:?}");
        }
    }
}
