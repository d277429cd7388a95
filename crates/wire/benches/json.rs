//! Predict bodies to Arrow records, beside the barest scan that still reads every number.
//!
//! `cargo bench --workspace --bench json` shows times. With `-- --hold` it fails unless one instance
//! of 784 floats goes from JSON to Arrow at 0.8 GB/s of text at least, and in at most 1.5 times the
//! time of the bare scan; both are taken in turns, so that what else the machine does hits both.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use divan::Bencher;
use divan::counter::BytesCount;
use millrace_wire::json::{JsonLimits, parse_predict};
use millrace_wire::{DType, Signature, TensorSpec};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Floats per instance: a text, a digit of 28 by 28 pixels, an image.
const SIZES: [usize; 3] = [16, 784, 150_528];
const WANTED_GIGABYTES_PER_SECOND: f64 = 0.8;
const WANTED_RATIO: f64 = 1.5;

fn main() {
    if std::env::args().any(|argument| argument == "--hold") {
        return hold();
    }
    divan::main();
}

/// JSON text to an encoded Arrow record.
#[divan::bench(args = SIZES)]
fn to_arrow(bencher: Bencher<'_, '_>, floats: usize) {
    let (body, signature) = case(floats);
    let limits = JsonLimits::default();
    bencher
        .counter(BytesCount::of_slice(&body))
        .bench(|| json_to_arrow(&body, &signature, &limits));
}

/// JSON text to a tensor, without the record.
#[divan::bench(args = SIZES)]
fn to_tensor(bencher: Bencher<'_, '_>, floats: usize) {
    let (body, signature) = case(floats);
    let limits = JsonLimits::default();
    bencher
        .counter(BytesCount::of_slice(&body))
        .bench(|| parse_predict(black_box(&body), &signature, &limits));
}

/// Numbers by `fast_float`, with no check of what is around them.
#[divan::bench(args = SIZES)]
fn bare_scan(bencher: Bencher<'_, '_>, floats: usize) {
    let (body, _) = case(floats);
    bencher
        .counter(BytesCount::of_slice(&body))
        .bench(|| scan(&body));
}

fn json_to_arrow(body: &[u8], signature: &Signature, limits: &JsonLimits) -> Vec<u8> {
    let request = parse_predict(black_box(body), signature, limits).expect("a good body");
    request.encode().expect("a small record")
}

fn scan(body: &[u8]) -> Vec<f32> {
    let mut rest = black_box(body);
    let mut values = Vec::new();
    while let Some(start) = rest
        .iter()
        .position(|byte| byte.is_ascii_digit() || *byte == b'-')
    {
        rest = &rest[start..];
        let (value, length) = fast_float2::parse_partial(rest).expect("a number");
        values.push(value);
        rest = &rest[length..];
    }
    values
}

/// One instance of random floats with as many digits as they need.
fn case(floats: usize) -> (Vec<u8>, Signature) {
    let mut random = StdRng::seed_from_u64(784);
    let values: Vec<f32> = (0..floats).map(|_| random.random()).collect();
    let list = serde_json::to_string(&values).expect("numbers are JSON");
    let input = TensorSpec {
        name: "x".to_owned(),
        dtype: DType::Float32,
        shape: vec![None, Some(floats)],
    };
    let signature = Signature {
        inputs: vec![input],
        outputs: Vec::new(),
    };
    (
        format!("{{\"instances\":[{list}]}}").into_bytes(),
        signature,
    )
}

/// Fails unless the promises hold for one instance of 784 floats.
fn hold() {
    let (body, signature) = case(784);
    let limits = JsonLimits::default();
    let mut ours = Vec::new();
    let mut ratios = Vec::new();
    for _ in 0..201 {
        let scanned = of_a_few(|| {
            black_box(scan(&body));
        });
        let parsed = of_a_few(|| {
            black_box(json_to_arrow(&body, &signature, &limits));
        });
        ratios.push(parsed.as_secs_f64() / scanned.as_secs_f64());
        ours.push(parsed.as_secs_f64());
    }
    let bytes = f64::from(u32::try_from(body.len()).expect("a small body"));
    // The least time is the processor's; more is what others took of it.
    ours.sort_by(f64::total_cmp);
    let speed = bytes / ours[0] / 1e9;
    let median_speed = bytes / ours[ours.len() / 2] / 1e9;
    ratios.sort_by(f64::total_cmp);
    let ratio = ratios[ratios.len() / 2];
    println!(
        "{} bytes to Arrow: {:.2} us, {speed:.2} GB/s (median {median_speed:.2}), {ratio:.2} times a bare scan",
        body.len(),
        ours[0] * 1e6
    );
    assert!(speed >= WANTED_GIGABYTES_PER_SECOND, "slower than wanted");
    assert!(ratio <= WANTED_RATIO, "too far from a bare scan");
}

/// The mean time of a few calls.
fn of_a_few(mut call: impl FnMut()) -> Duration {
    const CALLS: u32 = 50;
    let began = Instant::now();
    for _ in 0..CALLS {
        call();
    }
    began.elapsed() / CALLS
}
