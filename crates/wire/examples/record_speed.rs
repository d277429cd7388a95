//! Measures decoding and encoding of small records: `cargo run --release --example record_speed`.

use std::hint::black_box;
use std::time::{Duration, Instant};

use millrace_wire::{
    ColumnParts, DType, Decoder, Encoder, Limits, Record, Tensor, TensorBuilder, TensorSlice,
};

const CALLS: u32 = 100_000;
const ROUNDS: usize = 7;

#[expect(clippy::print_stdout, reason = "this program is run to be read")]
fn main() {
    for elements in [10, 784, 150_528] {
        let tensor = floats(elements);
        let columns = [ColumnParts {
            name: "input",
            parts: vec![TensorSlice {
                tensor: &tensor,
                rows: 0..1,
            }],
        }];
        let mut encoder = Encoder::default();
        let payload = encoder.encode(&columns).expect("a good tensor");
        println!("{elements} f32, one row, {} bytes", payload.len());
        let calls = if elements > 1000 { CALLS / 20 } else { CALLS };

        print(
            "decode, schema known",
            best(calls, |decoder| take(decoder, &payload)),
        );
        print(
            "decode, schema new",
            best(calls, |_| {
                let record = Record::decode(payload.clone(), &Limits::default());
                black_box(record.expect("a good record"));
            }),
        );
        print(
            "clone of the payload alone",
            best(calls, |_| {
                black_box(payload.clone());
            }),
        );
        print(
            "decode and copy into a batch",
            best(calls, |decoder| {
                let record = decoder.decode(payload.clone()).expect("a good record");
                let builder = TensorBuilder::new("input", DType::Float32, &[elements], 1);
                let mut builder = builder.expect("a small tensor");
                record
                    .copy_rows(0, 0..1, &mut builder)
                    .expect("a row of its shape");
                black_box(builder.finish());
            }),
        );
        print(
            "encode, schema known",
            best(calls, |_| {
                black_box(encoder.encode(&columns).expect("a good tensor"));
            }),
        );
        print(
            "encode, schema new",
            best(calls, |_| {
                black_box(millrace_wire::encode(&columns).expect("a good tensor"));
            }),
        );
    }
}

fn take(decoder: &mut Decoder, payload: &[u8]) {
    let record = decoder.decode(payload.to_vec()).expect("a good record");
    black_box(record);
}

/// Time per call, of the best round.
fn best(calls: u32, mut call: impl FnMut(&mut Decoder)) -> Duration {
    let mut decoder = Decoder::new(Limits::default());
    let mut best = Duration::MAX;
    for _ in 0..ROUNDS {
        let started = Instant::now();
        for _ in 0..calls {
            call(&mut decoder);
        }
        best = best.min(started.elapsed() / calls);
    }
    best
}

#[expect(clippy::print_stdout, reason = "this program is run to be read")]
fn print(what: &str, time: Duration) {
    println!("  {what:30} {:>7} ns", time.as_nanos());
}

fn floats(elements: usize) -> Tensor {
    let bytes = vec![0u8; elements * 4];
    Tensor::fixed("input", DType::Float32, vec![1, elements], bytes.into()).expect("data fit")
}
