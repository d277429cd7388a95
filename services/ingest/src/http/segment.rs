//! Names and versions as they stand in paths.

/// Long enough for any name that fits a Kafka topic together with its prefix.
const MAX_NAME_BYTES: usize = 150;

/// Why a part of a path is no name, or no version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SegmentError {
    #[error("{what} in the path is not percent-encoded UTF-8")]
    Encoding { what: &'static str },
    #[error("{what} in the path has {size_bytes} bytes, at most {MAX_NAME_BYTES} are allowed")]
    TooLong {
        what: &'static str,
        size_bytes: usize,
    },
    #[error(
        "{what} {given:?} in the path is not a name: letters, digits, '.', '_' and '-' are allowed"
    )]
    Name { what: &'static str, given: String },
    #[error("version in the path is not a number from 0 to 9223372036854775807, but {given:?}")]
    Version { given: String },
    #[error(
        "Failed to convert version: {given} to numeric. A version is at most 9223372036854775807"
    )]
    Overflow { given: String },
}

/// Reads a version.
///
/// # Errors
/// [`SegmentError::Version`], [`SegmentError::Overflow`]
pub(crate) fn version_of(segment: &str) -> Result<i64, SegmentError> {
    let given = shortened(segment);
    if segment.is_empty() || !segment.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(SegmentError::Version { given });
    }
    segment
        .parse()
        .map_err(|_| SegmentError::Overflow { given })
}

/// Decodes a name and holds it to the characters that topic names allow, so
/// that no name can reach outside its topic or mean something to a file system.
///
/// # Errors
/// A [`SegmentError`] that calls the name `what`.
pub(crate) fn name_of(what: &'static str, segment: &str) -> Result<String, SegmentError> {
    let name = percent_decoded(segment).ok_or(SegmentError::Encoding { what })?;
    if name.len() > MAX_NAME_BYTES {
        return Err(SegmentError::TooLong {
            what,
            size_bytes: name.len(),
        });
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let only_dots = name.bytes().all(|byte| byte == b'.');
    if only_dots || !name.bytes().all(allowed) {
        return Err(SegmentError::Name {
            what,
            given: shortened(&name),
        });
    }
    Ok(name)
}

/// `None` for a broken escape or for bytes that are not UTF-8.
fn percent_decoded(segment: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(segment.len());
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let high = char::from(bytes.next()?).to_digit(16)?;
        let low = char::from(bytes.next()?).to_digit(16)?;
        decoded.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(decoded).ok()
}

/// Callers' text is never echoed beyond this many characters.
pub(crate) fn shortened(text: &str) -> String {
    text.chars().take(32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_no_topic_name_is_refused() {
        for segment in [
            "..",
            ".",
            "",
            "%2e%2e",
            "a%2fb",
            "a%00",
            "a%20b",
            "a%3Apredict",
            "%C3%A9",
        ] {
            let error = name_of("name", segment).unwrap_err();
            assert!(
                matches!(error, SegmentError::Name { .. }),
                "{segment}: {error:?}"
            );
        }
        let decoded = name_of("name", "half%5Fplus%5ftwo");
        assert_eq!(decoded.as_deref(), Ok("half_plus_two"));
    }

    #[test]
    fn a_broken_escape_is_refused() {
        for segment in ["%", "a%2", "%zz", "%ff%fe", "%+1"] {
            let error = name_of("name", segment).unwrap_err();
            assert_eq!(error, SegmentError::Encoding { what: "name" }, "{segment}");
        }
    }

    #[test]
    fn a_very_long_name_is_refused_without_echo() {
        let error = name_of("name", &"x".repeat(4096)).unwrap_err();
        assert_eq!(
            error,
            SegmentError::TooLong {
                what: "name",
                size_bytes: 4096
            }
        );
    }

    #[test]
    fn a_version_is_a_number_that_fits() {
        for version in ["abc", "-1", "+1", "", "1.0", "%31"] {
            let error = version_of(version).unwrap_err();
            assert!(
                matches!(error, SegmentError::Version { .. }),
                "{version}: {error:?}"
            );
        }
        let error = version_of("99999999999999999999").unwrap_err().to_string();
        let begins = "Failed to convert version: 99999999999999999999 to numeric.";
        assert!(error.starts_with(begins), "{error}");
        assert_eq!(version_of("9223372036854775807"), Ok(i64::MAX));
        assert_eq!(version_of("007"), Ok(7));
    }
}
