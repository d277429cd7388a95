//! The inputs of the benchmark: every row is computed from its id, so that nobody has to keep them.
//!
//! Values are random in 0 to 1 with 23 random bits each. Compression finds nothing in them: pixels, which compress,
//! would cost the plain loop more processor time than it costs Millrace, whose answers are small.

use arrow::buffer::Buffer;
use millrace_wire::{DType, Tensor, TensorError};

/// Values in a row: the width of the model's input.
pub const WIDTH: usize = 784;

/// The model's input.
pub const INPUT: &str = "input";

/// The model's output.
pub const OUTPUT: &str = "output";

/// Values in an answer.
pub const CLASSES: usize = 10;

/// Appends the row of this id.
pub fn append(id: u64, values: &mut Vec<f32>) {
    append_wide(id, WIDTH, values);
}

/// Appends the row of this id for a model that takes so many values, an even number.
pub fn append_wide(id: u64, width: usize, values: &mut Vec<f32>) {
    let mut state = id.wrapping_mul(0xd1b5_4a32_d192_ed03);
    for _ in 0..width / 2 {
        let bits = split_mix(&mut state);
        values.push(unit(bits));
        values.push(unit(bits >> 32));
    }
}

/// The row of this id.
#[must_use]
pub fn row(id: u64) -> Vec<f32> {
    let mut values = Vec::with_capacity(WIDTH);
    append(id, &mut values);
    values
}

/// The row of this id as a request's Arrow record.
///
/// # Errors
/// Never, unless the wire format changes.
pub fn record(id: u64) -> anyhow::Result<Vec<u8>> {
    Ok(millrace_wire::encode_tensors(&[tensor(id)?])?)
}

/// Bytes of an answer's Arrow record.
///
/// # Errors
/// Never, unless the wire format changes.
pub fn answer_bytes() -> anyhow::Result<usize> {
    let answer = Buffer::from_vec(vec![0_f32; CLASSES]);
    let tensor = Tensor::fixed(OUTPUT, DType::Float32, vec![1, CLASSES], answer)?;
    Ok(millrace_wire::encode_tensors(&[tensor])?.len())
}

/// The row of this id as the body of a predict request.
#[must_use]
pub fn json(id: u64) -> String {
    let values: Vec<String> = row(id).iter().map(f32::to_string).collect();
    format!("{{\"instances\": [[{}]]}}", values.join(","))
}

fn tensor(id: u64) -> Result<Tensor, TensorError> {
    Tensor::fixed(
        INPUT,
        DType::Float32,
        vec![1, WIDTH],
        Buffer::from_vec(row(id)),
    )
}

/// SplitMix64 by Steele, Lea and Flood.
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut bits = *state;
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// The low 23 bits as a fraction.
fn unit(bits: u64) -> f32 {
    let mantissa = u32::try_from(bits & 0x7f_ffff).expect("23 bits fit into 32");
    f32::from_bits(0x3f80_0000 | mantissa) - 1.0
}

#[cfg(test)]
mod tests {
    use millrace_wire::{Limits, Record};

    use super::*;

    #[test]
    fn rows_differ_by_id_and_fill_the_unit_interval() {
        assert_ne!(row(1), row(2));
        assert_eq!(row(7), row(7));
        let values = row(42);
        assert_eq!(values.len(), WIDTH);
        assert!(values.iter().all(|value| (0.0..1.0).contains(value)));
        let mean = values.iter().sum::<f32>() / 784.0;
        assert!((mean - 0.5).abs() < 0.05, "{mean}");
    }

    #[test]
    fn the_record_holds_the_row() {
        let record = Record::decode(record(3).unwrap(), &Limits::default()).unwrap();
        let tensor = record.tensor(0).unwrap();
        assert_eq!(
            (tensor.name(), tensor.shape()),
            (INPUT, [1, WIDTH].as_slice())
        );
        assert_eq!(tensor.typed::<f32>().unwrap(), row(3));
    }

    #[test]
    fn the_json_holds_the_row() {
        let body: serde_json::Value = serde_json::from_str(&json(5)).unwrap();
        let values = body["instances"][0].as_array().unwrap();
        let parsed: Vec<f32> = values
            .iter()
            .map(|value| value.to_string().parse().unwrap())
            .collect();
        assert_eq!(parsed, row(5));
    }
}
