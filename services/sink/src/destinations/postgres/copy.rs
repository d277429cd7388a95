//! Rows of an Arrow batch in the binary form of PostgreSQL's COPY.

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::error::ArrowError;
use std::sync::Arc;

use super::elements::{self, Elements, NULL, Unfit};
use super::types::{Form, Scalar};
use crate::destinations::table::lists;
use crate::projection::json;

/// Signature, no flags, no extension.
const HEADER: &[u8] = b"PGCOPY\n\xFF\r\n\0\0\0\0\0\0\0\0\0";
/// The count of fields that no row has.
const TRAILER: [u8; 2] = (-1i16).to_be_bytes();

/// Encodes one batch, piece by piece.
pub(super) struct Encoder<'a> {
    cells: Vec<Cells<'a>>,
    fields: [u8; 2],
    rows: usize,
    next_row: usize,
}

/// Writes the field of a row.
type Cells<'a> = Box<dyn Fn(usize, &mut Vec<u8>) -> Result<(), Unfit> + 'a>;

/// The columns of the batch; lists that are written as JSON are texts already.
pub(super) fn columns(rows: &RecordBatch, forms: &[Form]) -> Result<Vec<ArrayRef>, ArrowError> {
    let column = |(array, form): (&ArrayRef, &Form)| match form {
        Form::JsonList(_) => Ok(Arc::new(json::texts(array)?) as ArrayRef),
        _ => Ok(Arc::clone(array)),
    };
    rows.columns().iter().zip(forms).map(column).collect()
}

impl<'a> Encoder<'a> {
    /// Rows of these [`columns`] in the given forms, one per column.
    pub(super) fn new(columns: &'a [ArrayRef], forms: &[Form]) -> Result<Self, Unfit> {
        let mut cells = Vec::with_capacity(forms.len());
        for (column, form) in columns.iter().zip(forms) {
            cells.push(cells_of(column, *form)?);
        }
        Ok(Self {
            fields: u16::try_from(cells.len())
                .map_err(|_| Unfit::TooMany(cells.len()))?
                .to_be_bytes(),
            cells,
            rows: columns.first().map_or(0, |column| column.len()),
            next_row: 0,
        })
    }

    /// The next rows, of about `size_bytes` together; `None` after the last.
    pub(super) fn next_piece(&mut self, size_bytes: usize) -> Result<Option<Vec<u8>>, Unfit> {
        if self.next_row > self.rows {
            return Ok(None);
        }
        let mut out = Vec::with_capacity(size_bytes + size_bytes / 4);
        if self.next_row == 0 {
            out.extend_from_slice(HEADER);
        }
        while self.next_row < self.rows && out.len() < size_bytes {
            out.extend_from_slice(&self.fields);
            for cell in &self.cells {
                cell(self.next_row, &mut out)?;
            }
            self.next_row += 1;
        }
        if self.next_row == self.rows {
            out.extend_from_slice(&TRAILER);
            self.next_row += 1;
        }
        Ok(Some(out))
    }
}

fn cells_of(array: &dyn Array, form: Form) -> Result<Cells<'_>, Unfit> {
    Ok(match form {
        Form::Scalar(scalar) | Form::JsonList(scalar) => {
            let write = elements::elements(array, scalar)?;
            Box::new(move |row, out| write(row..row + 1, out))
        }
        Form::Array(scalar) => {
            let write = elements::elements(lists::leaf_array(array), scalar)?;
            Box::new(move |row, out| match array.is_null(row) {
                true => {
                    out.extend_from_slice(&NULL);
                    Ok(())
                }
                false => with_length(out, |out| array_of(array, row, (&write, scalar), out)),
            })
        }
        Form::Vector => {
            let write = elements::elements(lists::leaf_array(array), Scalar::Float4)?;
            Box::new(move |row, out| match array.is_null(row) {
                true => {
                    out.extend_from_slice(&NULL);
                    Ok(())
                }
                false => with_length(out, |out| vector(array, row, &write, out)),
            })
        }
    })
}

/// Dimensions, whether NULL may occur, type, then length and lower bound of each dimension, then the elements.
fn array_of(
    array: &dyn Array,
    row: usize,
    (write, scalar): (&Elements<'_>, Scalar),
    out: &mut Vec<u8>,
) -> Result<(), Unfit> {
    let block = lists::block(array, row).ok_or(Unfit::Ragged)?;
    let empty = block.elements.is_empty();
    let shape = if empty { &[] } else { block.shape.as_slice() };
    out.extend_from_slice(&elements::length(shape.len())?);
    let nulls: i32 = i32::from(lists::leaf_array(array).null_count() > 0);
    out.extend_from_slice(&nulls.to_be_bytes());
    out.extend_from_slice(&scalar.oid().to_be_bytes());
    for &size in shape {
        let size = i32::try_from(size).map_err(|_| Unfit::TooMany(size))?;
        out.extend_from_slice(&size.to_be_bytes());
        out.extend_from_slice(&1i32.to_be_bytes());
    }
    write(block.elements, out)
}

/// Count of dimensions, two bytes unused, then the floats without their lengths.
fn vector(
    array: &dyn Array,
    row: usize,
    write: &Elements<'_>,
    out: &mut Vec<u8>,
) -> Result<(), Unfit> {
    let range = lists::range(array, row);
    let count = u16::try_from(range.len()).map_err(|_| Unfit::TooMany(range.len()))?;
    out.extend_from_slice(&count.to_be_bytes());
    out.extend_from_slice(&0u16.to_be_bytes());
    let mut with_lengths = Vec::new();
    write(range, &mut with_lengths)?;
    for element in with_lengths.chunks_exact(8) {
        out.extend_from_slice(&element[4..]);
    }
    Ok(())
}

/// Writes a value whose length is known only afterwards.
fn with_length(
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), Unfit>,
) -> Result<(), Unfit> {
    let start = out.len();
    out.extend_from_slice(&NULL);
    write(out)?;
    let length = elements::length(out.len() - start - NULL.len())?;
    out[start..start + NULL.len()].copy_from_slice(&length);
    Ok(())
}
