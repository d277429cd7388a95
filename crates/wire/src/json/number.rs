//! JSON's number grammar, one byte at a time: the path for numbers that the fast readers leave.

use super::stop::{Fault, INVALID_VALUE, Read, Stop, syntax};

/// Longer numbers are refused: no float needs more, and an adversary would have us read them.
pub(super) const MAX_NUMBER_BYTES: usize = 512;

/// Digits that always fit into 64 bits.
const MAX_EXACT_DIGITS: usize = 19;

/// A number as it was written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    /// An ordinary number.
    Finite(Decimal),
    /// `NaN`, which is no JSON but accepted as TensorFlow Serving does.
    NaN,
    /// `Infinity` or `Inf`, with or without a minus.
    Infinity {
        /// With a minus.
        negative: bool,
    },
}

/// `(-1)^negative * mantissa * 10^exponent`, if `exact`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Decimal {
    pub(super) negative: bool,
    pub(super) mantissa: u64,
    pub(super) exponent: i32,
    /// False if there were more digits than `mantissa` holds.
    pub(super) exact: bool,
    /// Written without fraction and exponent.
    pub(super) integer: bool,
}

/// Reads the number that begins at `at`; stops with `WrongType` where some other value begins.
pub(super) fn read_number(bytes: &[u8], at: usize) -> Read<Number> {
    let rest = bytes.get(at..).unwrap_or_default();
    let capped = rest.get(..=MAX_NUMBER_BYTES).unwrap_or(rest);
    let mut text = Text {
        bytes: capped,
        at: 0,
    };
    let negative = text.take(b'-');
    if !text.peek().is_some_and(|byte| byte.is_ascii_digit()) {
        return read_non_finite(bytes, at);
    }
    let number = match read_decimal(&mut text, negative) {
        Ok(decimal) => Number::Finite(decimal),
        Err(_) if text.at > MAX_NUMBER_BYTES => return Err(too_long(at)),
        Err(missing) => return Err(syntax(missing, at + text.at)),
    };
    if text.at > MAX_NUMBER_BYTES {
        return Err(too_long(at));
    }
    Ok((number, at + text.at))
}

#[cold]
fn too_long(at: usize) -> Stop {
    Stop {
        fault: Fault::NumberTooLong,
        at,
    }
}

fn read_decimal(text: &mut Text<'_>, negative: bool) -> Result<Decimal, &'static str> {
    let mut digits = Digits::default();
    if !text.take(b'0') {
        text.digits(&mut digits);
    }
    let mut exponent = digits.dropped;
    let mut integer = true;
    if text.take(b'.') {
        integer = false;
        let fraction = text.digits(&mut digits);
        if fraction == 0 {
            return Err("Miss fraction part in number.");
        }
        exponent = digits.dropped - fraction;
    }
    if text.take(b'e') || text.take(b'E') {
        integer = false;
        exponent = exponent.saturating_add(text.exponent()?);
    }
    Ok(Decimal {
        negative,
        mantissa: digits.mantissa,
        exponent,
        exact: digits.dropped == 0,
        integer,
    })
}

/// `NaN`, `Infinity`, `Inf`, `-Infinity`, `-Inf`, or no number at all.
#[cold]
fn read_non_finite(bytes: &[u8], at: usize) -> Read<Number> {
    let rest = bytes.get(at..).unwrap_or_default();
    let infinity = |negative| Number::Infinity { negative };
    for (token, number) in [
        ("NaN", Number::NaN),
        ("Infinity", infinity(false)),
        ("Inf", infinity(false)),
        ("-Infinity", infinity(true)),
        ("-Inf", infinity(true)),
    ] {
        if rest.starts_with(token.as_bytes()) {
            return Ok((number, at + token.len()));
        }
    }
    match rest.first() {
        Some(b'"' | b'[' | b'{' | b't' | b'f' | b'n') => Err(Stop {
            fault: Fault::WrongType,
            at,
        }),
        _ => Err(syntax(INVALID_VALUE, at)),
    }
}

/// The significant digits so far.
#[derive(Default)]
struct Digits {
    mantissa: u64,
    /// Digits in `mantissa`, without leading zeros.
    kept: usize,
    /// Digits that no longer fit.
    dropped: i32,
}

impl Digits {
    fn push(&mut self, digit: u8) {
        if self.kept == MAX_EXACT_DIGITS {
            self.dropped += 1;
            return;
        }
        self.mantissa = self.mantissa * 10 + u64::from(digit);
        self.kept += usize::from(self.mantissa != 0);
    }
}

/// At most one number's worth of bytes.
struct Text<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Text<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Reads digits and returns how many.
    fn digits(&mut self, digits: &mut Digits) -> i32 {
        let mut count = 0;
        while let Some(byte @ b'0'..=b'9') = self.peek() {
            digits.push(byte - b'0');
            count += 1;
            self.at += 1;
        }
        count
    }

    /// Reads what follows `e`; sizes beyond any float stay beyond any float.
    fn exponent(&mut self) -> Result<i32, &'static str> {
        let negative = self.take(b'-');
        if !negative {
            self.take(b'+');
        }
        let start = self.at;
        let mut value = 0i32;
        while let Some(byte @ b'0'..=b'9') = self.peek() {
            value = value
                .saturating_mul(10)
                .saturating_add(i32::from(byte - b'0'));
            self.at += 1;
        }
        if self.at == start {
            return Err("Miss exponent in number.");
        }
        Ok(if negative { -value } else { value })
    }
}
