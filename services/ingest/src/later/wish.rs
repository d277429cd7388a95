//! What a caller wishes besides an answer: `Prefer`, `Idempotency-Key`, and a time to wait.

use std::time::Duration;

/// The verb that wishes an answer later, for whom headers are a burden.
pub(crate) const PREDICT_ASYNC: &str = "predictAsync";

/// The longest idempotency key, in bytes.
const MAX_KEY_BYTES: usize = 255;

/// The wishes of one request for a prediction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Wish {
    /// Answer 202 and let the caller fetch the result.
    pub(crate) respond_async: bool,
    /// How long the caller would wait all the same.
    pub(crate) wait: Option<Duration>,
    /// Under which name the request may be sent again.
    pub(crate) key: Option<String>,
}

/// A header or query that cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadWish {
    #[error("Idempotency-Key occurs more than once")]
    RepeatedKey,
    #[error("Idempotency-Key is empty or longer than {MAX_KEY_BYTES} bytes")]
    KeyLength,
    #[error(
        "Idempotency-Key is neither a quoted string of visible ASCII characters nor a word of them"
    )]
    KeyShape,
    #[error("wait is {given:?}: expected whole seconds, such as 10 or 10s")]
    Wait { given: String },
}

impl Wish {
    /// Reads the values of all headers `Prefer`. What is not understood there
    /// is ignored, as RFC 7240 demands.
    pub(crate) fn prefer<'a>(&mut self, values: impl IntoIterator<Item = &'a [u8]>) {
        let texts = values
            .into_iter()
            .filter_map(|it| std::str::from_utf8(it).ok());
        for preference in texts.flat_map(|text| text.split(',')) {
            let bare = preference.split(';').next().unwrap_or_default();
            let (name, value) = match bare.split_once('=') {
                Some((name, value)) => (name.trim(), value.trim().trim_matches('"')),
                None => (bare.trim(), ""),
            };
            if name.eq_ignore_ascii_case("respond-async") && value.is_empty() {
                self.respond_async = true;
            } else if name.eq_ignore_ascii_case("wait") && self.wait.is_none() {
                self.wait = seconds(value);
            }
        }
    }

    /// Reads the values of all headers `Idempotency-Key`.
    ///
    /// # Errors
    /// [`BadWish`]
    pub(crate) fn idempotency_key<'a>(
        &mut self,
        values: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<(), BadWish> {
        let mut values = values.into_iter();
        let Some(value) = values.next() else {
            return Ok(());
        };
        if values.next().is_some() {
            return Err(BadWish::RepeatedKey);
        }
        self.key = Some(key_of(value)?);
        Ok(())
    }
}

/// The time in `?wait=10s`.
///
/// # Errors
/// [`BadWish::Wait`]
pub(crate) fn wait_of(text: &str) -> Result<Duration, BadWish> {
    let digits = text.strip_suffix('s').unwrap_or(text);
    seconds(digits).ok_or_else(|| BadWish::Wait {
        given: text.chars().take(32).collect(),
    })
}

fn seconds(digits: &str) -> Option<Duration> {
    let all_digits = !digits.is_empty() && digits.bytes().all(|it| it.is_ascii_digit());
    let seconds = digits.parse::<u32>().ok().filter(|_| all_digits)?;
    Some(Duration::from_secs(seconds.into()))
}

/// A structured-field string (RFC 8941); the bare word that many clients send
/// instead means the same.
fn key_of(value: &[u8]) -> Result<String, BadWish> {
    let text = std::str::from_utf8(value)
        .map_err(|_| BadWish::KeyShape)?
        .trim();
    // In quotation marks each may have a backslash before it.
    if text.is_empty() || text.len() > 2 * MAX_KEY_BYTES + 2 {
        return Err(BadWish::KeyLength);
    }
    let key = match text.strip_prefix('"') {
        Some(quoted) => unquoted(quoted).ok_or(BadWish::KeyShape)?,
        None if text
            .bytes()
            .all(|it| it.is_ascii_graphic() && !b"\"\\,;".contains(&it)) =>
        {
            text.to_owned()
        }
        None => return Err(BadWish::KeyShape),
    };
    match key.len() {
        1..=MAX_KEY_BYTES => Ok(key),
        _ => Err(BadWish::KeyLength),
    }
}

