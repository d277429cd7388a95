//! Tensors to Arrow records: one schema, one record batch, the end-of-stream marker.

mod body;
mod columns;
mod schema;

use std::fmt;
use std::ops::Range;

use flatbuffers::FlatBufferBuilder;

use crate::quote::Name;
use crate::sparse::SparseTensor;
use crate::tensor::Tensor;
use columns::OutColumn;
use schema::SchemaMessage;

/// One column of a record, made of rows of one tensor or of several: a batch's parts in row order.
#[derive(Debug, Clone)]
pub struct ColumnParts<'a> {
    /// The column's name; the tensors' own names are not used.
    pub name: &'a str,
    /// All of the same type and rank.
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
    /// A column has more or fewer rows than the first.
    #[error("column {} has {given} rows, expected {expected} as in the first column", Name(.name))]
    Rows {
        /// The column.
        name: String,
        /// Rows of the first column.
        expected: usize,
        /// Rows of this column.
        given: usize,
    },
    /// A part asks for rows that its tensor does not have.
    #[error("column {} takes rows {start}..{end} of a tensor of {rows} rows", Name(.name))]
    Range {
        /// The column.
        name: String,
        /// First row asked for.
        start: usize,
        /// One past the last row asked for.
        end: usize,
        /// Rows of the tensor.
        rows: usize,
    },
    /// The parts of a column differ in type or rank.
    #[error("column {} has parts of different types or ranks", Name(.name))]
    Parts {
        /// The column.
        name: String,
    },
    /// A column is beyond what Arrow's 32-bit offsets can address.
    #[error("column {} is too large for one record", Name(.name))]
    TooLarge {
        /// The column.
        name: String,
    },
}

/// Encodes records one after the other; records with the schema of the one before cost less.
#[derive(Default)]
pub struct Encoder {
    last_schema: Option<SchemaMessage>,
    flatbuffer: FlatBufferBuilder<'static>,
}

/// Starts each message: the continuation marker.
const CONTINUATION: [u8; 4] = [0xFF; 4];
/// Ends a stream: a message without metadata.
const END_OF_STREAM: [u8; 8] = [0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0];

impl Encoder {
    /// Encodes columns of equally many rows as an Arrow IPC stream. Rows of equal shape become a
    /// fixed shape tensor, rows of differing shapes a variable shape tensor (nested lists for text
    /// and bytes, where an empty dimension hides those within), tensors of rank 1 a plain column.
    pub fn encode(&mut self, columns: &[ColumnParts<'_>]) -> Result<Vec<u8>, EncodeError> {
        self.encode_with_sparse(columns, &[])
    }

    /// The same with sparse columns after the others: structs of `indices`, `values` and `shape`.
    pub fn encode_with_sparse(
        &mut self,
        columns: &[ColumnParts<'_>],
        sparse: &[SparseTensor],
    ) -> Result<Vec<u8>, EncodeError> {
        let mut values = Vec::with_capacity(sparse.len());
        for tensor in sparse {
            let (tensor, rows) = (tensor.values(), 0..tensor.values().rows());
            values.push([TensorSlice { tensor, rows }]);
        }
        let mut resolved = Vec::with_capacity(columns.len() + sparse.len());
        for column in columns {
            resolved.push(OutColumn::resolve(column)?);
        }
        for (tensor, values) in sparse.iter().zip(&values) {
            resolved.push(OutColumn::of_sparse(tensor, values)?);
        }
        self.encode_resolved(&resolved)
    }

    fn encode_resolved(&mut self, resolved: &[OutColumn<'_>]) -> Result<Vec<u8>, EncodeError> {
        let rows = check_rows(resolved)?;
        let schema = match self.last_schema.take() {
            Some(schema) if schema.is_for(resolved) => schema,
            _ => SchemaMessage::build(resolved),
        };
        let schema = self.last_schema.insert(schema).bytes();
        let plan = body::Plan::new(resolved);
        let batch = plan.metadata(&mut self.flatbuffer, rows);

        let size = schema.len() + 8 + batch.len().next_multiple_of(8) + plan.body_bytes() + 8;
        let mut out = Vec::with_capacity(size);
        out.extend_from_slice(schema);
        push_metadata(&mut out, batch);
        plan.write(resolved, &mut out);
        out.extend_from_slice(&END_OF_STREAM);
        debug_assert_eq!(out.len(), size);
        Ok(out)
    }
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoder").finish_non_exhaustive()
    }
}

/// Encodes a single record; for many of them use an [`Encoder`].
pub fn encode(columns: &[ColumnParts<'_>]) -> Result<Vec<u8>, EncodeError> {
    Encoder::default().encode(columns)
}

/// Encodes whole tensors under their own names.
pub fn encode_tensors(tensors: &[Tensor]) -> Result<Vec<u8>, EncodeError> {
    encode_inputs(tensors, &[])
}

/// Encodes whole tensors, dense and sparse ones, under their own names.
pub fn encode_inputs(tensors: &[Tensor], sparse: &[SparseTensor]) -> Result<Vec<u8>, EncodeError> {
    let mut columns = Vec::with_capacity(tensors.len());
    for tensor in tensors {
        columns.push(ColumnParts {
            name: tensor.name(),
            parts: vec![TensorSlice {
                tensor,
                rows: 0..tensor.rows(),
            }],
        });
    }
    Encoder::default().encode_with_sparse(&columns, sparse)
}

fn check_rows(columns: &[OutColumn<'_>]) -> Result<usize, EncodeError> {
    let Some(first) = columns.first().filter(|first| first.rows > 0) else {
        return Err(EncodeError::Empty);
    };
    for column in columns {
        if column.rows != first.rows {
            return Err(EncodeError::Rows {
                name: column.name.to_owned(),
                expected: first.rows,
                given: column.rows,
            });
        }
    }
    Ok(first.rows)
}

/// Appends a message's prefix and its flatbuffer, padded so that a body may follow.
fn push_metadata(out: &mut Vec<u8>, flatbuffer: &[u8]) {
    let padded = flatbuffer.len().next_multiple_of(8);
    let length = i32::try_from(padded).expect("metadata of a record are far below 2 GiB");
    out.extend_from_slice(&CONTINUATION);
    out.extend_from_slice(&length.to_le_bytes());
    let end = out.len() + padded;
    out.extend_from_slice(flatbuffer);
    out.resize(end, 0);
}
