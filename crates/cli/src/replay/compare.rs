//! Two answers to the same request: whether they are equal, and where they differ most.

use half::{bf16, f16};
use millrace_wire::{DType, Record, Tensor};
use serde::Serialize;

use crate::output::shortened;

/// Text of an element that a report shows.
const SHOWN: usize = 40;

/// What two answers are to each other.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Verdict {
    Equal,
    Different(Difference),
    /// Not the same outputs, or not of the same names.
    Outputs,
    /// The same outputs, one of another type.
    DTypes,
    /// The same types, one output or row of another shape.
    Shapes,
}

/// The element in which two answers differ most.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Difference {
    pub(super) output: String,
    pub(super) row: usize,
    /// How far the numbers are apart; `None` for text, and where one is not finite.
    pub(super) amount: Option<f64>,
    pub(super) before: String,
    pub(super) now: String,
}

/// Rows of the output that holds the classes, and those whose highest one is the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Top {
    pub(super) rows: u64,
    pub(super) agreeing: u64,
}

/// What was found.
pub(super) struct Compared {
    pub(super) verdict: Verdict,
    /// Of a classifier: the first output of floating numbers with two columns or more.
    pub(super) top: Option<Top>,
}

impl Compared {
    fn without_values(verdict: Verdict) -> Self {
        Self { verdict, top: None }
    }
}

/// Compares output by output. Whole numbers, booleans and text must be the same; others may differ by `tolerance`,
/// absolutely or as a part of the larger one.
pub(super) fn compare(before: &Record, now: &Record, tolerance: f64) -> Compared {
    if before.columns().len() != now.columns().len() {
        return Compared::without_values(Verdict::Outputs);
    }
    let mut pairs = Vec::new();
    for (index, column) in now.columns().iter().enumerate() {
        let Some(other) = before.column_index(column.name()) else {
            return Compared::without_values(Verdict::Outputs);
        };
        if before.columns()[other].dtype() != column.dtype() {
            return Compared::without_values(Verdict::DTypes);
        }
        pairs.push((tensors(before, other), tensors(now, index)));
    }
    let is_alike = |(a, b): &(Tensors, Tensors)| {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.shape() == b.shape())
    };
    if before.rows() != now.rows() || !pairs.iter().all(is_alike) {
        return Compared::without_values(Verdict::Shapes);
    }
    let mut largest: Option<Difference> = None;
    let mut top = None;
    for (before, now) in &pairs {
        let mut row = 0;
        for (before, now) in before.iter().zip(now) {
            let difference = difference((before, now), row, tolerance);
            if difference
                .as_ref()
                .is_some_and(|new| is_larger(new, largest.as_ref()))
            {
                largest = difference;
            }
            row += now.rows();
        }
        if let ([before], [now], None) = (before.as_slice(), now.as_slice(), top) {
            top = classes(before, now);
        }
    }
    Compared {
        verdict: largest.map_or(Verdict::Equal, Verdict::Different),
        top,
    }
}

type Tensors = Vec<Tensor>;

/// The column as one tensor, or one for each row where these differ in shape.
fn tensors(record: &Record, column: usize) -> Tensors {
    if let Ok(whole) = record.tensor(column) {
        return vec![whole];
    }
    let rows = (0..record.rows()).map(|row| record.tensor_of_rows(column, row..row + 1));
    rows.filter_map(Result::ok).collect()
}

/// Whether one of them is larger; what is no number of a size goes before all numbers.
pub(super) fn is_larger(new: &Difference, known: Option<&Difference>) -> bool {
    let size = |difference: &Difference| difference.amount.unwrap_or(f64::INFINITY);
    known.is_none_or(|known| size(new) > size(known))
}

fn difference(
    (before, now): (&Tensor, &Tensor),
    first_row: usize,
    tolerance: f64,
) -> Option<Difference> {
    let mut largest: Option<Difference> = None;
    let per_row = now.elements_per_row().max(1);
    let mut found = |index: usize, amount: Option<f64>| {
        let is_new = match (&largest, amount) {
            (None, _) => true,
            (Some(known), None) => known.amount.is_some(),
            (Some(known), Some(amount)) => known.amount.is_some_and(|known| amount > known),
        };
        if is_new {
            largest = Some(Difference {
                output: now.name().to_owned(),
                row: first_row + index / per_row,
                amount,
                before: text(before, index),
                now: text(now, index),
            });
        }
    };
    match (before.fixed_bytes(), now.fixed_bytes()) {
        (Some(old), Some(new)) => {
            let size = now.dtype().element_size_bytes().unwrap_or(1);
            for (index, (a, b)) in old
                .chunks_exact(size)
                .zip(new.chunks_exact(size))
                .enumerate()
            {
                if a != b
                    && let Some(amount) = apart((a, b), now.dtype(), tolerance)
                {
                    found(index, amount);
                }
            }
        }
        _ => {
            let (Some(old), Some(new)) = (before.elements(), now.elements()) else {
                return None;
            };
            for (index, (a, b)) in old.iter().zip(new.iter()).enumerate() {
                if a != b {
                    found(index, None);
                }
            }
        }
    }
    largest
}

