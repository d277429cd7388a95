//! JSON for other protocols' envelopes: read forward, without a tree, values straight into tensors.

use std::borrow::Cow;

use crate::{Tensor, TensorSpec};

use super::document::check_encoding;
use super::element::Element;
use super::error::JsonError;
use super::explain::{Place, document_error, echo, echo_bytes, value_error};
use super::input::{Finished, Input};
use super::integer::Integer;
use super::limits::{JsonLimits, Strictness};
use super::request::Format;
use super::scanner::{Next, Scanner, SkipBudget};
use super::stop::{Fault, syntax};

/// A place in a body that is UTF-8; a clone reads the same bytes again.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    scanner: Scanner<'a>,
    budget: SkipBudget,
    limits: JsonLimits,
}

/// An object or list that is being read.
#[derive(Debug)]
pub(crate) struct Opened {
    is_first: bool,
}

impl<'a> Reader<'a> {
    /// Starts before the root; fails if the body is empty or not UTF-8.
    pub(crate) fn new(body: &'a [u8], limits: &JsonLimits) -> Result<Self, JsonError> {
        check_encoding(body)?;
        Ok(Self {
            scanner: Scanner::new(body),
            budget: SkipBudget {
                depth: limits.max_depth,
                keys: limits.max_ignored_keys,
            },
            limits: limits.clone(),
        })
    }

    /// Reads `{`, if an object comes next.
    pub(crate) fn object(&mut self) -> Option<Opened> {
        self.scanner.take(b'{').then_some(Opened { is_first: true })
    }

    /// Reads `[`, if a list comes next.
    pub(crate) fn list(&mut self) -> Option<Opened> {
        self.scanner.take(b'[').then_some(Opened { is_first: true })
    }

    /// Reads up to the value of the next member and returns its key; `None` at the object's end.
    pub(crate) fn member(
        &mut self,
        object: &mut Opened,
    ) -> Result<Option<Cow<'a, [u8]>>, JsonError> {
        let ended = if std::mem::take(&mut object.is_first) {
            self.scanner.take(b'}')
        } else {
            self.scanner.after_member().map_err(document_error)? == Next::Closed
        };
        if ended {
            return Ok(None);
        }
        self.scanner.key().map(Some).map_err(document_error)
    }

    /// Reads up to the next item; false at the list's end.
    pub(crate) fn item(&mut self, list: &mut Opened) -> Result<bool, JsonError> {
        let ended = if std::mem::take(&mut list.is_first) {
            self.scanner.take(b']')
        } else {
            self.scanner.after_element().map_err(document_error)? == Next::Closed
        };
        Ok(!ended)
    }

    /// Reads a string; `None`, and nothing read, if something else comes next.
    pub(crate) fn text(&mut self) -> Result<Option<Cow<'a, str>>, JsonError> {
        if self.scanner.peek() != Some(b'"') {
            return Ok(None);
        }
        let text = self.scanner.string().map_err(document_error)?;
        // The body is UTF-8 and escapes are characters, so nothing is ever replaced.
        Ok(Some(match text {
            Cow::Borrowed(text) => String::from_utf8_lossy(text),
            Cow::Owned(text) => Cow::Owned(String::from_utf8_lossy(&text).into_owned()),
        }))
    }

    /// Reads an integer; `None`, and nothing read, if something else comes next or it is beyond 64 bits.
    pub(crate) fn integer(&mut self) -> Result<Option<i64>, JsonError> {
        self.scanner.peek();
        match Integer::<i64>::read(self.scanner.bytes(), self.scanner.at()) {
            Ok((value, end)) => {
                self.scanner.advance_to(end);
                Ok(Some(value))
            }
            Err(stop) if matches!(stop.fault, Fault::WrongType | Fault::OutOfRange) => Ok(None),
            Err(stop) => Err(document_error(stop)),
        }
    }

    /// Reads `true` or `false`; `None`, and nothing read, if something else comes next.
    pub(crate) fn boolean(&mut self) -> Option<bool> {
        if self.literal(b"true") {
            return Some(true);
        }
        self.literal(b"false").then_some(false)
    }

    /// Reads `null`, if that comes next.
    pub(crate) fn null(&mut self) -> bool {
        self.literal(b"null")
    }

    fn literal(&mut self, literal: &[u8]) -> bool {
        self.scanner.peek();
        let rest = self.scanner.bytes().get(self.scanner.at()..);
        let found = rest.is_some_and(|rest| rest.starts_with(literal));
        if found {
            self.scanner.advance_to(self.scanner.at() + literal.len());
        }
        found
    }

    /// Reads one value of any kind and drops it.
    pub(crate) fn skip(&mut self) -> Result<(), JsonError> {
        self.scanner
            .skip_value(&mut self.budget)
            .map_err(document_error)
    }

    /// Drops the value of a key that no protocol defines; there may only be so many, and none where
    /// rules are strict.
    pub(crate) fn ignore(&mut self, key: &[u8]) -> Result<(), JsonError> {
        if self.limits.rules.strictness == Strictness::Strict {
            let key = echo_bytes(key);
            return Err(JsonError::invalid(format!("unknown key {key}")));
        }
        self.budget.keys = self
            .budget
            .keys
            .checked_sub(1)
            .ok_or_else(|| JsonError::invalid("too many keys that are no part of a request"))?;
        self.skip()
    }

    /// The next value as a message may show it.
    pub(crate) fn echo(&self) -> String {
        echo(&self.scanner)
    }

    /// Fails if anything but white space follows.
    pub(crate) fn end(&mut self) -> Result<(), JsonError> {
        if self.scanner.peek().is_none() {
            return Ok(());
        }
        let text = "The document root must not be followed by other values.";
        Err(document_error(syntax(text, self.scanner.at())))
    }

    /// How many lists begin here inside each other, as far as anybody wants to know.
    pub(crate) fn depth(&self, at_most: usize) -> usize {
        let mut scanner = self.scanner.clone();
        (0..at_most).take_while(|_| scanner.take(b'[')).count()
    }

    /// Reads the value of an input as lists of these dimensions, at least one.
    pub(crate) fn tensor(
        &mut self,
        spec: &TensorSpec,
        dimensions: &[usize],
    ) -> Result<Tensor, JsonError> {
        self.scanner.peek();
        let value = self.scanner.clone();
        let mut input = Input::new(spec, &self.limits).ok_or_else(|| {
            JsonError::invalid("the signature has an input without rows or of too many dimensions")
        })?;
        input.set_dimensions(dimensions);
        input.read(&mut self.scanner).map_err(|stop| {
            value_error(
                stop,
                &Place {
                    input: &input,
                    instance: None,
                    value,
                },
            )
        })?;
        let tensor = input.finish(Format::Column);
        match tensor.map_err(|error| JsonError::invalid(error.to_string()))? {
            Finished::Dense(tensor) => Ok(tensor),
            Finished::Sparse(_) => Err(JsonError::invalid("sparse tensors are not taken here")),
        }
    }
}
