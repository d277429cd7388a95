//! The outermost object that the bodies of all three verbs have in common.

use super::error::JsonError;
use super::explain::{document_error, echo, echo_bytes, not_an_object};
use super::limits::{JsonLimits, Strictness};
use super::scanner::{Next, Scanner, SkipBudget};
use super::stop::syntax;

/// Names of signatures are never longer, in bytes.
const MAX_SIGNATURE_NAME_BYTES: usize = 256;

/// A body while it is read, and what was found in it that no verb has for itself.
pub(super) struct Document<'a> {
    scanner: Scanner<'a>,
    pub(super) signature_name: Option<String>,
    /// Keys that were skipped because no protocol defines them.
    pub(super) ignored_keys: usize,
    strictness: Strictness,
    budget: SkipBudget,
}

/// What a verb did with a member of the outermost object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Member {
    /// Its value was read.
    Read,
    /// It is none of the verb's own keys; nothing was read.
    Foreign,
}

impl<'a> Document<'a> {
    /// A document at its beginning; fails if the body is not UTF-8.
    pub(super) fn new(body: &'a [u8], limits: &JsonLimits) -> Result<Self, JsonError> {
        check_encoding(body)?;
        Ok(Self {
            scanner: Scanner::new(body),
            signature_name: None,
            ignored_keys: 0,
            strictness: limits.rules.strictness,
            budget: SkipBudget {
                depth: limits.max_depth,
                keys: limits.max_ignored_keys,
            },
        })
    }

    /// Reads everything; `own` gets each key and a scanner before its value.
    pub(super) fn read(
        &mut self,
        expected: &str,
        mut own: impl FnMut(&mut Scanner<'a>, &[u8]) -> Result<Member, JsonError>,
    ) -> Result<(), JsonError> {
        if !self.scanner.take(b'{') {
            return Err(not_an_object(&self.scanner, expected));
        }
        let mut next = match self.scanner.take(b'}') {
            true => Next::Closed,
            false => Next::Another,
        };
        while next == Next::Another {
            let key = self.scanner.key().map_err(document_error)?;
            if own(&mut self.scanner, &key)? == Member::Foreign {
                match key.as_ref() {
                    b"signature_name" => self.read_signature_name()?,
                    _ => self.ignore_value(&key)?,
                }
            }
            next = self.scanner.after_member().map_err(document_error)?;
        }
        if self.scanner.peek().is_some() {
            let text = "The document root must not be followed by other values.";
            return Err(document_error(syntax(text, self.scanner.at())));
        }
        Ok(())
    }

    fn read_signature_name(&mut self) -> Result<(), JsonError> {
        if self.signature_name.is_some() {
            return Err(JsonError::invalid("duplicate key 'signature_name'"));
        }
        if self.scanner.peek() != Some(b'"') {
            let value = echo(&self.scanner);
            return Err(JsonError::invalid(format!(
                "JSON Value: {value} not formatted correctly. 'signature_name' key must be a string value."
            )));
        }
        let name = self.scanner.string().map_err(document_error)?;
        if name.is_empty() || name.len() > MAX_SIGNATURE_NAME_BYTES {
            return Err(JsonError::invalid(format!(
                "'signature_name' must have 1 to {MAX_SIGNATURE_NAME_BYTES} bytes, got {}: {}",
                name.len(),
                echo_bytes(&name)
            )));
        }
        let name = String::from_utf8(name.into_owned());
        self.signature_name =
            Some(name.map_err(|_| JsonError::invalid("'signature_name' is not UTF-8"))?);
        Ok(())
    }

    fn ignore_value(&mut self, key: &[u8]) -> Result<(), JsonError> {
        if self.strictness == Strictness::Strict {
            return Err(JsonError::invalid(format!(
                "unknown key {} in the request",
                echo_bytes(key)
            )));
        }
        self.ignored_keys += 1;
        if self.budget.keys == 0 {
            return Err(JsonError::invalid(format!(
                "more than {} keys that are no part of a request",
                self.ignored_keys - 1
            )));
        }
        self.budget.keys -= 1;
        self.scanner
            .skip_value(&mut self.budget)
            .map_err(document_error)
    }
}

/// JSON is UTF-8 without a byte order mark; everything later relies on it.
pub(super) fn check_encoding(body: &[u8]) -> Result<(), JsonError> {
    if body.is_empty() {
        return Err(JsonError::invalid(
            "JSON Parse error: The document is empty (empty body)",
        ));
    }
    if body.starts_with(&[0xef, 0xbb, 0xbf]) {
        return Err(JsonError::invalid(
            "body begins with a UTF-8 byte order mark, which JSON does not allow; send it without",
        ));
    }
    let has_utf16_mark = body.starts_with(&[0xff, 0xfe]) || body.starts_with(&[0xfe, 0xff]);
    if has_utf16_mark || body.iter().take(2).any(|&byte| byte == 0) {
        return Err(JsonError::invalid(
            "body is UTF-16 or UTF-32; JSON must be sent as UTF-8",
        ));
    }
    if simdutf8::basic::from_utf8(body).is_ok() {
        return Ok(());
    }
    let at = body
        .utf8_chunks()
        .next()
        .map_or(0, |chunk| chunk.valid().len());
    Err(JsonError::invalid(format!(
        "body is not UTF-8: invalid byte at offset: {at}"
    )))
}