/// How far two elements of other bytes are apart; the outer `None` if that is not too far.
#[expect(
    clippy::option_option,
    reason = "apart by nothing that has a size, or not apart"
)]
fn apart((a, b): (&[u8], &[u8]), dtype: DType, tolerance: f64) -> Option<Option<f64>> {
    let (a, b) = (number(a, dtype), number(b, dtype));
    if !is_floating(dtype) {
        return Some(Some((a - b).abs()));
    }
    if a.is_nan() && b.is_nan() {
        return None;
    }
    let amount = (a - b).abs();
    if !amount.is_finite() {
        return Some(None);
    }
    let allowed = tolerance * a.abs().max(b.abs()).max(1.0);
    (amount > allowed).then_some(Some(amount))
}

fn is_floating(dtype: DType) -> bool {
    use DType::{Bfloat16, Float16, Float32, Float64};
    matches!(dtype, Float16 | Bfloat16 | Float32 | Float64)
}

/// An element as a number; beyond 2^53 not exactly.
fn number(bytes: &[u8], dtype: DType) -> f64 {
    let mut eight = [0; 8];
    let length = bytes.len().min(8);
    eight[..length].copy_from_slice(&bytes[..length]);
    let bits = u64::from_le_bytes(eight);
    // The sign bit of a shorter number goes to the front.
    let shift = 64 - 8 * u32::try_from(length.max(1)).unwrap_or(8);
    let signed = (bits << shift).cast_signed() >> shift;
    let low = |bits: u64| u16::try_from(bits & 0xffff).unwrap_or(0);
    #[expect(clippy::cast_precision_loss, reason = "for the size of a difference")]
    match dtype {
        DType::Float64 => f64::from_bits(bits),
        DType::Float32 => f64::from(f32::from_bits(u32::try_from(bits).unwrap_or(0))),
        DType::Float16 => f64::from(f16::from_bits(low(bits))),
        DType::Bfloat16 => f64::from(bf16::from_bits(low(bits))),
        DType::Int8 | DType::Int16 | DType::Int32 | DType::Int64 => signed as f64,
        _ => bits as f64,
    }
}

fn text(tensor: &Tensor, index: usize) -> String {
    if let Some(bytes) = tensor.fixed_bytes() {
        let size = tensor.dtype().element_size_bytes().unwrap_or(1);
        let element = bytes.chunks_exact(size).nth(index).unwrap_or_default();
        return number(element, tensor.dtype()).to_string();
    }
    let element = tensor.elements().map(|elements| elements.get(index));
    let text = String::from_utf8_lossy(element.unwrap_or_default()).into_owned();
    shortened(&text, SHOWN)
}

fn classes(before: &Tensor, now: &Tensor) -> Option<Top> {
    let [rows, classes] = *now.shape() else {
        return None;
    };
    if !is_floating(now.dtype()) || classes < 2 {
        return None;
    }
    let agreeing =
        (0..rows).filter(|row| highest(before, *row, classes) == highest(now, *row, classes));
    let agreeing = u64::try_from(agreeing.count()).unwrap_or(u64::MAX);
    let rows = u64::try_from(rows).unwrap_or(u64::MAX);
    Some(Top { rows, agreeing })
}

/// The first of the highest elements of a row.
fn highest(tensor: &Tensor, row: usize, classes: usize) -> Option<usize> {
    let size = tensor.dtype().element_size_bytes()?;
    let bytes = tensor.fixed_bytes()?;
    let of_row = bytes.get(row * classes * size..(row + 1) * classes * size)?;
    let mut highest: Option<(usize, f64)> = None;
    for (index, element) in of_row.chunks_exact(size).enumerate() {
        let value = number(element, tensor.dtype());
        if highest.is_none_or(|(_, known)| value > known) {
            highest = Some((index, value));
        }
    }
    highest.map(|(index, _)| index)
}

/// A tolerance on the command line.
pub(super) fn tolerance(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok();
    number
        .filter(|number| (0.0..1e9).contains(number))
        .ok_or_else(|| "expected a number of 0 or more, such as 0.001".to_owned())
}

/// A part on the command line.
pub(super) fn part(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok();
    number
        .filter(|number| (0.0..=1.0).contains(number))
        .ok_or_else(|| "expected a part of 1, such as 0.99".to_owned())
}

#[cfg(test)]
mod tests;
