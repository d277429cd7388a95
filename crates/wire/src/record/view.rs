//! What lies where in a payload, and records that are read without owning their payload.

use std::ops::Range;
use std::sync::Arc;

use super::body::LeafData;
use super::bytes::Lists;
use super::rows::{self, RowShape};
use super::schema::Shapes;
use super::{Column, range_error};
use crate::tensor::{TensorBuilder, TensorError};

/// Rows and columns of a checked payload, and where each lies in it. Payloads that differ in their
/// fixed-size values only share it.
#[derive(Debug)]
pub struct Contents {
    pub(super) rows: usize,
    pub(super) columns: Vec<Column>,
}

/// A checked record in a payload that is somebody else's.
#[derive(Debug, Clone)]
pub struct RecordView<'a> {
    pub(super) payload: &'a [u8],
    pub(super) contents: Arc<Contents>,
}

/// All of a payload but its values, where nothing else in it depends on these.
#[derive(Debug)]
pub(super) struct Frame {
    head: Vec<u8>,
    tail: Vec<u8>,
    size_bytes: usize,
    pub(super) contents: Arc<Contents>,
}

impl Contents {
    /// The index of the column of that name.
    pub fn column_index(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name() == name)
    }

    pub(super) fn shape_of_row(&self, payload: &[u8], column: &Column, row: usize) -> RowShape {
        assert!(row < self.rows, "row {row} of {}", self.rows);
        rows::shape(column, payload, row)
    }

    pub(super) fn copy_rows(
        &self,
        payload: &[u8],
        (column, rows): (usize, Range<usize>),
        into: &mut TensorBuilder,
    ) -> Result<(), TensorError> {
        let Some(data) = self.columns.get(column) else {
            return Err(range_error(column, rows));
        };
        if rows.start > rows.end || rows.end > self.rows {
            return Err(range_error(column, rows));
        }
        rows::copy(data, payload, rows, into)
    }
}

impl<'a> RecordView<'a> {
    /// Instances; at least 1.
    pub fn rows(&self) -> usize {
        self.contents.rows
    }

    /// All columns in the order of the schema; at least 1, their names differ.
    pub fn columns(&self) -> &[Column] {
        &self.contents.columns
    }

    /// The index of the column of that name.
    pub fn column_index(&self, name: &str) -> Option<usize> {
        self.contents.column_index(name)
    }

    /// The bytes as they were received.
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// What lies where. Records of which it is the very same differ in values alone.
    pub fn contents(&self) -> &Arc<Contents> {
        &self.contents
    }

    /// As [`super::Record::row_shape`].
    ///
    /// # Panics
    /// If there is no such column or row.
    pub fn row_shape(&self, column: usize, row: usize) -> RowShape {
        let column = &self.contents.columns[column];
        self.contents.shape_of_row(self.payload, column, row)
    }

    /// As [`super::Record::copy_rows`].
    pub fn copy_rows(
        &self,
        column: usize,
        rows: Range<usize>,
        into: &mut TensorBuilder,
    ) -> Result<(), TensorError> {
        self.contents.copy_rows(self.payload, (column, rows), into)
    }
}

impl Frame {
    /// The frame around a checked body; `None` where the body holds more than fixed-size values,
    /// since then what lies where depends on the body itself.
    pub(super) fn of(payload: &[u8], body: Range<usize>, contents: &Arc<Contents>) -> Option<Self> {
        let values_only = contents.columns.iter().all(holds_values_only);
        values_only.then(|| Self {
            head: payload[..body.start].to_vec(),
            tail: payload[body.end..].to_vec(),
            size_bytes: payload.len(),
            contents: Arc::clone(contents),
        })
    }

    /// Whether checking this payload would find the very same: schema, nodes, buffers and the end
    /// are equal byte by byte, and the body between them is as long.
    pub(super) fn is_around(&self, payload: &[u8]) -> bool {
        payload.len() == self.size_bytes
            && payload.starts_with(&self.head)
            && payload.ends_with(&self.tail)
    }
}

fn holds_values_only(column: &Column) -> bool {
    let data = &column.data;
    matches!(column.field.shapes, Shapes::Fixed(_) | Shapes::Nested)
        && matches!(data.leaf, LeafData::Fixed { .. } | LeafData::Bits { .. })
        && data
            .levels
            .iter()
            .all(|lists| matches!(lists, Lists::Fixed(_)))
}
