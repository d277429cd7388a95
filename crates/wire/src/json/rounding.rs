//! From decimals to the nearest float of every format, ties to even.

use arrow::datatypes::ArrowNativeType;
use half::{bf16, f16};

use super::number::Decimal;

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

    /// False for what is not a number or infinite.
    fn is_finite(value: Self::Native) -> bool;
}

/// Powers of ten that an `f64` holds exactly.
const EXACT_POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

/// `mantissa * 10^exponent`, exact operands and one rounding if the mantissa has at most 53 bits; `None`
/// for large exponents.
#[inline(always)]
fn scaled(decimal: Decimal) -> Option<f64> {
    let power = *EXACT_POWERS.get(decimal.exponent.unsigned_abs() as usize)?;
    let mantissa = signed_mantissa(decimal);
    Some(if decimal.exponent < 0 {
        mantissa / power
    } else {
        mantissa * power
    })
}

/// [`scaled`] with three roundings instead of one and a multiplication instead of a division.
#[inline(always)]
fn scaled_roughly(decimal: Decimal) -> Option<f64> {
    let index = decimal.exponent.checked_add(22)?;
    let power = *ALL_POWERS.get(usize::try_from(index).ok()?)?;
    Some(signed_mantissa(decimal) * power)
}

#[inline(always)]
fn signed_mantissa(decimal: Decimal) -> f64 {
    let mantissa = decimal.mantissa as f64;
    if decimal.negative {
        -mantissa
    } else {
        mantissa
    }
}

/// From 1e-22 to 1e22, each the nearest double.
const ALL_POWERS: [f64; 45] = {
    let mut powers = [1.0; 45];
    let mut k = 0;
    while k < EXACT_POWERS.len() {
        powers[22 + k] = EXACT_POWERS[k];
        powers[22 - k] = 1.0 / EXACT_POWERS[k];
        k += 1;
    }
    powers
};

/// `2^(127 + width) / 5^k`, rounded down, where 5^k has `width + 1` bits; the first bit is always set.
const RECIPROCALS: [(u128, i32); 23] = {
    let mut table = [(0, 0); 23];
    let mut divisor = 1u128;
    let mut k = 0;
    while k < table.len() {
        let width = divisor.ilog2();
        // Long division of a one and zeros, a bit at a time.
        let (mut quotient, mut remainder, mut bit) = (0, 1u128, 0);
        while bit < 127 + width {
            remainder *= 2;
            quotient *= 2;
            if remainder >= divisor {
                remainder -= divisor;
                quotient += 1;
            }
            bit += 1;
        }
        table[k] = (quotient, width.cast_signed());
        divisor *= 5;
        k += 1;
    }
    table
};

/// `mantissa * 10^exponent` for a nonzero mantissa and an exponent from -22 to -1; `None` in the rare
/// cases where 128 bits of the product do not tell which way to round.
fn divided(mantissa: u64, exponent: i32) -> Option<f64> {
    let &(reciprocal, width) = RECIPROCALS.get(usize::try_from(exponent.checked_neg()?).ok()?)?;
    if exponent == 0 || mantissa == 0 {
        return None;
    }
    let shift = mantissa.leading_zeros();
    let normal = u128::from(mantissa << shift);
    // The true product is at least this and less than two units more.
    let product =
        normal * (reciprocal >> 64) + ((normal * (reciprocal & u128::from(u64::MAX))) >> 64);
    let cut = u128::BITS - product.leading_zeros() - f64::MANTISSA_DIGITS;
    let half = 1 << (cut - 1);
    let below = product & ((half << 1) - 1);
    if below == half || below >= (half << 1) - 2 || (below < half && below >= half - 2) {
        return None;
    }
    let kept = u64::try_from(product >> cut).ok()? + u64::from(below > half);
    let binary = i64::from(cut) - i64::from(shift) - i64::from(63 + width - exponent);
    let power = f64::from_bits(u64::try_from(1023 + binary).ok()? << 52);
    Some(kept as f64 * power)
}

impl Format for f64 {
    type Native = f64;

    /// With exact operands one operation rounds right; more digits take the long division's digits.
    #[inline(always)]
    fn quick(decimal: Decimal) -> Option<f64> {
        if decimal.mantissa <= 1 << f64::MANTISSA_DIGITS {
            return scaled(decimal);
        }
        let magnitude = divided(decimal.mantissa, decimal.exponent)?;
        Some(if decimal.negative {
            -magnitude
        } else {
            magnitude
        })
    }

    fn careful(text: &[u8]) -> Option<f64> {
        let value: f64 = fast_float2::parse(text).ok()?;
        value.is_finite().then_some(value)
    }

    fn special(value: f64) -> f64 {
        value
    }

    fn is_finite(value: f64) -> bool {
        value.is_finite()
    }
}

impl Format for f32 {
    type Native = f32;

    /// A double that is wrong by at most three units rounds to the right float unless it is that close
    /// to the middle between two floats. The smallest result, 1e-22, is far from the subnormals.
    #[inline(always)]
    fn quick(decimal: Decimal) -> Option<f32> {
        const BELOW_FLOAT: u64 = (1 << (f64::MANTISSA_DIGITS - f32::MANTISSA_DIGITS)) - 1;
        const MIDDLE: u64 = BELOW_FLOAT / 2 + 1;
        let value = scaled_roughly(decimal)?;
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

    fn is_finite(value: f32) -> bool {
        value.is_finite()
    }
}

/// IEEE half precision, stored as bits.
pub(super) struct Half;

impl Format for Half {
    type Native = u16;

    #[inline(always)]
    fn quick(decimal: Decimal) -> Option<u16> {
        f64::quick(decimal).map(Self::special)
    }

    fn careful(text: &[u8]) -> Option<u16> {
        f64::careful(text).map(Self::special)
    }

    fn special(value: f64) -> u16 {
        f16::from_f32(rounded_to_odd(value)).to_bits()
    }

    fn is_finite(bits: u16) -> bool {
        f16::from_bits(bits).is_finite()
    }
}

/// Brain floating point, stored as bits.
pub(super) struct Brain;

impl Format for Brain {
    type Native = u16;

    #[inline(always)]
    fn quick(decimal: Decimal) -> Option<u16> {
        f64::quick(decimal).map(Self::special)
    }

    fn careful(text: &[u8]) -> Option<u16> {
        f64::careful(text).map(Self::special)
    }

    fn special(value: f64) -> u16 {
        bf16::from_f32(rounded_to_odd(value)).to_bits()
    }

    fn is_finite(bits: u16) -> bool {
        bf16::from_bits(bits).is_finite()
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
