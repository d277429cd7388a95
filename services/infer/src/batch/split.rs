//! Cutting a record into the pieces that run: at most a batch each, and of one row shape each.

use std::ops::Range;
use std::sync::Arc;

use millrace_wire::{Record, TensorSpec};

use super::{BatchLimits, RowShape};

/// Cuts the records of one model.
#[derive(Debug)]
pub(crate) struct Splitter {
    limits: BatchLimits,
    inputs: Vec<TensorSpec>,
    /// The shape of every row, where the signature fixes it.
    fixed: Option<RowShape>,
}

/// Consecutive rows of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Split {
    pub(crate) shape: RowShape,
    pub(crate) rows: Range<usize>,
    /// Their share of the record's payload.
    pub(crate) bytes: usize,
}

impl Splitter {
    pub(crate) fn new(limits: BatchLimits, inputs: &[TensorSpec]) -> Self {
        let is_fixed = inputs
            .iter()
            .all(|input| input.shape.iter().skip(1).all(Option::is_some));
        let fixed = is_fixed.then(|| RowShape::from([]));
        Self {
            limits,
            inputs: inputs.to_vec(),
            fixed,
        }
    }

    /// The pieces of a record that fits the signature, in row order.
    pub(crate) fn split(&self, record: &Record) -> Vec<Split> {
        let row_bytes = (record.payload().len() / record.rows().max(1)).max(1);
        let most = self
            .limits
            .max_rows
            .min((self.limits.max_bytes / row_bytes).max(1));
        let mut splits = Vec::with_capacity(1);
        let mut cut = |shape: &RowShape, run: Range<usize>| {
            let mut start = run.start;
            while start < run.end {
                let rows = start..run.end.min(start + most);
                start = rows.end;
                splits.push(Split {
                    shape: Arc::clone(shape),
                    bytes: rows.len() * row_bytes,
                    rows,
                });
            }
        };
        match &self.fixed {
            Some(shape) => cut(shape, 0..record.rows()),
            None => {
                for run in record.uniform_runs() {
                    cut(&self.shape_of(record, run.start), run);
                }
            }
        }
        splits
    }

    /// The open dimensions tell shapes apart, but so do all: the inputs' ranks are fixed.
    fn shape_of(&self, record: &Record, row: usize) -> RowShape {
        let mut shape = Vec::new();
        for input in &self.inputs {
            if let Some(column) = record.column_index(&input.name) {
                shape.extend_from_slice(&record.row_shape(column, row));
            }
        }
        shape.into()
    }
}
