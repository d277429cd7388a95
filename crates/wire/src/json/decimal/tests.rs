use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;

fn single(value: f32) -> String {
    let mut out = Vec::new();
    push_f32(value, Floats::Serving(Strictness::Lenient), &mut out);
    String::from_utf8(out).unwrap()
}

fn double(value: f64) -> String {
    let mut out = Vec::new();
    push_f64(value, Floats::Serving(Strictness::Lenient), &mut out);
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
        (0.680_476_6, "0.680476606"),
        (0.301_368_53, "0.301368535"),
        (0.0001, "0.0001"),
        (0.01, "0.01"),
        (0.1, "0.1"),
        (0.333_333_3, "0.333333313"),
        (16_777_216.0, "16777216.0"),
        (999_999.5, "999999.5"),
        (8_388_608.5, "8388608.0"),
        (123_456.7, "123456.703"),
        (99_999.99, "99999.9922"),
        (0.000_123_456_78, "0.000123456775"),
        (1.25e30, "1.25e+30"),
        (1e-10, "1e-10"),
        (1e-45, "1.4013e-45"),
        (f32::MIN_POSITIVE, "1.17549435e-38"),
        (f32::MAX, "3.40282347e+38"),
        (f32::NAN, "NaN"),
        (f32::INFINITY, "Infinity"),
        (f32::NEG_INFINITY, "-Infinity"),
    ] {
        assert_eq!(single(value), expected, "{value:e}");
    }
    for (value, expected) in [
        (0.1, "0.1"),
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (250.0, "250.0"),
        (1.0 / 3.0, "0.33333333333333331"),
        (0.1 + 0.2, "0.30000000000000004"),
        (2.345_678_901_234_56, "2.3456789012345598"),
        (1e100, "1e+100"),
        (5e-324, "4.94066e-324"),
        (f64::MIN_POSITIVE, "2.2250738585072014e-308"),
        (9_007_199_254_740_993.0, "9007199254740992.0"),
        (123_456_789.5, "123456789.5"),
        (-0.000_123_456_789, "-0.000123456789"),
        (1e-5, "1e-05"),
        (1e17, "1e+17"),
        (1e16, "1e+16"),
    ] {
        assert_eq!(double(value), expected, "{value:e}");
    }
}

#[test]
fn other_protocols_get_the_fewest_digits() {
    let mut out = Vec::new();
    push_f32(0.680_476_6, Floats::Shortest(Strictness::Lenient), &mut out);
    push_f64(-1.0 / 3.0, Floats::Shortest(Strictness::Lenient), &mut out);
    push_f32(9e6, Floats::Shortest(Strictness::Lenient), &mut out);
    assert_eq!(out, b"0.6804766-0.33333333333333339000000.0");
}

#[test]
fn strict_rules_write_null_for_what_is_no_number() {
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut out = Vec::new();
        push_f32(value, Floats::Serving(Strictness::Strict), &mut out);
        push_f64(
            f64::from(value),
            Floats::Serving(Strictness::Strict),
            &mut out,
        );
        assert_eq!(out, b"nullnull");
    }
}

/// C's `%.*g` and TensorFlow Serving's rule, in the plainest way.
fn by_the_rule(value: f64, digits_of: impl Fn(usize) -> Option<String>) -> String {
    let mut out = Vec::new();
    if value == 0.0 {
        return if value.is_sign_negative() {
            "-0.0"
        } else {
            "0.0"
        }
        .to_owned();
    }
    match digits_of(SIX) {
        Some(text) => push_in_style(&text, SIX, &mut out),
        None => {
            let many = [NINE, SEVENTEEN];
            let (text, precision) = many
                .into_iter()
                .find_map(|digits| Some((digits_of(digits)?, digits)))
                .unwrap();
            push_in_style(&text, precision, &mut out);
        }
    }
    String::from_utf8(out).unwrap()
}

fn single_by_the_rule(value: f32) -> String {
    by_the_rule(f64::from(value), |digits| {
        let text = format!("{value:.*e}", digits - 1);
        (text.parse() == Ok(value)).then_some(text)
    })
}

fn double_by_the_rule(value: f64) -> String {
    by_the_rule(value, |digits| {
        let text = format!("{value:.*e}", digits - 1);
        (digits != NINE && text.parse() == Ok(value)).then_some(text)
    })
}

#[test]
fn the_quick_ways_write_what_the_rule_says() {
    let mut random = StdRng::seed_from_u64(7);
    for _ in 0..100_000 {
        let bits = random.next_u32();
        let value = f32::from_bits(bits);
        if value.is_finite() {
            assert_eq!(single(value), single_by_the_rule(value), "{value:e}");
        }
        // Numbers of ordinary size, of many and of few digits.
        let ordinary = f32::from_bits((bits & 0x80ff_ffff) | (0x38 + (bits >> 24) % 18) << 23);
        let short = (ordinary * 1000.0).round() / 1000.0;
        for value in [ordinary, short, ordinary.round()] {
            assert_eq!(single(value), single_by_the_rule(value), "{value:e}");
            let value = f64::from(value) / 10.0;
            assert_eq!(double(value), double_by_the_rule(value), "{value:e}");
        }
        let value = f64::from_bits(random.next_u64());
        if value.is_finite() {
            assert_eq!(double(value), double_by_the_rule(value), "{value:e}");
        }
    }
}

#[test]
fn powers_of_two_and_their_neighbours_are_written_by_the_rule() {
    for exponent in 1..255u32 {
        for bits in [exponent << 23, (exponent << 23) - 1, (exponent << 23) + 1] {
            let value = f32::from_bits(bits);
            assert_eq!(single(value), single_by_the_rule(value), "{value:e}");
        }
    }
}
