//! Floats digit for digit as TensorFlow Serving writes them.
//!
//! It is C's `%g` with P significant digits: six where they read back as the same value, else nine
//! for FP32 and 17 for FP64. `%g` drops trailing zeros and turns scientific below 1e-4 and from 10^P
//! on. Whole numbers in plain notation get `.0`.

use super::limits::Strictness;

/// Significant digits where they suffice.
const SIX: usize = 6;
/// Significant digits that tell any two FP32 values apart.
const NINE: usize = 9;
/// Significant digits that tell any two FP64 values apart.
const SEVENTEEN: usize = 17;

/// How floats are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Floats {
    /// Digit for digit as TensorFlow Serving; strict rules write `null` for what is not finite.
    Serving(Strictness),
    /// With the fewest digits that read back the same; strict rules as above.
    Shortest(Strictness),
}

/// Appends a single-precision float. `NaN`, `Infinity` and `-Infinity` are bare tokens, unless the
/// rules are strict.
pub(super) fn push_f32(value: f32, floats: Floats, out: &mut Vec<u8>) {
    if !value.is_finite() {
        return push_special(f64::from(value), floats, out);
    }
    if matches!(floats, Floats::Shortest(_)) {
        let plain = is_plain(f64::from(value));
        return push_text(zmij::Buffer::new().format_finite(value), plain, NINE, out);
    }
    if value.is_sign_negative() {
        out.push(b'-');
    }
    let value = value.abs();
    match quick_digits(value) {
        Some(digits) => digits.push(out),
        None => push_carefully(value, out),
    }
}

/// Appends a double-precision float, like [`push_f32`].
pub(super) fn push_f64(value: f64, floats: Floats, out: &mut Vec<u8>) {
    if !value.is_finite() {
        return push_special(value, floats, out);
    }
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(value);
    if matches!(floats, Floats::Shortest(_)) {
        return push_text(text, is_plain(value), SEVENTEEN, out);
    }
    if value.is_subnormal() {
        return push_subnormal(value, out);
    }
    match significant_digits(text) {
        ..=SIX => push_text(text, is_plain(value), SIX, out),
        SEVENTEEN => push_text(text, is_plain(value), SEVENTEEN, out),
        // More than the fewest digits that read back are wanted.
        _ => push_in_style(&format!("{value:.16e}"), SEVENTEEN, out),
    }
}

/// True where `%g` writes plain notation, however many digits there are.
fn is_plain(value: f64) -> bool {
    value == 0.0 || (1e-4..1e6).contains(&value.abs())
}

fn push_text(text: &str, plain: bool, precision: usize, out: &mut Vec<u8>) {
    match plain {
        true => out.extend_from_slice(text.as_bytes()),
        false => push_in_style(text, precision, out),
    }
}

fn push_special(value: f64, floats: Floats, out: &mut Vec<u8>) {
    let (Floats::Serving(strictness) | Floats::Shortest(strictness)) = floats;
    out.extend_from_slice(match value {
        _ if strictness == Strictness::Strict => &b"null"[..],
        _ if value.is_nan() => b"NaN",
        f64::INFINITY => b"Infinity",
        _ => b"-Infinity",
    });
}

/// How many digits a number has, without zeros before the first and after the last.
fn significant_digits(text: &str) -> usize {
    let mantissa = text.split_once('e').map_or(text, |(mantissa, _)| mantissa);
    let mantissa = mantissa.trim_start_matches(['-', '0', '.']);
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    match fraction.trim_end_matches('0') {
        "" => whole.trim_end_matches('0').len(),
        fraction => whole.len() + fraction.len(),
    }
}

/// Few digits of a number: `0.ddd` times 10 to some power.
struct Digits {
    /// Of exactly `width` digits.
    value: u32,
    width: usize,
    /// The power of ten of the first digit, -4 to 5.
    exponent: i32,
}

/// The digits of a number from 1e-4 to 1e6 in plain notation; `None` elsewhere and where it would
/// take more than exact arithmetic on doubles to tell.
#[inline]
fn quick_digits(value: f32) -> Option<Digits> {
    // From 1e-4 to 1e5: how many are not above the number tells its exponent.
    const DECADES: [f64; 10] = [1e-4, 1e-3, 1e-2, 1e-1, 1e0, 1e1, 1e2, 1e3, 1e4, 1e5];
    // 24 bits times a power of five of at most 28 bits: every product is exact.
    const POWERS: [f64; 13] = [
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12,
    ];
    let exact = f64::from(value);
    let decades = DECADES.iter().filter(|&&decade| exact >= decade).count();
    if decades == 0 || exact >= 1e6 {
        return None;
    }
    let exponent = i32::try_from(decades).ok()? - 5;
    let power = POWERS.get(SIX + 4 - decades)?;
    let scaled = exact * power;
    let rounded = scaled.round_ties_even();
    let off = (scaled - rounded).abs();
    let half_gap = f64::from(f32::from_bits(value.to_bits() + 1) - value) / 2.0 * power;
    let is_power_of_two = value.to_bits().trailing_zeros() >= f32::MANTISSA_DIGITS - 1;
    if off < half_gap || off == 0.0 {
        if (is_power_of_two && off != 0.0) || rounded >= 1e6 && exponent == 5 {
            return None;
        }
        return Some(Digits::new(rounded, SIX, exponent));
    }
    if off == half_gap {
        return None;
    }
    let scaled = exact * POWERS.get(NINE + 4 - decades)?;
    Some(Digits::new(scaled.round_ties_even(), NINE, exponent))
}

