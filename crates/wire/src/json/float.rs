//! Floats from JSON numbers; [`super::rounding`] makes them the nearest ones.

use std::marker::PhantomData;

use super::digits::{POWERS_OF_TEN, leading_8, leading_16, tail, window};
use super::element::{Element, ends_number};
use super::number::{Decimal, Number, read_number};
use super::rounding::Format;
use super::stop::{Read, syntax};

/// The float format `F`.
pub(super) struct Real<F>(PhantomData<F>);

impl<F: Format> Element for Real<F> {
    type Native = F::Native;

    #[inline(always)]
    fn read(bytes: &[u8], at: usize) -> Read<F::Native> {
        let Some((decimal, end)) = read_plain(bytes, at) else {
            return read_any::<F>(bytes, at);
        };
        match F::quick(decimal) {
            Some(value) => Ok((value, end)),
            None => carefully::<F>(bytes, at, end),
        }
    }

    fn is_finite(value: F::Native) -> bool {
        F::is_finite(value)
    }
}

/// Numbers of at most 19 digits without an exponent.
#[inline(always)]
fn read_plain(bytes: &[u8], at: usize) -> Option<(Decimal, usize)> {
    let end_of_body;
    let window: &[u8; 40] = match window(bytes, at) {
        Some(window) => window,
        None => {
            end_of_body = tail(bytes, at);
            &end_of_body
        }
    };
    let negative = window[0] == b'-';
    let text: &[u8; 32] = if negative {
        window[1..].first_chunk()?
    } else {
        window.first_chunk()?
    };
    let first = text[0].wrapping_sub(b'0');
    let (mantissa, fraction_digits, length) = if first <= 9 && text[1] == b'.' {
        // Both places are read before it is known which counts: the sign is not waited for.
        let (unsigned, signed) = (sixteen(&window[2..])?, sixteen(&window[3..])?);
        let fraction = if negative { signed } else { unsigned };
        read_fraction(u64::from(first), 1, (fraction, &text[2..]))?
    } else {
        let (count, whole) = leading_8(*text.first_chunk()?);
        if count == 0 || count == 8 || (first == 0 && count > 1) {
            return None;
        }
        if text[count] == b'.' {
            let rest = &text[count + 1..];
            read_fraction(whole, count, (sixteen(rest)?, rest))?
        } else {
            (whole, 0, count)
        }
    };
    if !ends_number(*text.get(length)?) {
        return None;
    }
    let decimal = Decimal {
        negative,
        mantissa,
        exponent: -fraction_digits,
        exact: true,
        integer: false,
    };
    Some((decimal, at + usize::from(negative) + length))
}

#[inline(always)]
fn sixteen(text: &[u8]) -> Option<[[u8; 8]; 2]> {
    text.first_chunk::<16>()?
        .as_chunks()
        .0
        .first_chunk()
        .copied()
}

/// Digits after the point, given their first sixteen bytes and all of them: the mantissa with them,
/// how many they are, and the number's length.
#[inline(always)]
fn read_fraction(
    whole: u64,
    whole_digits: usize,
    (first, text): ([[u8; 8]; 2], &[u8]),
) -> Option<(u64, i32, usize)> {
    let (mut count, fraction) = leading_16(first);
    if count == 0 || whole_digits + count > 19 {
        return None;
    }
    let mut mantissa = whole * POWERS_OF_TEN[count] + fraction;
    if count == 16 {
        while let Some(digit @ b'0'..=b'9') = text.get(count) {
            if whole_digits + count >= 19 {
                return None;
            }
            mantissa = mantissa * 10 + u64::from(digit - b'0');
            count += 1;
        }
    }
    let fraction_digits = i32::try_from(count).ok()?;
    Some((mantissa, fraction_digits, whole_digits + 1 + count))
}

#[cold]
fn read_any<F: Format>(bytes: &[u8], at: usize) -> Read<F::Native> {
    let (number, end) = read_number(bytes, at)?;
    let special = match number {
        Number::Finite(decimal) if decimal.exact => F::quick(decimal),
        Number::Finite(_) => None,
        Number::NaN => Some(F::special(f64::NAN)),
        Number::Infinity { negative: false } => Some(F::special(f64::INFINITY)),
        Number::Infinity { negative: true } => Some(F::special(f64::NEG_INFINITY)),
    };
    match special {
        Some(value) => Ok((value, end)),
        None => carefully::<F>(bytes, at, end),
    }
}

/// The value of the number from `at` to `end`, whatever it takes.
#[cold]
fn carefully<F: Format>(bytes: &[u8], at: usize, end: usize) -> Read<F::Native> {
    match F::careful(bytes.get(at..end).unwrap_or_default()) {
        Some(value) => Ok((value, end)),
        None => Err(syntax("Number too big to be stored in double.", at)),
    }
}

#[cfg(test)]
mod tests;
