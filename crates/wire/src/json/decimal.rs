//! Floats as TensorFlow Serving lays them out, with the fewest digits that read back the same.
//!
//! Its layout is C's `%g`: scientific below 1e-4 and from 10^P on, where P is 6 if six digits suffice,
//! else 9 for FP32 and 17 for FP64. Whole numbers in plain notation get `.0`.

/// Digits in front of which `%g` turns scientific, where six digits suffice.
const SIX_DIGITS: usize = 6;

/// Appends a single-precision float; `NaN`, `Infinity` and `-Infinity` are bare tokens.
pub(super) fn push_f32(value: f32, out: &mut Vec<u8>) {
    if !value.is_finite() {
        return push_special(f64::from(value), out);
    }
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(value);
    if is_plain(f64::from(value)) {
        out.extend_from_slice(text.as_bytes());
    } else {
        push_in_style(text, 9, out);
    }
}

/// Appends a double-precision float, like [`push_f32`].
pub(super) fn push_f64(value: f64, out: &mut Vec<u8>) {
    if !value.is_finite() {
        return push_special(value, out);
    }
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(value);
    if is_plain(value) {
        out.extend_from_slice(text.as_bytes());
    } else {
        push_in_style(text, 17, out);
    }
}

fn push_special(value: f64, out: &mut Vec<u8>) {
    out.extend_from_slice(match value {
        _ if value.is_nan() => b"NaN",
        f64::INFINITY => b"Infinity",
        _ => b"-Infinity",
    });
}

/// True where both styles write the same: plain notation, however many digits.
fn is_plain(value: f64) -> bool {
    value == 0.0 || (1e-4..1e6).contains(&value.abs())
}

/// Appends the number `text` in the style of `%g`; `many_digits` is P where six do not suffice.
#[cold]
fn push_in_style(text: &str, many_digits: usize, out: &mut Vec<u8>) {
    let unsigned = text.trim_start_matches('-');
    if unsigned.len() < text.len() {
        out.push(b'-');
    }
    let (digits, exponent) = split(unsigned);
    let precision = if digits.len() <= SIX_DIGITS {
        SIX_DIGITS
    } else {
        many_digits
    };
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
mod tests {
    use super::*;

    fn single(value: f32) -> String {
        let mut out = Vec::new();
        push_f32(value, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn double(value: f64) -> String {
        let mut out = Vec::new();
        push_f64(value, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn floats_look_as_tensorflow_serving_writes_them() {
        for (value, expected) in [
            (9_000_000.0, "9e+06"),
            (999_999.0, "999999.0"),
            (0.5, "0.5"),
            (0.0003, "0.0003"),
            (0.000_03, "3e-05"),
            (555_557.5, "555557.5"),
            (2.5, "2.5"),
            (3.0, "3.0"),
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (-9_000_000.0, "-9e+06"),
            (1_000_000.0, "1e+06"),
            (1_234_567.0, "1234567.0"),
            (100_000_000.0, "1e+08"),
            (1.25e30, "1.25e+30"),
            (1e-10, "1e-10"),
            (f32::MAX, "3.4028235e+38"),
            (f32::NAN, "NaN"),
            (f32::INFINITY, "Infinity"),
            (f32::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(single(value), expected);
        }
        for (value, expected) in [
            (0.1, "0.1"),
            (1e100, "1e+100"),
            (5e-324, "5e-324"),
            (9_007_199_254_740_993.0, "9007199254740992.0"),
            (123_456_789.5, "123456789.5"),
            (-0.000_123_456_789, "-0.000123456789"),
            (1e-5, "1e-05"),
            (1e17, "1e+17"),
        ] {
            assert_eq!(double(value), expected);
        }
    }

    #[test]
    fn the_quick_way_writes_what_the_styled_way_would() {
        let mut value = 1e-4;
        while value < 999_999.0 {
            for value in [value, -value] {
                let narrow = f64_to_f32(value);
                let mut styled = Vec::new();
                push_in_style(zmij::Buffer::new().format_finite(value), 17, &mut styled);
                assert_eq!(double(value).as_bytes(), styled);
                styled.clear();
                push_in_style(zmij::Buffer::new().format_finite(narrow), 9, &mut styled);
                assert_eq!(single(narrow).as_bytes(), styled);
            }
            value *= 1.003_7;
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "any nearby float will do")]
    fn f64_to_f32(value: f64) -> f32 {
        value as f32
    }
}