impl Digits {
    /// From a whole number of `width` digits, or of one more if rounding brought it there.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole and at most 10^9"
    )]
    #[inline]
    fn new(rounded: f64, width: usize, exponent: i32) -> Self {
        let value = rounded as u32;
        let limit = [1_000_000, 1_000_000_000][usize::from(width == NINE)];
        match value < limit {
            true => Self {
                value,
                width,
                exponent,
            },
            false => Self {
                value: value / 10,
                width,
                exponent: exponent + 1,
            },
        }
    }

    #[inline]
    fn push(self, out: &mut Vec<u8>) {
        let mut text = [b'0'; NINE];
        let mut rest = self.value;
        for place in text.iter_mut().take(self.width).rev() {
            *place = b'0' + u8::try_from(rest % 10).unwrap_or(0);
            rest /= 10;
        }
        let zeros = text
            .iter()
            .take(self.width)
            .rev()
            .take_while(|&&digit| digit == b'0');
        let count = (self.width - zeros.count()).max(1);
        let digits = text.get(..count).unwrap_or(&text);
        match usize::try_from(self.exponent) {
            Ok(exponent) => push_large(digits, exponent, out),
            Err(_) => push_small(digits, self.exponent, out),
        }
    }
}

/// A number of any size that is not negative.
#[cold]
fn push_carefully(value: f32, out: &mut Vec<u8>) {
    if value == 0.0 {
        return out.extend_from_slice(b"0.0");
    }
    let text = format!("{value:.5e}");
    if text.parse() == Ok(value) {
        return push_in_style(&text, SIX, out);
    }
    push_in_style(&format!("{value:.8e}"), NINE, out);
}

/// A number so small that it has few bits, and that more than one number of six digits stands for.
#[cold]
fn push_subnormal(value: f64, out: &mut Vec<u8>) {
    let text = format!("{value:.5e}");
    if text.parse() == Ok(value) {
        return push_in_style(&text, SIX, out);
    }
    push_in_style(&format!("{value:.16e}"), SEVENTEEN, out);
}

/// Appends the number `text` in the style of `%g` with this many significant digits.
#[cold]
fn push_in_style(text: &str, precision: usize, out: &mut Vec<u8>) {
    let unsigned = text.trim_start_matches('-');
    if unsigned.len() < text.len() {
        out.push(b'-');
    }
    let (digits, exponent) = split(unsigned);
    match usize::try_from(exponent) {
        Ok(exponent) if exponent < precision => push_large(&digits, exponent, out),
        Err(_) if exponent >= -4 => push_small(&digits, exponent, out),
        _ => push_scientific(&digits, exponent, out),
    }
}

/// The significant digits and the power of ten of the first of them.
fn split(text: &str) -> (Vec<u8>, i32) {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = [whole.as_bytes(), fraction.as_bytes()].concat();
    let zeros = all.iter().take_while(|&&digit| digit == b'0').count();
    let mut digits = all.get(zeros..).unwrap_or_default().to_vec();
    while digits.last() == Some(&b'0') {
        digits.pop();
    }
    let before_point = i32::try_from(whole.len()).unwrap_or(0) - i32::try_from(zeros).unwrap_or(0);
    (digits, exponent + before_point - 1)
}

/// `123.5`, `1200.0`: the first digit stands for `10^exponent`.
fn push_large(digits: &[u8], exponent: usize, out: &mut Vec<u8>) {
    let whole_digits = exponent + 1;
    let (whole, fraction) = digits.split_at(whole_digits.min(digits.len()));
    out.extend_from_slice(whole);
    out.resize(out.len() + whole_digits - whole.len(), b'0');
    out.push(b'.');
    out.extend_from_slice(if fraction.is_empty() { b"0" } else { fraction });
}

/// `0.00012`: the first digit stands for `10^exponent`, which is -1 to -4.
fn push_small(digits: &[u8], exponent: i32, out: &mut Vec<u8>) {
    out.extend_from_slice(b"0.");
    for _ in exponent + 1..0 {
        out.push(b'0');
    }
    out.extend_from_slice(digits);
}

/// `9e+06`, `1.25e-07`: at least two digits in the exponent.
fn push_scientific(digits: &[u8], exponent: i32, out: &mut Vec<u8>) {
    let (first, rest) = digits.split_at(1.min(digits.len()));
    out.extend_from_slice(first);
    if !rest.is_empty() {
        out.push(b'.');
        out.extend_from_slice(rest);
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    out.extend_from_slice(format!("e{sign}{:02}", exponent.unsigned_abs()).as_bytes());
}

#[cfg(test)]
mod tests;
