//! JSON strings: borrowed where nothing is escaped, decoded into their own buffer where something is.

use std::borrow::Cow;

use super::stop::{Read, Stop, syntax};

const UNTERMINATED: &str = "Missing a closing quotation mark in string.";
const BAD_HEX: &str = "Incorrect hex digit after \\u escape in string.";
const BAD_SURROGATE: &str = "The surrogate pair in string is invalid.";

/// Reads the string whose quotation mark is at `at`. The body is UTF-8, so the result is too.
pub(super) fn read_string(bytes: &[u8], at: usize) -> Read<Cow<'_, [u8]>> {
    let start = at + 1;
    let end = find_special(bytes, start);
    match bytes.get(end) {
        Some(b'"') => Ok((
            Cow::Borrowed(bytes.get(start..end).unwrap_or_default()),
            end + 1,
        )),
        Some(b'\\') => read_escaped(bytes, at),
        other => Err(unfinished(other, end)),
    }
}

#[cold]
fn unfinished(byte: Option<&u8>, at: usize) -> Stop {
    match byte {
        Some(_) => syntax("Control character in string must be escaped.", at),
        None => syntax(UNTERMINATED, at),
    }
}

/// The offset of the first quotation mark, backslash or control character, or of the end.
fn find_special(bytes: &[u8], from: usize) -> usize {
    const BLOCK: usize = 32;
    let mut at = from;
    while let Some(block) = bytes
        .get(at..)
        .and_then(<[u8]>::first_chunk::<BLOCK>)
        .filter(|block| {
            !block
                .iter()
                .fold(false, |any, &byte| any | is_special(byte))
        })
    {
        at += block.len();
    }
    while bytes.get(at).is_some_and(|&byte| !is_special(byte)) {
        at += 1;
    }
    at
}

fn is_special(byte: u8) -> bool {
    (byte < 0x20) | (byte == b'"') | (byte == b'\\')
}

fn read_escaped(bytes: &[u8], quote_at: usize) -> Read<Cow<'_, [u8]>> {
    let mut text = Vec::new();
    let mut at = quote_at + 1;
    loop {
        let end = find_special(bytes, at);
        text.extend_from_slice(bytes.get(at..end).unwrap_or_default());
        match bytes.get(end) {
            Some(b'"') => return Ok((Cow::Owned(text), end + 1)),
            Some(b'\\') => {
                let (character, after) = read_escape(bytes, end)?;
                text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                at = after;
            }
            other => return Err(unfinished(other, end)),
        }
    }
}

/// Reads the escape whose backslash is at `at`.
fn read_escape(bytes: &[u8], at: usize) -> Read<char> {
    let character = match bytes.get(at + 1) {
        Some(b'u') => return read_unicode(bytes, at),
        Some(b'"') => '"',
        Some(b'\\') => '\\',
        Some(b'/') => '/',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(_) => return Err(syntax("Invalid escape character in string.", at)),
        None => return Err(syntax(UNTERMINATED, at)),
    };
    Ok((character, at + 2))
}

/// Reads `\uXXXX`, or the pair of them that stands for one character above U+FFFF.
fn read_unicode(bytes: &[u8], at: usize) -> Read<char> {
    let high = read_hex(bytes, at)?;
    if let Some(character) = char::from_u32(high) {
        return Ok((character, at + 6));
    }
    if high >= 0xdc00 || bytes.get(at + 6..at + 8) != Some(b"\\u") {
        return Err(syntax(BAD_SURROGATE, at));
    }
    let low = read_hex(bytes, at + 6)?;
    if !(0xdc00..0xe000).contains(&low) {
        return Err(syntax(BAD_SURROGATE, at));
    }
    let code = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
    let character = char::from_u32(code).ok_or_else(|| syntax(BAD_SURROGATE, at))?;
    Ok((character, at + 12))
}

/// The four hexadecimal digits after the `\u` at `at`.
fn read_hex(bytes: &[u8], at: usize) -> Result<u32, Stop> {
    let mut value = 0;
    for offset in at + 2..at + 6 {
        let digit = match bytes.get(offset) {
            Some(&byte) => char::from(byte).to_digit(16),
            None => return Err(syntax(UNTERMINATED, offset)),
        };
        let digit = digit.ok_or_else(|| syntax(BAD_HEX, at))?;
        value = value << 4 | digit;
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, expected: Result<&str, &str>) {
        let read = read_string(json.as_bytes(), 0);
        match (read, expected) {
            (Ok((text, end)), Ok(expected)) => {
                assert_eq!(text.as_ref(), expected.as_bytes(), "{json}");
                assert_eq!(end, json.len(), "{json}");
            }
            (Err(stop), Err(expected)) => assert_eq!(
                stop.fault,
                super::super::stop::Fault::Syntax(match expected {
                    "hex" => BAD_HEX,
                    "surrogate" => BAD_SURROGATE,
                    "open" => UNTERMINATED,
                    "escape" => "Invalid escape character in string.",
                    _ => "Control character in string must be escaped.",
                }),
                "{json}"
            ),
            (read, expected) => panic!("{json}: {read:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn escapes_are_decoded() {
        check(r#""""#, Ok(""));
        check(r#""plain ü""#, Ok("plain ü"));
        check(r#""\"\\\/\b\f\n\r\t""#, Ok("\"\\/\u{8}\u{c}\n\r\t"));
        check(r#""a\u0000b\u00e9\uFFFF""#, Ok("a\0bé\u{ffff}"));
        check(r#""\ud83d\ude00!""#, Ok("😀!"));
        let long = "x".repeat(1000);
        check(
            &format!("\"{long}\\n{long}\""),
            Ok(&format!("{long}\n{long}")),
        );
    }

    #[test]
    fn broken_strings_are_refused() {
        check(r#""\ud800""#, Err("surrogate"));
        check(r#""\udc00\ud800""#, Err("surrogate"));
        check(r#""\ud800\u0041""#, Err("surrogate"));
        check(r#""\ud800x""#, Err("surrogate"));
        check(r#""\u00zz""#, Err("hex"));
        check(r#""\u+041""#, Err("hex"));
        check(r#""\x41""#, Err("escape"));
        check("\"a\nb\"", Err("control"));
        check("\"a\0b\"", Err("control"));
        check(r#""abc"#, Err("open"));
        check(r#""abc\"#, Err("open"));
        check(r#""abc\u00"#, Err("open"));
    }
}
