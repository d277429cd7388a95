//! Rows of many records into the tensors of one batch, and rows of a batch's outputs back into records.

use std::ops::Range;
use std::sync::Arc;

use millrace_wire::{
    ColumnParts, EncodeError, Encoder, Record, Tensor, TensorBuilder, TensorError, TensorSlice,
    TensorSpec,
};

use crate::images::Decoded;

/// Rows of one record.
#[derive(Debug, Clone)]
pub(crate) struct Rows<'a> {
    pub(crate) record: &'a Record,
    /// Its images, decoded, if it has some.
    pub(crate) images: Option<&'a Decoded>,
    pub(crate) rows: Range<usize>,
}

impl Rows<'_> {
    /// The dimensions of the first row of an input.
    fn shape_of(&self, (index, input): (usize, &TensorSpec)) -> Vec<usize> {
        if let Some(shape) = self
            .images
            .and_then(|it| it.row_shape(index, self.rows.start))
        {
            return shape.to_vec();
        }
        let column = self.record.column_index(&input.name).unwrap_or(usize::MAX);
        self.record.row_shape(column, self.rows.start).to_vec()
    }

    fn copy(
        &self,
        (index, input): (usize, &TensorSpec),
        into: &mut TensorBuilder,
    ) -> Result<(), TensorError> {
        match self.images {
            Some(images) if images.row_shape(index, self.rows.start).is_some() => {
                images.copy_rows((index, self.rows.clone()), into)
            }
            _ => {
                let column = self.record.column_index(&input.name).unwrap_or(usize::MAX);
                self.record.copy_rows(column, self.rows.clone(), into)
            }
        }
    }
}

/// The inputs of one run: the rows of all parts, one after another. Each part is copied once.
///
/// # Errors
/// When a part's record does not have the inputs' columns, or its rows differ in shape from the first part's.
pub(crate) fn assemble<'a>(
    inputs: &[TensorSpec],
    parts: impl Iterator<Item = Rows<'a>> + Clone,
) -> Result<Vec<Tensor>, TensorError> {
    let rows = parts.clone().map(|part| part.rows.len()).sum();
    let mut tensors = Vec::with_capacity(inputs.len());
    for input in inputs.iter().enumerate() {
        let (_, spec) = input;
        let mut builder: Option<TensorBuilder> = None;
        for part in parts.clone() {
            let into = match &mut builder {
                Some(builder) => builder,
                None => {
                    let row_shape = part.shape_of(input);
                    builder.insert(TensorBuilder::new(
                        spec.name.as_str(),
                        spec.dtype,
                        &row_shape,
                        rows,
                    )?)
                }
            };
            part.copy(input, into)?;
        }
        tensors.extend(builder.map(TensorBuilder::finish));
    }
    Ok(tensors)
}

/// Rows of one run's outputs that belong to one record.
#[derive(Debug, Clone)]
pub(crate) struct OutputRows {
    pub(crate) outputs: Arc<Vec<Tensor>>,
    pub(crate) rows: Range<usize>,
}

/// The answer to a record that was cut into several pieces, while they come in.
#[derive(Debug)]
pub(crate) struct Answer {
    pieces: Vec<Option<OutputRows>>,
    open: usize,
    failed: bool,
}

impl Answer {
    pub(crate) fn of(pieces: usize) -> Self {
        Self {
            pieces: vec![None; pieces],
            open: pieces,
            failed: false,
        }
    }

    /// Takes the outputs of one piece; answers all of them, in row order, when it was the last.
    pub(crate) fn complete(&mut self, piece: usize, rows: OutputRows) -> Option<Vec<OutputRows>> {
        let place = self.pieces.get_mut(piece)?;
        if place.replace(rows).is_none() {
            self.open -= 1;
        }
        if self.open > 0 || self.failed {
            return None;
        }
        Some(self.pieces.iter_mut().filter_map(Option::take).collect())
    }

    /// One piece failed, and with it the record. True the first time: then somebody must say so.
    pub(crate) fn fail(&mut self) -> bool {
        self.pieces.clear();
        !std::mem::replace(&mut self.failed, true)
    }

    /// Whether the remaining pieces need not run.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed
    }
}

