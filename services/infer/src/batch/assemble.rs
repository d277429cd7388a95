//! Rows of many records into the tensors of one batch, and rows of a batch's outputs back into records.

use std::ops::Range;
use std::sync::Arc;

use millrace_wire::{
    ColumnParts, EncodeError, Encoder, Record, Tensor, TensorBuilder, TensorError, TensorSlice,
    TensorSpec,
};

/// The inputs of one run: the rows of all parts, one after another. Each part is copied once.
///
/// # Errors
/// When a part's record does not have the inputs' columns, or its rows differ in shape from the first part's.
pub(crate) fn assemble<'a>(
    inputs: &[TensorSpec],
    parts: impl Iterator<Item = (&'a Record, Range<usize>)> + Clone,
) -> Result<Vec<Tensor>, TensorError> {
    let rows = parts.clone().map(|(_, rows)| rows.len()).sum();
    let mut tensors = Vec::with_capacity(inputs.len());
    for input in inputs {
        let mut builder: Option<TensorBuilder> = None;
        for (record, range) in parts.clone() {
            let column = record.column_index(&input.name).unwrap_or(usize::MAX);
            let into = match &mut builder {
                Some(builder) => builder,
                None => {
                    let row_shape = record.row_shape(column, range.start);
                    builder.insert(TensorBuilder::new(
                        input.name.as_str(),
                        input.dtype,
                        &row_shape,
                        rows,
                    )?)
                }
            };
            record.copy_rows(column, range, into)?;
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
