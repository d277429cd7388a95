//! Floats, each the one nearest to what was written, ties to even.

use std::marker::PhantomData;

use arrow::datatypes::ArrowNativeType;
use half::{bf16, f16};

use super::digits::{POWERS_OF_TEN, leading_8, leading_16};
use super::element::{Element, ends_number};
use super::number::{Decimal, Number, read_number};
use super::stop::{Read, syntax};

/// The float format `F`.
pub(super) struct Real<F>(PhantomData<F>);

/// One float format.
pub(super) trait Format {
    /// How a value is stored; half formats as their bits.
    type Native: ArrowNativeType;

    /// The value, if it can be had exactly by one or two operations; the decimal is exact.
    fn quick(decimal: Decimal) -> Option<Self::Native>;

    /// The value of a checked number; what this format cannot hold is infinite.
    fn careful(text: &[u8]) -> Option<Self::Native>;

    /// A value without a decimal: not a number or infinite.
    fn special(value: f64) -> Self::Native;
}

impl<F: Format> Element for Real<F> {
    type Native = F::Native;

    #[inline]
    fn read(bytes: &[u8], at: usize) -> Read<F::Native> {
        if let Some((decimal, end)) = read_plain(bytes, at) {
            if let Some(value) = F::quick(decimal) {
                return Ok((value, end));
            }
        }
        read_any::<F>(bytes, at)
    }
}

/// Numbers of at most 19 digits without an exponent that are not at the very end of the body.
#[inline]
fn read_plain(bytes: &[u8], at: usize) -> Option<(Decimal, usize)> {
    let negative = *bytes.get(at)? == b'-';
    let start = at + usize::from(negative);
    let window = bytes.get(start..)?.first_chunk::<32>()?;
    let first = window[0].wrapping_sub(b'0');
    let (whole, whole_digits) = if first <= 9 && window[1] == b'.' {
        (u64::from(first), 1)
    } else {
        let (count, whole) = leading_8(*window.first_chunk()?);
        if count == 0 || count == 8 || (first == 0 && count > 1) {
            return None;
        }
        (whole, count)
    };
    let (mantissa, fraction_digits, length) = if window[whole_digits & 7] == b'.' {
        let fraction = window.get(whole_digits + 1..)?;
        read_fraction(whole, whole_digits, fraction)?
    } else {
        (whole, 0, whole_digits)
    };
    if !ends_number(*window.get(length)?) {
        return None;
    }
    let decimal = Decimal {
        negative,
        mantissa,
        exponent: -fraction_digits,
        exact: true,
        integer: false,
    };
    Some((decimal, start + length))
}

/// Digits after the point: the mantissa with them, how many they are, and the number's length.
#[inline]
fn read_fraction(whole: u64, whole_digits: usize, text: &[u8]) -> Option<(u64, i32, usize)> {
    let (mut count, fraction) = leading_16(*text.first_chunk()?);
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
    let value = match number {
        Number::NaN => F::special(f64::NAN),
        Number::Infinity { negative: false } => F::special(f64::INFINITY),
        Number::Infinity { negative: true } => F::special(f64::NEG_INFINITY),
        Number::Finite(decimal) => {
            let quick = if decimal.exact {
                F::quick(decimal)
            } else {
                None
            };
            let text = bytes.get(at..end).unwrap_or_default();
            quick
                .or_else(|| F::careful(text))
                .ok_or_else(|| syntax("Number too big to be stored in double.", at))?
        }
    };
    Ok((value, end))
}

/// Powers of ten that an `f64` holds exactly.
const EXACT_POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

/// `mantissa * 10^exponent` with at most three roundings; `None` for large exponents.
#[inline]
fn scaled(decimal: Decimal) -> Option<f64> {
    let mantissa = decimal.mantissa as f64;
    let power = *EXACT_POWERS.get(decimal.exponent.unsigned_abs() as usize)?;
    let magnitude = if decimal.exponent < 0 {
        mantissa / power
    } else {
        mantissa * power
    };
    Some(if decimal.negative {
        -magnitude
    } else {
        magnitude
    })
}

impl Format for f64 {
    type Native = f64;

    /// Exact operands and one operation: the only rounding is the right one.
    #[inline]
    fn quick(decimal: Decimal) -> Option<f64> {
        if decimal.mantissa > 1 << f64::MANTISSA_DIGITS {
            return None;
        }
        scaled(decimal)
    }

    fn careful(text: &[u8]) -> Option<f64> {
        let value: f64 = fast_float2::parse(text).ok()?;
        value.is_finite().then_some(value)
    }

    fn special(value: f64) -> f64 {
        value
    }
}

impl Format for f32 {
    type Native = f32;

    /// A double that is wrong by at most two units rounds to the right float unless it is that close
    /// to the middle between two floats. The smallest result, 1e-22, is far from the subnormals.
    #[inline]
    fn quick(decimal: Decimal) -> Option<f32> {
        const BELOW_FLOAT: u64 = (1 << (f64::MANTISSA_DIGITS - f32::MANTISSA_DIGITS)) - 1;
        const MIDDLE: u64 = BELOW_FLOAT / 2 + 1;
        let value = scaled(decimal)?;
        let from_middle = (value.to_bits() & BELOW_FLOAT).abs_diff(MIDDLE);
        if from_middle <= 4 {
            return None;
        }
        Some(narrowed(value))
    }

    /// Beyond the largest float is infinity, as in TensorFlow Serving, but not beyond any double.
    fn careful(text: &[u8]) -> Option<f32> {
        f64::careful(text)?;
        fast_float2::parse(text).ok()
    }

    fn special(value: f64) -> f32 {
        narrowed(value)
    }
}

/// IEEE half precision, stored as bits.
pub(super) struct Half;

impl Format for Half {
    type Native = u16;

    #[inline]
    fn quick(decimal: Decimal) -> Option<u16> {
        f64::quick(decimal).map(Self::special)
    }

    fn careful(text: &[u8]) -> Option<u16> {
        f64::careful(text).map(Self::special)
    }

    fn special(value: f64) -> u16 {
        f16::from_f32(rounded_to_odd(value)).to_bits()
    }
}

/// Brain floating point, stored as bits.
pub(super) struct Brain;

impl Format for Brain {
    type Native = u16;

    #[inline]
    fn quick(decimal: Decimal) -> Option<u16> {
        f64::quick(decimal).map(Self::special)
    }

    fn careful(text: &[u8]) -> Option<u16> {
        f64::careful(text).map(Self::special)
    }

    fn special(value: f64) -> u16 {
        bf16::from_f32(rounded_to_odd(value)).to_bits()
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "rounds to nearest, ties to even"
)]
#[inline]
fn narrowed(value: f64) -> f32 {
    value as f32
}

/// The float whose last bit tells that something was cut off, so that a second rounding to a
/// narrower format comes out as if it were the only one.
fn rounded_to_odd(value: f64) -> f32 {
    let nearest = narrowed(value);
    if f64::from(nearest) == value || value.is_nan() {
        return nearest;
    }
    let too_large = f64::from(nearest).abs() > value.abs();
    f32::from_bits((nearest.to_bits() - u32::from(too_large)) | 1)
}

#[cfg(test)]
mod tests;