/// The Arrow record of a record's output rows; `parts` are in row order.
///
/// # Errors
/// When outputs cannot be one record, for example two of the same name.
pub(crate) fn encode<'a>(
    encoder: &mut Encoder,
    names: &'a [TensorSpec],
    parts: &[(&'a [Tensor], Range<usize>)],
) -> Result<Vec<u8>, EncodeError> {
    let mut columns = Vec::with_capacity(names.len());
    for (index, spec) in names.iter().enumerate() {
        let mut slices = Vec::with_capacity(parts.len());
        for (tensors, rows) in parts {
            if let Some(tensor) = tensors.get(index) {
                slices.push(TensorSlice {
                    tensor,
                    rows: rows.clone(),
                });
            }
        }
        columns.push(ColumnParts {
            name: &spec.name,
            parts: slices,
        });
    }
    encoder.encode(&columns)
}

#[cfg(test)]
mod tests {
    use arrow::buffer::Buffer;
    use millrace_wire::{DType, Limits, SparsePlaces, SparseTensor, encode_inputs, encode_tensors};

    use super::*;

    fn tensor(name: &str, rows: Range<u16>) -> Tensor {
        let values: Vec<f32> = rows.clone().flat_map(|row| [f32::from(row), 0.5]).collect();
        let shape = vec![rows.len(), 2];
        Tensor::fixed(name, DType::Float32, shape, Buffer::from_vec(values)).unwrap()
    }

    fn record(rows: Range<u16>) -> Record {
        let columns = [tensor("other", rows.clone()), tensor("x", rows)];
        Record::decode(encode_tensors(&columns).unwrap(), &Limits::default()).unwrap()
    }

    fn plain((record, rows): (&Record, Range<usize>)) -> Rows<'_> {
        Rows {
            record,
            images: None,
            rows,
        }
    }

    fn spec(name: &str) -> TensorSpec {
        TensorSpec {
            name: name.to_owned(),
            dtype: DType::Float32,
            shape: vec![None, Some(2)],
        }
    }

    /// The first value of each row.
    fn firsts(tensor: &Tensor) -> Vec<f32> {
        tensor
            .typed::<f32>()
            .unwrap()
            .chunks(2)
            .map(|row| row[0])
            .collect()
    }

    #[test]
    fn a_batch_holds_the_rows_of_all_parts_in_order_and_inputs_as_the_signature_has_them() {
        let (first, second) = (record(0..3), record(10..14));
        let parts = [(&first, 1..3), (&second, 0..4)];
        let inputs = assemble(&[spec("x"), spec("other")], parts.map(plain).into_iter()).unwrap();
        assert_eq!(inputs[0].name(), "x");
        assert_eq!(inputs[0].shape(), [6, 2]);
        assert_eq!(firsts(&inputs[0]), [1.0, 2.0, 10.0, 11.0, 12.0, 13.0]);
        assert_eq!(inputs[1].name(), "other");
    }

    #[test]
    fn sparse_rows_join_a_batch_of_dense_ones_as_what_they_stand_for() {
        let places = SparsePlaces {
            rank: 1,
            shapes: vec![2, 2],
            ends: vec![1, 1],
            indices: vec![1],
        };
        let value = Buffer::from_vec(vec![7.5f32]);
        let values = Tensor::fixed("x", DType::Float32, vec![1], value).unwrap();
        let sparse = SparseTensor::new(places, values).unwrap();
        let encoded = encode_inputs(&[], &[sparse]).unwrap();
        let sparse = Record::decode(encoded, &Limits::default()).unwrap();
        let dense = record(3..4);
        let parts = [(&dense, 0..1), (&sparse, 0..2)];
        let inputs = assemble(&[spec("x")], parts.map(plain).into_iter()).unwrap();
        assert_eq!(inputs[0].shape(), [3, 2]);
        let expected = [3.0, 0.5, 0.0, 7.5, 0.0, 0.0];
        assert_eq!(inputs[0].typed::<f32>().unwrap(), expected);
    }

    #[test]
    fn the_answer_of_a_cut_record_is_complete_with_its_last_piece_and_in_row_order() {
        let rows = |range: Range<u16>| OutputRows {
            rows: 0..range.len(),
            outputs: Arc::new(vec![tensor("y", range)]),
        };
        let mut answer = Answer::of(3);
        assert!(answer.complete(2, rows(4..6)).is_none());
        assert!(answer.complete(0, rows(0..2)).is_none());
        let pieces = answer
            .complete(1, rows(2..4))
            .expect("all pieces are there");
        let parts: Vec<_> = pieces
            .iter()
            .map(|piece| (piece.outputs.as_slice(), piece.rows.clone()))
            .collect();
        let bytes = encode(&mut Encoder::default(), &[spec("y")], &parts).unwrap();
        let decoded = Record::decode(bytes, &Limits::default())
            .unwrap()
            .tensor(0)
            .unwrap();
        assert_eq!(decoded.name(), "y");
        assert_eq!(firsts(&decoded), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    }

    #[test]
    fn a_cut_record_fails_once_and_is_never_answered_after_it() {
        let rows = || OutputRows {
            rows: 0..1,
            outputs: Arc::new(vec![tensor("y", 0..1)]),
        };
        let mut answer = Answer::of(2);
        assert!(answer.complete(0, rows()).is_none());
        assert!(answer.fail());
        assert!(!answer.fail());
        assert!(answer.has_failed());
        assert!(answer.complete(1, rows()).is_none());
    }
}
