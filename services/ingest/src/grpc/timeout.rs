//! How long a caller waits, as the header `grpc-timeout` says it.

use std::time::Duration;

/// The longest text that is repeated, in bytes.
const MAX_ECHO_BYTES: usize = 32;

/// A `grpc-timeout` that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("grpc-timeout is {given:?}: expected 1 to 8 digits and one of H, M, S, m, u, n")]
pub(crate) struct BadGrpcTimeout {
    given: String,
}

/// Reads a time such as `250m` or `2S`.
///
/// # Errors
/// [`BadGrpcTimeout`] for what is no time; zero is one that has passed.
pub(super) fn parse(text: &[u8]) -> Result<Duration, BadGrpcTimeout> {
    let bad = || BadGrpcTimeout {
        given: String::from_utf8_lossy(text)
            .chars()
            .take(MAX_ECHO_BYTES)
            .collect(),
    };
    let Some((unit, digits)) = text.split_last() else {
        return Err(bad());
    };
    if !(1..=8).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return Err(bad());
    }
    let number = digits
        .iter()
        .fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    match unit {
        b'H' => Ok(Duration::from_secs(number * 3600)),
        b'M' => Ok(Duration::from_secs(number * 60)),
        b'S' => Ok(Duration::from_secs(number)),
        b'm' => Ok(Duration::from_millis(number)),
        b'u' => Ok(Duration::from_micros(number)),
        b'n' => Ok(Duration::from_nanos(number)),
        _ => Err(bad()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_read() {
        let second = Duration::from_secs(1);
        for text in ["1S", "1000m", "1000000u", "00000001S"] {
            assert_eq!(parse(text.as_bytes()), Ok(second), "{text}");
        }
        assert_eq!(parse(b"99999999H"), Ok(second * 3600 * 99_999_999));
        assert_eq!(parse(b"1M"), Ok(second * 60));
        assert_eq!(parse(b"7n"), Ok(Duration::from_nanos(7)));
        assert_eq!(parse(b"0n"), Ok(Duration::ZERO));
    }

    #[test]
    fn what_is_no_time_is_refused_and_named() {
        for text in [
            "",
            "S",
            "1",
            "-1S",
            "1e9S",
            "abc",
            "1s",
            "1.5S",
            "123456789S",
            " 1S",
            "1 S",
        ] {
            let error = parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(&format!("{text:?}")), "{error}");
        }
        assert!(parse(&[0xff; 4096]).unwrap_err().to_string().len() < 300);
    }
}
