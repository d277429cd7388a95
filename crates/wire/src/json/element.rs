//! What every fixed-size element type offers: reading one JSON value of its kind.

use arrow::datatypes::ArrowNativeType;

use super::stop::{Fault, INVALID_VALUE, Read, Stop, syntax};

/// An element type of fixed size.
pub(super) trait Element {
    /// How one element is stored.
    type Native: ArrowNativeType;

    /// Reads the value that begins at `at`; stops with `WrongType` if it is of another kind.
    fn read(bytes: &[u8], at: usize) -> Read<Self::Native>;

    /// Whether strict rules let the value pass.
    fn is_finite(_value: Self::Native) -> bool {
        true
    }
}

/// `true` and `false`, stored as one byte of 1 or 0.
pub(super) struct Boolean;

impl Element for Boolean {
    type Native = u8;

    fn read(bytes: &[u8], at: usize) -> Read<u8> {
        let rest = bytes.get(at..).unwrap_or_default();
        if rest.starts_with(b"true") {
            return Ok((1, at + 4));
        }
        if rest.starts_with(b"false") {
            return Ok((0, at + 5));
        }
        Err(wrong_type(bytes, at))
    }
}

/// The stop for a value of another kind, or for no value at all.
#[cold]
pub(super) fn wrong_type(bytes: &[u8], at: usize) -> Stop {
    match bytes.get(at) {
        None | Some(b']' | b'}' | b',' | b':') => syntax(INVALID_VALUE, at),
        Some(_) => Stop {
            fault: Fault::WrongType,
            at,
        },
    }
}

/// True for the bytes that may follow a number directly.
#[inline]
pub(super) fn ends_number(byte: u8) -> bool {
    matches!(byte, b',' | b']' | b'}' | b' ' | b'\n' | b'\r' | b'\t')
}
