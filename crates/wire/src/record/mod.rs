//! An Arrow record as it came from a topic: checked once, then read in place.
//!
//! `Record::decode` walks the payload itself, because the general Arrow readers panic and allocate on
//! hostile bytes. Nothing is copied until rows are wanted in a tensor, and every read is safe at any
//! alignment, since Kafka payloads have none.

mod body;
mod bytes;
mod error;
mod frame;
mod rows;
mod schema;
mod sparse;
mod view;

use std::ops::Range;
use std::sync::Arc;

pub use error::{DecodeError, DecodeErrorKind};
pub use rows::RowShape;
pub use view::{Contents, RecordView};

use crate::dtype::DType;
use crate::limits::Limits;
use crate::sparse::SparseTensor;
use crate::tensor::{Tensor, TensorBuilder, TensorError, known};
use body::ColumnData;
use error::Fault;
use frame::Frames;
pub(crate) use schema::{
    BFLOAT16_EXTENSION, EXTENSION_METADATA_KEY, EXTENSION_NAME_KEY, FIXED_SHAPE_EXTENSION,
    SPARSE_EXTENSION, VARIABLE_SHAPE_EXTENSION,
};
use schema::{Field, Schema};
use view::Frame;

/// An Arrow record batch of one row or more, whose every buffer has been checked.
#[derive(Debug)]
pub struct Record {
    payload: Vec<u8>,
    contents: Arc<Contents>,
}

/// One named tensor of a record; its data lie in the record's payload.
#[derive(Debug)]
pub struct Column {
    field: Arc<Field>,
    data: ColumnData,
}

/// Decodes records one after the other; records with the schema of the one before cost less, and
/// those that differ from it in their fixed-size values only next to nothing.
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    last_schema: Option<(Vec<u8>, Arc<Schema>)>,
    last_frame: Option<Frame>,
}

impl Decoder {
    /// A decoder that refuses what is beyond `limits`.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            last_schema: None,
            last_frame: None,
        }
    }

    /// Checks an Arrow IPC stream of one schema, one record batch and the end-of-stream marker.
    /// The error gives the payload back.
    pub fn decode(&mut self, payload: Vec<u8>) -> Result<Record, DecodeError> {
        match self.check(&payload) {
            Ok(contents) => Ok(Record { payload, contents }),
            Err(fault) => Err(fault.with_payload(payload)),
        }
    }

    /// The same for a payload that stays where it is; the error has a copy of it.
    pub fn view<'a>(&mut self, payload: &'a [u8]) -> Result<RecordView<'a>, DecodeError> {
        match self.check(payload) {
            Ok(contents) => Ok(RecordView { payload, contents }),
            Err(fault) => Err(fault.with_payload(payload.to_vec())),
        }
    }

    fn check(&mut self, payload: &[u8]) -> Result<Arc<Contents>, Fault> {
        if let Some(frame) = &self.last_frame
            && frame.is_around(payload)
        {
            return Ok(Arc::clone(&frame.contents));
        }
        let limits = self.limits.clone();
        let mut frames = Frames::new(payload, &limits)?;
        let schema = self.schema(frames.schema()?)?;
        let batch = frames.batch()?;
        let (rows, columns) = body::check(&schema, &batch, &limits)?;
        let contents = Arc::new(Contents { rows, columns });
        self.last_frame = Frame::of(payload, batch.body, &contents);
        Ok(contents)
    }

    fn schema(&mut self, metadata: &[u8]) -> Result<Arc<Schema>, Fault> {
        if let Some((known, schema)) = &self.last_schema
            && known == metadata
        {
            return Ok(Arc::clone(schema));
        }
        let schema = Arc::new(schema::parse(metadata, &self.limits)?);
        self.last_schema = Some((metadata.to_vec(), Arc::clone(&schema)));
        Ok(schema)
    }
}

impl Record {
    /// Decodes a single payload; for many of them use a [`Decoder`].
    pub fn decode(payload: Vec<u8>, limits: &Limits) -> Result<Self, DecodeError> {
        Decoder::new(limits.clone()).decode(payload)
    }

    /// Instances; at least 1.
    pub fn rows(&self) -> usize {
        self.contents.rows
    }

