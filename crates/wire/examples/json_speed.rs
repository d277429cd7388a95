//! How long predict bodies take to read and write, beside `serde_json` into a typed structure.
//!
//! `cargo run --release -p millrace-wire --example json_speed`

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

use std::hint::black_box;
use std::slice::from_ref;
use std::time::{Duration, Instant};

use millrace_wire::json::{Format, JsonLimits, JsonRules, parse_predict, write_predictions};
use millrace_wire::{DType, Limits, Record, Signature, TensorSpec, encode_tensors};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Rows<T> {
    instances: Vec<Vec<T>>,
}

fn main() {
    let mut random = StdRng::seed_from_u64(0);
    println!(
        "{:24} {:>9} {:>11} {:>11} {:>6} {:>7}",
        "body", "bytes", "ours us", "serde us", "ratio", "GB/s"
    );
    for count in [16, 784, 150_528] {
        let values: Vec<f32> = (0..count).map(|_| random.random()).collect();
        compare(&format!("{count} f32"), DType::Float32, from_ref(&values));
        write(count, &values);
    }
    let rows: Vec<Vec<f32>> = (0..64)
        .map(|_| (0..784).map(|_| random.random()).collect())
        .collect();
    compare("64 x 784 f32", DType::Float32, &rows);
    let signed: Vec<f32> = (0..784)
        .map(|_| (random.random::<f32>() - 0.5) * 8.0)
        .collect();
    compare("784 f32 signed", DType::Float32, &[signed]);
    let wide: Vec<f64> = (0..784).map(|_| random.random()).collect();
    compare("784 f64", DType::Float64, from_ref(&wide));
    compare_as::<f32, f64>("784 f64 into f32", DType::Float32, &[wide]);
    for count in [784, 150_528] {
        let pixels: Vec<u8> = (0..count).map(|_| random.random()).collect();
        compare(&format!("{count} u8"), DType::Uint8, from_ref(&pixels));
        compare_as::<f32, u8>(&format!("{count} u8 into f32"), DType::Float32, &[pixels]);
    }
    let long: Vec<i64> = (0..784).map(|_| random.random()).collect();
    compare("784 i64", DType::Int64, &[long]);
    image(&mut random);
}

fn compare<T: Serialize + for<'a> Deserialize<'a> + Clone>(
    name: &str,
    dtype: DType,
    rows: &[Vec<T>],
) {
    compare_as::<T, T>(name, dtype, rows);
}

/// Reads rows that were written from `Written` as `Read`.
fn compare_as<Read, Written>(name: &str, dtype: DType, rows: &[Vec<Written>])
where
    Read: for<'a> Deserialize<'a>,
    Written: Serialize + Clone,
{
    let body = serde_json::to_vec(&Rows {
        instances: rows.to_vec(),
    })
    .expect("numbers are JSON");
    let signature = signature(dtype, &[rows[0].len()]);
    let limits = JsonLimits::default();
    let (ours, theirs) = paired(
        || {
            black_box(parse_predict(black_box(&body), &signature, &limits).expect("good"));
        },
        || {
            let rows: Rows<Read> = serde_json::from_slice(black_box(&body)).expect("good");
            black_box(rows);
        },
    );
    report(name, body.len(), ours, theirs);
}

/// Nested lists, as an image is sent; `serde_json` reads the same nesting.
fn image(random: &mut StdRng) {
    #[derive(Serialize, Deserialize)]
    struct Images {
        instances: Vec<Vec<Vec<Vec<f32>>>>,
    }
    let pixel = |random: &mut StdRng| (0..3).map(|_| random.random()).collect::<Vec<f32>>();
    let rows = (0..224)
        .map(|_| (0..224).map(|_| pixel(random)).collect())
        .collect();
    let body = serde_json::to_vec(&Images {
        instances: vec![rows],
    })
    .expect("numbers are JSON");
    let signature = signature(DType::Float32, &[224, 224, 3]);
    let limits = JsonLimits::default();
    let (ours, theirs) = paired(
        || {
            black_box(parse_predict(black_box(&body), &signature, &limits).expect("good"));
        },
        || {
            let images: Images = serde_json::from_slice(black_box(&body)).expect("good");
            black_box(images);
        },
    );
    report("224x224x3 f32", body.len(), ours, theirs);
}

fn write(count: usize, values: &[f32]) {
    #[derive(Serialize)]
    struct Predictions<'a> {
        predictions: [&'a [f32]; 1],
    }
    let body = serde_json::to_vec(&Rows {
        instances: vec![values.to_vec()],
    })
    .expect("numbers are JSON");
    let request = parse_predict(
        &body,
        &signature(DType::Float32, &[count]),
        &JsonLimits::default(),
    );
    let payload = encode_tensors(&request.expect("good").tensors).expect("good");
    let record = Record::decode(payload, &Limits::default()).expect("good");
    let mut out = Vec::new();
    let (ours, theirs) = paired(
        || {
            out.clear();
            write_predictions(
                Format::Row,
                black_box(&record),
                &JsonRules::default(),
                &mut out,
            )
            .expect("good");
            black_box(&out);
        },
        || {
            let predictions = Predictions {
                predictions: [black_box(values)],
            };
            black_box(serde_json::to_vec(&predictions).expect("good"));
        },
    );
    report(&format!("write {count} f32"), body.len(), ours, theirs);
}

fn signature(dtype: DType, row_shape: &[usize]) -> Signature {
    let mut shape = vec![None];
    shape.extend(row_shape.iter().map(|&size| Some(size)));
    let name = "x".to_owned();
    Signature {
        inputs: vec![TensorSpec { name, dtype, shape }],
        outputs: Vec::new(),
    }
}

/// The least time of each, measured in turns so that noise hits both.
fn paired(mut ours: impl FnMut(), mut theirs: impl FnMut()) -> (Duration, Duration) {
    let mut least = (Duration::MAX, Duration::MAX);
    for _ in 0..25 {
        least.0 = least.0.min(once(&mut ours));
        least.1 = least.1.min(once(&mut theirs));
    }
    least
}

/// The time of one call, as the mean over about ten milliseconds.
fn once(call: &mut impl FnMut()) -> Duration {
    let begin = Instant::now();
    let mut calls = 0;
    while begin.elapsed() < Duration::from_millis(10) {
        for _ in 0..8 {
            call();
        }
        calls += 8;
    }
    begin.elapsed() / calls
}

fn report(name: &str, bytes: usize, ours: Duration, theirs: Duration) {
    let (ours, theirs) = (ours.as_secs_f64() * 1e6, theirs.as_secs_f64() * 1e6);
    let speed = f64::from(u32::try_from(bytes).expect("small")) / ours / 1e3;
    println!(
        "{name:24} {bytes:9} {ours:11.2} {theirs:11.2} {:6.2} {speed:7.2}",
        theirs / ours
    );
}
