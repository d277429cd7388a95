//! The highest scores of each row: which, how high, and what they are called.

use std::cmp::Ordering;

use arrow::buffer::Buffer;
use millrace_wire::{DType, Tensor, TensorError, VariableData};

/// Where there are fewer scores than asked for: no class, no score, no name. All of it is valid in JSON.
const NOBODY: i64 = -1;

/// The highest scores of every row, flat: `rows × n` of each.
#[derive(Debug, Default)]
pub(super) struct Highest {
    indices: Vec<i64>,
    scores: Vec<f32>,
    /// All dimensions: those of the scores, the last one now `n`.
    shape: Vec<usize>,
}

/// The `n` highest of each row of `classes` scores, the highest first; of equal ones the lowest index first. NaN and what
/// is below `threshold` is left out, and what is then missing is filled with −1 and 0.
pub(super) fn highest(
    scores: &[f64],
    shape: &[usize],
    n: usize,
    threshold: Option<f64>,
) -> Highest {
    let classes = shape.last().copied().unwrap_or(1);
    let n = n.min(classes);
    let mut shape = shape.to_vec();
    if let Some(last) = shape.last_mut() {
        *last = n;
    }
    let mut highest = Highest {
        shape,
        ..Highest::default()
    };
    let mut order: Vec<usize> = Vec::with_capacity(classes);
    for row in scores.chunks_exact(classes.max(1)) {
        order.clear();
        order.extend((0..classes).filter(|index| counts(row[*index], threshold)));
        let higher =
            |a: &usize, b: &usize| -> Ordering { row[*b].total_cmp(&row[*a]).then(a.cmp(b)) };
        if order.len() > n && n > 0 {
            order.select_nth_unstable_by(n - 1, higher);
            order.truncate(n);
        }
        order.sort_unstable_by(higher);
        highest.push(row, &order, n);
    }
    highest
}

fn counts(score: f64, threshold: Option<f64>) -> bool {
    !score.is_nan() && threshold.is_none_or(|threshold| score >= threshold)
}

impl Highest {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "scores are answered as FP32"
    )]
    fn push(&mut self, row: &[f64], order: &[usize], n: usize) {
        for place in 0..n {
            let index = order.get(place);
            let class = index.and_then(|index| i64::try_from(*index).ok());
            self.indices.push(class.unwrap_or(NOBODY));
            self.scores
                .push(index.map_or(0.0, |index| row[*index] as f32));
        }
    }

    /// INT64, −1 where nobody is.
    pub(super) fn indices(&self, name: &str) -> Result<Tensor, TensorError> {
        let data = Buffer::from_slice_ref(&self.indices);
        Tensor::fixed(name, DType::Int64, self.shape.clone(), data)
    }

    /// FP32, 0 where nobody is.
    pub(super) fn scores(&self, name: &str) -> Result<Tensor, TensorError> {
        let data = Buffer::from_slice_ref(&self.scores);
        Tensor::fixed(name, DType::Float32, self.shape.clone(), data)
    }

    /// STRING, empty where nobody is.
    pub(super) fn labels(&self, name: &str, labels: &[String]) -> Result<Tensor, TensorError> {
        let mut data = VariableData::with_capacity(self.indices.len(), 0);
        for index in &self.indices {
            let label = usize::try_from(*index)
                .ok()
                .and_then(|index| labels.get(index));
            data.push(label.map_or("", String::as_str).as_bytes());
        }
        Tensor::variable(name, DType::String, self.shape.clone(), data)
    }
}
