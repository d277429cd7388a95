//! The tensors of rows, and the records made of them.

use std::ops::Range;

use millrace_wire::{ColumnParts, EncodeError, Encoder, Tensor, TensorSlice};

/// The inputs of consecutive rows: parts of rows of one shape, each with a tensor per input.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inputs {
    rows: usize,
    parts: Vec<Vec<Tensor>>,
}

impl Inputs {
    /// Appends rows: one tensor per input, each of as many rows.
    pub(crate) fn push(&mut self, part: Vec<Tensor>) {
        self.rows += part.first().map_or(0, Tensor::rows);
        self.parts.push(part);
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Some of the rows as one Arrow record.
    ///
    /// # Errors
    /// The range is empty, or a column is too large for a record.
    pub(crate) fn encode(
        &self,
        rows: Range<usize>,
        encoder: &mut Encoder,
    ) -> Result<Vec<u8>, EncodeError> {
        let mut columns: Vec<ColumnParts<'_>> = Vec::new();
        let mut start = 0;
        for part in &self.parts {
            let count = part.first().map_or(0, Tensor::rows);
            let (from, to) = (rows.start.max(start), rows.end.min(start + count));
            if from < to {
                push_slices(&mut columns, part, from - start..to - start);
            }
            start += count;
        }
        encoder.encode(&columns)
    }
}

fn push_slices<'a>(columns: &mut Vec<ColumnParts<'a>>, part: &'a [Tensor], rows: Range<usize>) {
    for (index, tensor) in part.iter().enumerate() {
        if columns.len() == index {
            columns.push(ColumnParts {
                name: tensor.name(),
                parts: Vec::new(),
            });
        }
        let rows = rows.clone();
        columns[index].parts.push(TensorSlice { tensor, rows });
    }
}
