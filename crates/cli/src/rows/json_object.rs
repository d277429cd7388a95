//! The members of one JSON object as they stand in the text, values unread.

use std::borrow::Cow;
use std::ops::Range;

/// The key of a member and where its value stands.
pub(crate) type Member<'a> = (Cow<'a, str>, Range<usize>);

/// What is wrong, and at which byte of the text.
pub(crate) type Fault = (usize, &'static str);

/// Splits an object into its members. `None` for any other value.
///
/// Values are only looked at as far as it takes to find their ends; whoever reads them says what is
/// wrong inside.
///
/// # Errors
/// The text is no JSON object.
pub(crate) fn members(text: &str) -> Result<Option<Vec<Member<'_>>>, Fault> {
    let mut scan = Scan {
        text,
        bytes: text.as_bytes(),
        at: 0,
    };
    scan.space();
    if !scan.take(b'{') {
        return Ok(None);
    }
    let mut found = Vec::new();
    scan.space();
    if !scan.take(b'}') {
        loop {
            found.push(scan.member()?);
            if scan.take(b'}') {
                break;
            }
            if !scan.take(b',') {
                return Err((scan.at, "expected , or } after a value"));
            }
        }
    }
    scan.space();
    match scan.at == scan.bytes.len() {
        true => Ok(Some(found)),
        false => Err((scan.at, "expected nothing after the object")),
    }
}

struct Scan<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Scan<'a> {
    fn member(&mut self) -> Result<Member<'a>, Fault> {
        self.space();
        let key = self.string()?;
        self.space();
        if !self.take(b':') {
            return Err((self.at, "expected : after a key"));
        }
        self.space();
        let value = self.value()?;
        self.space();
        Ok((self.unescaped(key)?, value))
    }

    /// The range between two quotation marks.
    fn string(&mut self) -> Result<Range<usize>, Fault> {
        let begin = self.at;
        if !self.take(b'"') {
            return Err((begin, "expected a string"));
        }
        while let Some(&byte) = self.bytes.get(self.at) {
            self.at += 1;
            match byte {
                b'"' => return Ok(begin + 1..self.at - 1),
                b'\\' => self.at += 1,
                _ => {}
            }
        }
        Err((begin, "a string has no end"))
    }

    fn value(&mut self) -> Result<Range<usize>, Fault> {
        let begin = self.at;
        match self.bytes.get(begin) {
            Some(b'"') => {
                self.string()?;
            }
            Some(b'{' | b'[') => self.nested()?,
            _ => {
                let ends = |byte: &u8| b",}] \t\r\n".contains(byte);
                let rest = &self.bytes[begin..];
                self.at += rest.iter().position(ends).unwrap_or(rest.len());
                if self.at == begin {
                    return Err((begin, "expected a value"));
                }
            }
        }
        Ok(begin..self.at)
    }

    fn nested(&mut self) -> Result<(), Fault> {
        let begin = self.at;
        let mut depth = 0usize;
        while let Some(&byte) = self.bytes.get(self.at) {
            match byte {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return Ok(());
            }
        }
        Err((begin, "a list or object has no end"))
    }

    fn unescaped(&self, key: Range<usize>) -> Result<Cow<'a, str>, Fault> {
        let raw = &self.text[key.clone()];
        if !raw.contains('\\') {
            return Ok(Cow::Borrowed(raw));
        }
        let quoted = &self.text[key.start - 1..key.end + 1];
        serde_json::from_str(quoted)
            .map(Cow::Owned)
            .map_err(|_| (key.start, "a key is no JSON string"))
    }

    fn take(&mut self, byte: u8) -> bool {
        let is_there = self.bytes.get(self.at) == Some(&byte);
        self.at += usize::from(is_there);
        is_there
    }

    fn space(&mut self) {
        while matches!(self.bytes.get(self.at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<(String, String)> {
        let found = members(text).unwrap().unwrap();
        let pair = |(key, value): Member<'_>| (key.into_owned(), text[value].to_owned());
        found.into_iter().map(pair).collect()
    }

    #[test]
    fn members_keep_their_text() {
        let text = r#" {"a":[1,{"b":"]}"}], "k\u0065y" : "x\"y" ,"n":-1.50e3,"t":true} "#;
        let expected = [
            ("a", r#"[1,{"b":"]}"}]"#),
            ("key", r#""x\"y""#),
            ("n", "-1.50e3"),
            ("t", "true"),
        ];
        let expected = expected.map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(split(text), expected);
        assert!(split("{}").is_empty());
    }

    #[test]
    fn other_values_are_no_objects() {
        assert_eq!(members("[1]"), Ok(None));
        assert_eq!(members(""), Ok(None));
    }

    #[test]
    fn what_is_wrong_has_a_place() {
        for (text, at) in [
            ("{\"a\" 1}", 5),
            ("{\"a\":1", 6),
            ("{\"a\":1 \"b\":2}", 7),
            ("{a:1}", 1),
            ("{\"a\":}", 5),
            ("{\"a\":[1,2}", 10),
            ("{\"a\":\"x}", 5),
            ("{\"a\":1} x", 8),
            ("{\"a\":\"\\", 5),
            ("{\"a\":[]]}", 7),
        ] {
            let fault = members(text).unwrap_err();
            assert_eq!(fault.0, at, "{text}: {}", fault.1);
        }
    }
}
