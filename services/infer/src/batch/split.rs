//! Cutting a record into the pieces that run: at most a batch each, and of one row shape each.

use std::ops::Range;
use std::sync::Arc;

use millrace_wire::{Record, TensorSpec};

use super::{BatchLimits, RowShape};
use crate::images::Decoded;

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
    /// Their share of the record's bytes, sparse rows counted as the dense ones that they become.
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
    pub(crate) fn split(&self, record: &Record, images: Option<&Decoded>) -> Vec<Split> {
        let bytes = record.dense_bytes() + images.map_or(0, Decoded::size_bytes);
        let row_bytes = (bytes / record.rows().max(1)).max(1);
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
                    for run in runs_of_images(run, images) {
                        cut(&self.shape_of((record, images), run.start), run);
                    }
                }
            }
        }
        splits
    }

    /// The open dimensions tell shapes apart, but so do all: the inputs' ranks are fixed.
    fn shape_of(&self, (record, images): (&Record, Option<&Decoded>), row: usize) -> RowShape {
        let mut shape = Vec::new();
        for (index, input) in self.inputs.iter().enumerate() {
            if let Some(row_shape) = images.and_then(|images| images.row_shape(index, row)) {
                shape.extend_from_slice(row_shape);
            } else if let Some(column) = record.column_index(&input.name) {
                shape.extend_from_slice(&record.row_shape(column, row));
            }
        }
        shape.into()
    }
}

/// A run of rows cut where images change their size.
fn runs_of_images(run: Range<usize>, images: Option<&Decoded>) -> Vec<Range<usize>> {
    let Some(images) = images else {
        return vec![run];
    };
    let mut runs = Vec::new();
    let mut start = run.start;
    for row in run.start + 1..run.end {
        if !images.same_shapes(row - 1, row) {
            runs.push(start..row);
            start = row;
        }
    }
    runs.push(start..run.end);
    runs
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use arrow::buffer::Buffer;
    use millrace_wire::{DType, Limits, Tensor, encode_tensors};

    use super::*;

    /// A record of one FP32 column with as many elements per row as given.
    fn record(rows: usize, row_shape: &[usize]) -> Record {
        let elements = rows * row_shape.iter().product::<usize>();
        let shape = [&[rows], row_shape].concat();
        let data = Buffer::from_vec(vec![0f32; elements]);
        let tensor = Tensor::fixed("x", DType::Float32, shape, data).unwrap();
        Record::decode(encode_tensors(&[tensor]).unwrap(), &Limits::default()).unwrap()
    }

    fn splitter(max_rows: usize, max_bytes: usize, shape: &[Option<usize>]) -> Splitter {
        let limits = BatchLimits {
            max_rows,
            max_bytes,
            max_delay: Duration::ZERO,
        };
        let input = TensorSpec {
            name: "x".to_owned(),
            dtype: DType::Float32,
            shape: shape.to_vec(),
        };
        Splitter::new(limits, &[input])
    }

    fn ranges(splits: &[Split]) -> Vec<Range<usize>> {
        splits.iter().map(|split| split.rows.clone()).collect()
    }

    #[test]
    fn a_record_that_fits_a_batch_is_one_piece() {
        let splits = splitter(8, 1 << 20, &[None, Some(4)]).split(&record(8, &[4]), None);
        assert_eq!(splits.len(), 1);
        assert_eq!(splits[0].rows, 0..8);
    }

    #[test]
    fn a_record_larger_than_a_batch_is_cut_by_rows() {
        let splits = splitter(8, 1 << 20, &[None, Some(4)]).split(&record(20, &[4]), None);
        assert_eq!(ranges(&splits), [0..8, 8..16, 16..20]);
    }

    #[test]
    fn a_record_is_cut_by_bytes_but_never_below_one_row() {
        let splits = splitter(8, 1, &[None, Some(4)]).split(&record(3, &[4]), None);
        assert_eq!(ranges(&splits), [0..1, 1..2, 2..3]);
    }

    #[test]
    fn only_open_dimensions_tell_shapes_apart() {
        let fixed = splitter(8, 1 << 20, &[None, Some(4)]);
        assert!(fixed.split(&record(1, &[4]), None)[0].shape.is_empty());
        let open = splitter(8, 1 << 20, &[None, None]);
        let (four, five) = (
            open.split(&record(1, &[4]), None),
            open.split(&record(1, &[5]), None),
        );
        assert_ne!(four[0].shape, five[0].shape);
        assert_eq!(four[0].shape, open.split(&record(2, &[4]), None)[0].shape);
    }
}
