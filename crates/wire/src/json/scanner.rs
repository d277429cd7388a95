//! A place in a body: white space, punctuation, keys, and values that nobody wants.

use std::borrow::Cow;

use super::number;
use super::stop::{
    Fault, INVALID_VALUE, MISSING_COMMA_IN_LIST, MISSING_COMMA_IN_OBJECT, Stop, syntax,
};
use super::string::read_string;

/// Walks forward over a body that is known to be UTF-8; never backwards, never recursively.
#[derive(Debug, Clone)]
pub(super) struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// What may still be skipped; [`Scanner::skip_value`] uses it up.
#[derive(Debug, Clone)]
pub(super) struct SkipBudget {
    /// Lists and objects inside each other, at most [`SkipBudget::MAX_DEPTH`].
    pub(super) depth: usize,
    /// Keys of objects.
    pub(super) keys: usize,
}

impl SkipBudget {
    /// One bit per level says whether it is a list or an object.
    pub(super) const MAX_DEPTH: usize = 64;
}

/// What follows an element of a list or a member of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// A comma was read.
    Another,
    /// The closing bracket or brace was read.
    Closed,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Offset of the next byte.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// A scanner over the same bytes, at another place.
    pub(super) fn moved_to(&self, at: usize) -> Self {
        Self {
            bytes: self.bytes,
            at,
        }
    }

    pub(super) fn advance_to(&mut self, at: usize) {
        self.at = at;
    }

    /// Bytes not read yet.
    pub(super) fn remaining(&self) -> usize {
        self.bytes.len().saturating_sub(self.at)
    }

    /// The next byte that is not white space; stays before it.
    #[inline]
    pub(super) fn peek(&mut self) -> Option<u8> {
        self.at = skip_whitespace(self.bytes, self.at);
        self.bytes.get(self.at).copied()
    }

    /// Reads `byte`, after white space, or says what is missing.
    #[inline]
    pub(super) fn expect(&mut self, byte: u8, missing: &'static str) -> Result<(), Stop> {
        if self.take(byte) {
            return Ok(());
        }
        Err(syntax(missing, self.at))
    }

    /// Reads `byte` if it comes next, after white space.
    #[inline]
    pub(super) fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Reads what follows an element of a list.
    pub(super) fn after_element(&mut self) -> Result<Next, Stop> {
        self.after(b']', MISSING_COMMA_IN_LIST)
    }

    /// Reads what follows a member of an object.
    pub(super) fn after_member(&mut self) -> Result<Next, Stop> {
        self.after(b'}', MISSING_COMMA_IN_OBJECT)
    }

    fn after(&mut self, close: u8, missing: &'static str) -> Result<Next, Stop> {
        if self.take(b',') {
            return Ok(Next::Another);
        }
        self.expect(close, missing)?;
        Ok(Next::Closed)
    }

    /// Reads a string; the next byte must be its quotation mark.
    pub(super) fn string(&mut self) -> Result<Cow<'a, [u8]>, Stop> {
        let (text, end) = read_string(self.bytes, self.at)?;
        self.at = end;
        Ok(text)
    }

    /// Reads a key and the colon after it.
    pub(super) fn key(&mut self) -> Result<Cow<'a, [u8]>, Stop> {
        if self.peek() != Some(b'"') {
            return Err(syntax("Missing a name for object member.", self.at));
        }
        let key = self.string()?;
        self.expect(b':', "Missing a colon after a name of object member.")?;
        Ok(key)
    }

    /// Reads one value of any kind, checks that it is JSON, and drops it. Takes the keys it meets
    /// off the budget.
    pub(super) fn skip_value(&mut self, budget: &mut SkipBudget) -> Result<(), Stop> {
        let mut open = Open::default();
        loop {
            match self.peek() {
                Some(b'[') => {
                    open.push(false, budget, self.at)?;
                    self.at += 1;
                    if !self.take(b']') {
                        continue;
                    }
                    open.pop();
                }
                Some(b'{') => {
                    open.push(true, budget, self.at)?;
                    self.at += 1;
                    if !self.take(b'}') {
                        self.skip_key(budget)?;
                        continue;
                    }
                    open.pop();
                }
                _ => self.skip_scalar()?,
            }
            if self.close_finished(&mut open, budget)? {
                return Ok(());
            }
        }
    }

    /// After a value: closes what ends here; true when nothing is open any more.
    fn close_finished(&mut self, open: &mut Open, budget: &mut SkipBudget) -> Result<bool, Stop> {
        while open.depth > 0 {
            let next = if open.in_object() {
                self.after_member()?
            } else {
                self.after_element()?
            };
            match next {
                Next::Closed => open.pop(),
                Next::Another => {
                    if open.in_object() {
                        self.skip_key(budget)?;
                    }
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    fn skip_key(&mut self, budget: &mut SkipBudget) -> Result<(), Stop> {
        let at = self.at;
        self.key()?;
        budget.keys = budget.keys.checked_sub(1).ok_or(Stop {
            fault: Fault::TooManyKeys,
            at,
        })?;
        Ok(())
    }

    fn skip_scalar(&mut self) -> Result<(), Stop> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        match rest.first() {
            Some(b'"') => self.string().map(|_| ()),
            Some(b't') => self.skip_literal(b"true"),
            Some(b'f') => self.skip_literal(b"false"),
            Some(b'n') => self.skip_literal(b"null"),
            _ => {
                let (_, end) = number::read_number(self.bytes, self.at)?;
                self.at = end;
                Ok(())
            }
        }
    }

    fn skip_literal(&mut self, literal: &[u8]) -> Result<(), Stop> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        if !rest.starts_with(literal) {
            return Err(syntax(INVALID_VALUE, self.at));
        }
        self.at += literal.len();
        Ok(())
    }
}

/// The lists and objects that are open, innermost in the lowest bit; a set bit is an object.
#[derive(Default)]
struct Open {
    kinds: u64,
    depth: usize,
}

impl Open {
    fn push(&mut self, object: bool, budget: &SkipBudget, at: usize) -> Result<(), Stop> {
        if self.depth >= budget.depth.min(SkipBudget::MAX_DEPTH) {
            return Err(Stop {
                fault: Fault::TooDeep,
                at,
            });
        }
        self.kinds = (self.kinds << 1) | u64::from(object);
        self.depth += 1;
        Ok(())
    }

    fn pop(&mut self) {
        self.kinds >>= 1;
        self.depth -= 1;
    }

    fn in_object(&self) -> bool {
        self.kinds & 1 == 1
    }
}

/// The offset of the first byte at or after `at` that is not JSON white space.
#[inline]
pub(super) fn skip_whitespace(bytes: &[u8], mut at: usize) -> usize {
    while let Some(&byte) = bytes.get(at) {
        if byte > b' ' || !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
            break;
        }
        at += 1;
    }
    at
}
