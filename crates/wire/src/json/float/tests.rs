//! Every float must be the nearest one, whichever path read it.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use half::{bf16, f16};

use super::super::rounding::{Brain, Half};
use super::*;

/// Long enough for the fast path, or ending with the body.
const ENDINGS: [&str; 4] = [
    "",
    ",0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0",
    "]",
    "  \n]}                              ",
];

fn read_as<F: Format>(json: &str) -> F::Native {
    let mut values = Vec::new();
    for ending in ENDINGS {
        let body = format!("{json}{ending}");
        let (value, end) =
            Real::<F>::read(body.as_bytes(), 0).unwrap_or_else(|stop| panic!("{body}: {stop:?}"));
        assert_eq!(end, json.len(), "{body}");
        values.push(value);
    }
    let bits = |value: F::Native| format!("{value:?}");
    assert!(
        values.iter().all(|&value| bits(value) == bits(values[0])),
        "{json}"
    );
    values[0]
}

fn check(json: &str) {
    let float: f32 = json.parse().unwrap();
    assert_eq!(read_as::<f32>(json).to_bits(), float.to_bits(), "{json}");
    let double: f64 = json.parse().unwrap();
    assert_eq!(read_as::<f64>(json).to_bits(), double.to_bits(), "{json}");
}

#[test]
fn numbers_of_every_form_are_read_to_the_nearest() {
    for json in [
        "0",
        "-0",
        "0.0",
        "-0.0",
        "1",
        "-1",
        "0.5",
        "123.25",
        "9999999",
        "99999999.5",
        "1e2",
        "1E+2",
        "1e-2",
        "-1.5e-7",
        "0.1",
        "0.30136853",
        "0.6804766058921814",
        "0.12345678901234567",
        "1e22",
        "1e23",
        "3.4028235e38",
        "1.1754944e-38",
        "1e-45",
        "4.9e-324",
        "1e-400",
        "0e999999999999",
        "16777217",
        "16777216.99999999999999999",
        "16777217.00000000000000001",
        "33554433",
        "9007199254740993",
        "1.00000005960464477539062500",
        "1.00000005960464477539062501",
        "1.00000005960464477539",
        "340282356779733661637539395458142568447",
        "123456789012345678901234567890.5",
    ] {
        check(json);
    }
}

#[test]
fn random_decimals_of_every_length_are_read_to_the_nearest() {
    let mut random = StdRng::seed_from_u64(1);
    for _ in 0..50_000 {
        let digits: u64 = random.random::<u64>() >> random.random_range(0..64);
        let mut json = digits.to_string();
        let point = random.random_range(0..=json.len());
        if point < json.len() {
            json.insert(point, '.');
            if point == 0 {
                json.insert(0, '0');
            }
        }
        if json.len() > 1 && json.starts_with('0') && !json.starts_with("0.") {
            continue;
        }
        if random.random_bool(0.3) {
            json += &format!("e{}", random.random_range(-60..40));
        }
        if random.random_bool(0.5) {
            json.insert(0, '-');
        }
        check(&json);
    }
}

#[test]
fn random_floats_near_the_middle_between_two_are_read_to_the_nearest() {
    let mut random = StdRng::seed_from_u64(2);
    for _ in 0..20_000 {
        let float = f32::from_bits(random.random_range(0x3000_0000..0x5000_0000));
        let next = f32::from_bits(float.to_bits() + 1);
        let middle = (f64::from(float) + f64::from(next)) / 2.0;
        let nudged = f64::from_bits(middle.to_bits() + random.random_range(0..5) - 2);
        check(&format!("{nudged}"));
        check(&format!("{nudged:.12}"));
    }
}

#[test]
fn a_float_beyond_its_range_is_infinite_but_a_double_is_refused() {
    assert_eq!(read_as::<f32>("1e39"), f32::INFINITY);
    assert_eq!(
        read_as::<f32>("-100000000000000000000000000000000000000000.0"),
        f32::NEG_INFINITY
    );
    assert_eq!(read_as::<f64>("1e39"), 1e39);
    for json in ["1e400", "-1e400", "1e99999999999999999999"] {
        assert!(Real::<f32>::read(json.as_bytes(), 0).is_err(), "{json}");
        assert!(Real::<f64>::read(json.as_bytes(), 0).is_err(), "{json}");
    }
}

#[test]
fn half_formats_are_rounded_once() {
    assert_eq!(read_as::<Half>("1.5"), f16::from_f32(1.5).to_bits());
    assert_eq!(read_as::<Half>("65504"), f16::MAX.to_bits());
    assert_eq!(read_as::<Half>("65519.999"), f16::MAX.to_bits());
    assert_eq!(read_as::<Half>("65520"), f16::INFINITY.to_bits());
    assert_eq!(read_as::<Half>("-0.0"), 0x8000);
    assert_eq!(read_as::<Half>("6e-8"), 1);
    // Just above the middle between 1 and its successor: 1 + 2^-11 + 2^-50 and 1 + 2^-8 + 2^-40.
    assert_eq!(read_as::<Half>("1.000488281250000888178419700125"), 0x3c01);
    assert_eq!(read_as::<Half>("1.00048828125"), 0x3c00);
    assert_eq!(
        read_as::<Brain>("1.00390625000090949470177292823791503906"),
        0x3f81
    );
    assert_eq!(read_as::<Brain>("1.00390625"), 0x3f80);
    assert_eq!(read_as::<Brain>("1e39"), bf16::INFINITY.to_bits());
}

#[test]
fn tokens_for_what_is_no_number_are_accepted() {
    assert!(read_as::<f32>("NaN").is_nan());
    assert!(f16::from_bits(read_as::<Half>("NaN")).is_nan());
    assert_eq!(read_as::<f64>("Infinity"), f64::INFINITY);
    assert_eq!(read_as::<f64>("Inf"), f64::INFINITY);
    assert_eq!(read_as::<f32>("-Infinity"), f32::NEG_INFINITY);
    assert_eq!(read_as::<Brain>("-Infinity"), bf16::NEG_INFINITY.to_bits());
}

#[test]
fn what_is_no_number_is_refused() {
    for json in [
        "nan", "inf", "+1", ".5", "1.", "1e", "--1", "-", "", "-.5", "1.e5", "1e+",
    ] {
        for ending in ENDINGS {
            let body = format!("{json}{ending}");
            let read = Real::<f32>::read(body.as_bytes(), 0);
            assert!(read.is_err(), "{body}: {read:?}");
        }
    }
    for (json, length) in [("01", 1), ("0x10", 1), ("1_000", 1), ("00.5", 1)] {
        let body = format!("{json},                                 ");
        let (_, end) = Real::<f32>::read(body.as_bytes(), 0).unwrap();
        assert_eq!(end, length, "{json} is a number only up to there");
    }
    let long = format!("0.{}", "1".repeat(511));
    assert!(Real::<f32>::read(long.as_bytes(), 0).is_err());
    assert!(Real::<f32>::read(&long.as_bytes()[..512], 0).is_ok());
}