/// The rest of a quoted string, after its first quotation mark.
fn unquoted(quoted: &str) -> Option<String> {
    let mut key = String::with_capacity(quoted.len());
    let mut characters = quoted.chars();
    loop {
        match characters.next()? {
            '"' => break,
            '\\' => key.push(characters.next().filter(|it| matches!(it, '"' | '\\'))?),
            visible @ ' '..='~' => key.push(visible),
            _ => return None,
        }
    }
    characters.next().is_none().then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preferred(values: &[&str]) -> Wish {
        let mut wish = Wish::default();
        wish.prefer(values.iter().map(|it| it.as_bytes()));
        wish
    }

    #[test]
    fn preferences_are_read_from_all_headers() {
        for values in [
            &["respond-async, wait=10"][..],
            &["handling=lenient; a=b, Respond-Async", "wait = 10"],
            &["wait=\"10\",respond-async;x=y", "wait=99"],
        ] {
            let wish = preferred(values);
            assert!(wish.respond_async, "{values:?}");
            assert_eq!(wish.wait, Some(Duration::from_secs(10)), "{values:?}");
        }
    }

    #[test]
    fn preferences_that_are_not_understood_are_ignored() {
        for value in [
            "",
            ",",
            "respond-async=no",
            "wait",
            "wait=-1",
            "wait=x",
            "wait=99999999999",
            "=",
            "\u{e9}",
        ] {
            assert_eq!(preferred(&[value]), Wish::default(), "{value:?}");
        }
    }

    fn key(values: &[&str]) -> Result<Option<String>, BadWish> {
        let mut wish = Wish::default();
        wish.idempotency_key(values.iter().map(|it| it.as_bytes()))?;
        Ok(wish.key)
    }

    #[test]
    fn a_key_is_a_quoted_string_or_a_word() {
        assert_eq!(key(&[]), Ok(None));
        for (value, expected) in [
            ("\"8e03978e-40d5\"", "8e03978e-40d5"),
            ("8e03978e-40d5", "8e03978e-40d5"),
            (" \"a b\\\"c\\\\\" ", "a b\"c\\"),
        ] {
            assert_eq!(key(&[value]), Ok(Some(expected.to_owned())), "{value}");
        }
        let longest = "k".repeat(MAX_KEY_BYTES);
        assert_eq!(key(&[&format!("\"{longest}\"")]), Ok(Some(longest.clone())));
        let escaped = "\\\"".repeat(MAX_KEY_BYTES);
        let longest = "\"".repeat(MAX_KEY_BYTES);
        assert_eq!(key(&[&format!("\"{escaped}\"")]), Ok(Some(longest)));
    }

    #[test]
    fn a_key_that_is_none_is_refused() {
        let long = "k".repeat(MAX_KEY_BYTES + 1);
        for value in [
            "",
            "  ",
            "\"\"",
            &long,
            &format!("\"{long}\""),
            &"k".repeat(10 << 10),
        ] {
            assert_eq!(key(&[value]), Err(BadWish::KeyLength), "{value}");
        }
        for value in [
            "\"a",
            "a\"",
            "\"a\"b",
            "a b",
            "a,b",
            "a;b",
            "\"\\x\"",
            "\u{e9}",
            "\"\u{e9}\"",
            "\"\t\"",
        ] {
            assert_eq!(key(&[value]), Err(BadWish::KeyShape), "{value}");
        }
        assert_eq!(key(&["a", "a"]), Err(BadWish::RepeatedKey));
    }

    #[test]
    fn a_time_to_wait_is_whole_seconds() {
        assert_eq!(wait_of("10"), Ok(Duration::from_secs(10)));
        assert_eq!(wait_of("0s"), Ok(Duration::ZERO));
        for text in ["", "s", "-1", "+1", "1.5", "10m", "4294967296", "1 "] {
            assert!(wait_of(text).is_err(), "{text:?}");
        }
    }
}