    /// All columns in the order of the schema; at least 1, their names differ.
    pub fn columns(&self) -> &[Column] {
        &self.contents.columns
    }

    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns().iter().find(|column| column.name() == name)
    }

    /// The index of the column of that name.
    pub fn column_index(&self, name: &str) -> Option<usize> {
        self.contents.column_index(name)
    }

    /// Bytes that the rows take when sparse columns are dense: those of the payload where none is.
    pub fn dense_bytes(&self) -> usize {
        let mut bytes = self.payload.len();
        for column in self.columns() {
            bytes += sparse::dense_bytes(column, &self.payload, self.rows());
        }
        bytes
    }

    /// The bytes as they were received.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The bytes as they were received.
    pub fn into_payload(self) -> Vec<u8> {
        self.payload
    }

    /// The dimensions of one row of a column, without dimension 0 of the tensor.
    ///
    /// # Panics
    /// If there is no such column or row.
    pub fn row_shape(&self, column: usize, row: usize) -> RowShape {
        self.shape_of_row(&self.contents.columns[column], row)
    }

    pub(crate) fn shape_of_row(&self, column: &Column, row: usize) -> RowShape {
        self.contents.shape_of_row(&self.payload, column, row)
    }

    /// The rows cut into the longest runs within which all columns keep their row shape: rows of one
    /// run can share a batch. Fixed shapes give a single run.
    pub fn uniform_runs(&self) -> Vec<Range<usize>> {
        let mut runs = Vec::new();
        let mut start = 0;
        for row in 1..self.rows() {
            if !self.same_shapes(row - 1, row) {
                runs.push(start..row);
                start = row;
            }
        }
        runs.push(start..self.rows());
        runs
    }

    fn same_shapes(&self, a: usize, b: usize) -> bool {
        self.columns().iter().all(|column| {
            column.fixed_row_shape().is_some()
                || self.shape_of_row(column, a) == self.shape_of_row(column, b)
        })
    }

    /// Appends rows of a column to a tensor of the same type and row shape: one copy of memory, but
    /// for booleans, which are unpacked to a byte each, and sparse rows, which become dense.
    pub fn copy_rows(
        &self,
        column: usize,
        rows: Range<usize>,
        into: &mut TensorBuilder,
    ) -> Result<(), TensorError> {
        self.contents.copy_rows(&self.payload, (column, rows), into)
    }

    /// A sparse column as it is; `None` for all others, and where its shapes or indices are beyond
    /// int32.
    pub fn sparse_tensor(&self, column: usize) -> Option<SparseTensor> {
        sparse::tensor(self.columns().get(column)?, &self.payload, self.rows())
    }

    /// A whole column as a tensor; fails if its rows differ in shape.
    pub fn tensor(&self, column: usize) -> Result<Tensor, TensorError> {
        self.tensor_of_rows(column, 0..self.rows())
    }

    /// Some rows of a column, at least one, as a tensor; fails if they differ in shape.
    pub fn tensor_of_rows(&self, column: usize, rows: Range<usize>) -> Result<Tensor, TensorError> {
        let data = self.columns().get(column);
        let Some(data) = data.filter(|_| rows.start < self.rows()) else {
            return Err(range_error(column, rows));
        };
        let shape = self.shape_of_row(data, rows.start);
        let name = Arc::clone(&data.field.name);
        let mut builder = TensorBuilder::new(name, data.dtype(), &shape, rows.len())?;
        self.copy_rows(column, rows, &mut builder)?;
        Ok(builder.finish())
    }
}

fn range_error(column: usize, rows: Range<usize>) -> TensorError {
    TensorError::Range {
        start: rows.start,
        end: rows.end,
        column,
    }
}

impl Column {
    /// The name of the model's input or output.
    pub fn name(&self) -> &str {
        &self.field.name
    }

    /// The type of every element.
    pub fn dtype(&self) -> DType {
        self.field.dtype
    }

    /// Number of dimensions, the rows included.
    pub fn rank(&self) -> usize {
        self.field.rank()
    }

    /// The dimensions of every row where the schema fixes them; `None` where rows may differ.
    pub fn fixed_row_shape(&self) -> Option<&[usize]> {
        self.field.fixed_row_shape()
    }

    /// All dimensions as a signature writes them: rows are open, and so is what may differ by row.
    pub fn shape(&self) -> Vec<Option<usize>> {
        let mut shape = vec![None];
        match self.fixed_row_shape() {
            Some(row_shape) => shape.extend(known(row_shape)),
            None => shape.resize(self.rank(), None),
        }
        shape
    }
}
