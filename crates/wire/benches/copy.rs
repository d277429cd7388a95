//! Rows of records into the tensor that an engine reads, beside one plain copy of the same bytes.
//!
//! `cargo bench --workspace --bench copy` shows the time per row of an image of 150,528 floats (602 KB). With `-- --hold`
//! it fails if that is more than 1.25 times a plain copy into memory that is as fresh: the rows are copied once.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use arrow::buffer::{Buffer, MutableBuffer};
use millrace_wire::{DType, Decoder, Limits, Record, Tensor, TensorBuilder, encode_tensors};

/// An image of 224 by 224 pixels in three colours.
const ROW_SHAPE: [usize; 3] = [3, 224, 224];
const ROW_BYTES: usize = 3 * 224 * 224 * 4;
/// As many rows in a batch as `batch.max_bytes` allows.
const BATCH: usize = 6;
const WANTED_RATIO: f64 = 1.25;
const ROUNDS: usize = 301;

fn main() {
    let payloads: Vec<Vec<u8>> = (0..BATCH).map(payload).collect();
    let (mut ours, mut plain, mut decoded) = (Vec::new(), Vec::new(), Vec::new());
    let mut ratios = Vec::new();
    for _ in 0..ROUNDS {
        let copies: Vec<Vec<u8>> = payloads.clone();
        let (records, decoding) = timed(|| decode(copies));
        let (_, copying) = timed(|| black_box(copy_plainly(&records)));
        let (tensor, assembling) = timed(|| black_box(assemble(&records)));
        assert_eq!(tensor.rows(), BATCH);
        ratios.push(assembling.as_secs_f64() / copying.as_secs_f64());
        plain.push(copying);
        ours.push(assembling);
        decoded.push(decoding);
    }
    let (ours, plain, decoded) = (per_row(ours), per_row(plain), per_row(decoded));
    ratios.sort_by(f64::total_cmp);
    let ratio = ratios[ROUNDS / 2];
    println!(
        "{ROW_BYTES} bytes a row, {BATCH} rows: to the tensor {ours:.1} us a row, plain copy {plain:.1}, {ratio:.2} \
         times; decoding before it {decoded:.2}"
    );
    if std::env::args().any(|argument| argument == "--hold") {
        assert!(ratio <= WANTED_RATIO, "more than one copy");
    }
}

/// What infer does between the record and the engine.
fn assemble(records: &[Record]) -> Tensor {
    let builder = TensorBuilder::new("image", DType::Float32, &ROW_SHAPE, records.len());
    let mut builder = builder.expect("a small shape");
    for record in records {
        record
            .copy_rows(0, 0..1, &mut builder)
            .expect("rows of one shape");
    }
    builder.finish()
}

fn copy_plainly(records: &[Record]) -> MutableBuffer {
    let mut buffer = MutableBuffer::with_capacity(records.len() * ROW_BYTES);
    for record in records {
        let payload = record.payload();
        buffer.extend_from_slice(&payload[payload.len() - ROW_BYTES..]);
    }
    buffer
}

fn decode(payloads: Vec<Vec<u8>>) -> Vec<Record> {
    let mut decoder = Decoder::new(Limits::default());
    let decode = |payload| decoder.decode(payload).expect("a good record");
    payloads.into_iter().map(decode).collect()
}

fn payload(seed: usize) -> Vec<u8> {
    let seed = f32::from(u8::try_from(seed).expect("few rows"));
    let values = Buffer::from_vec(vec![seed; ROW_BYTES / 4]);
    let shape = [&[1][..], &ROW_SHAPE].concat();
    let tensor = Tensor::fixed("image", DType::Float32, shape, values).expect("a tensor");
    encode_tensors(&[tensor]).expect("a tensor encodes")
}

fn timed<T>(call: impl FnOnce() -> T) -> (T, Duration) {
    let began = Instant::now();
    let value = call();
    (value, began.elapsed())
}

/// The median in microseconds.
fn per_row(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    let rows = f64::from(u32::try_from(BATCH).expect("few rows"));
    times[times.len() / 2].as_secs_f64() * 1e6 / rows
}
