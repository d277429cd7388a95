//! The outermost object of a predict request.

use crate::{Signature, Tensor};

use super::error::JsonError;
use super::explain::{document_error, echo, echo_bytes, not_an_object};
use super::limits::JsonLimits;
use super::scanner::{Next, Scanner, SkipBudget};
use super::sections::Inputs;
use super::stop::syntax;

/// How a request lists its values, and therefore how its answer must.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `instances`: one entry per row. Answered with `predictions`.
    Row,
    /// `inputs`: one entry per input, rows inside. Answered with `outputs`.
    Column,
}

/// A predict request whose values fit the signature.
#[derive(Debug)]
pub struct PredictRequest {
    /// How the values were listed.
    pub format: Format,
    /// `signature_name`, if the body has it. The caller compares it with the signature it gave.
    pub signature_name: Option<String>,
    /// One tensor per input of the signature, in its order, all with the same number of rows, which
    /// is at least 1. Data start at a 64-byte boundary.
    pub tensors: Vec<Tensor>,
    /// How many keys of the outermost object were skipped because no protocol defines them.
    pub ignored_keys: usize,
}

/// Names of signatures are never longer, in bytes.
const MAX_SIGNATURE_NAME_BYTES: usize = 256;

/// Reads the body of a predict request into the inputs of `signature`.
///
/// Values are only accepted where they fit: integers are exact and in range, floats are the nearest
/// to what was written (`NaN`, `Infinity` and `-Infinity` are accepted, FP32 overflows to infinity),
/// every row has the same shape, every input is there once. Whatever the body, this returns in time
/// proportional to its length and allocates no more than a few times the tensors that it can hold.
pub fn parse_predict(
    body: &[u8],
    signature: &Signature,
    limits: &JsonLimits,
) -> Result<PredictRequest, JsonError> {
    check_encoding(body)?;
    let document = Document {
        scanner: Scanner::new(body),
        inputs: Inputs::new(signature, limits)?,
        format: None,
        signature_name: None,
        ignored_keys: 0,
        budget: SkipBudget {
            depth: limits.max_depth,
            keys: limits.max_ignored_keys,
        },
    };
    document.read()
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

struct Document<'a> {
    scanner: Scanner<'a>,
    inputs: Inputs<'a>,
    format: Option<Format>,
    signature_name: Option<String>,
    ignored_keys: usize,
    budget: SkipBudget,
}

impl Document<'_> {
    fn read(mut self) -> Result<PredictRequest, JsonError> {
        if !self.scanner.take(b'{') {
            return Err(not_an_object(&self.scanner));
        }
        if !self.scanner.take(b'}') {
            self.read_members()?;
        }
        if self.scanner.peek().is_some() {
            let text = "The document root must not be followed by other values.";
            return Err(document_error(syntax(text, self.scanner.at())));
        }
        let Some(format) = self.format else {
            return Err(JsonError::invalid("Missing 'inputs' or 'instances' key"));
        };
        Ok(PredictRequest {
            format,
            signature_name: self.signature_name,
            tensors: self.inputs.finish(format)?,
            ignored_keys: self.ignored_keys,
        })
    }

    fn read_members(&mut self) -> Result<(), JsonError> {
        loop {
            let key = self.scanner.key().map_err(document_error)?;
            match key.as_ref() {
                b"instances" => self.read_section(Format::Row)?,
                b"inputs" => self.read_section(Format::Column)?,
                b"signature_name" => self.read_signature_name()?,
                _ => self.ignore_value()?,
            }
            if self.scanner.after_member().map_err(document_error)? == Next::Closed {
                return Ok(());
            }
        }
    }

    fn read_section(&mut self, format: Format) -> Result<(), JsonError> {
        match self.format {
            Some(earlier) if earlier == format => {
                return Err(JsonError::invalid(match format {
                    Format::Row => "duplicate key 'instances'",
                    Format::Column => "duplicate key 'inputs'",
                }));
            }
            Some(_) => {
                return Err(JsonError::invalid(
                    "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist ",
                ));
            }
            None => self.format = Some(format),
        }
        match format {
            Format::Row => self.inputs.read_instances(&mut self.scanner),
            Format::Column => self.inputs.read_columns(&mut self.scanner),
        }
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

    fn ignore_value(&mut self) -> Result<(), JsonError> {
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
