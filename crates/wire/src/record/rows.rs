//! Shapes and elements of rows, read from a checked record.

use std::ops::{Deref, Range};

use super::Column;
use super::body::LeafData;
use super::bytes::{Lists, read_i32, read_integer};
use super::schema::Shapes;
use super::sparse;
use crate::limits::Limits;
use crate::tensor::{Growing, TensorBuilder, TensorError, checked_product};

/// The dimensions of one row, without dimension 0 of the tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowShape {
    sizes: [usize; Limits::MAX_RANK],
    dimensions: usize,
}

impl RowShape {
    pub(super) fn empty() -> Self {
        Self {
            sizes: [0; Limits::MAX_RANK],
            dimensions: 0,
        }
    }

    pub(super) fn push(&mut self, size: usize) {
        self.sizes[self.dimensions] = size;
        self.dimensions += 1;
    }
}

impl Deref for RowShape {
    type Target = [usize];

    fn deref(&self) -> &[usize] {
        &self.sizes[..self.dimensions]
    }
}

/// The shape of an existing row.
pub(super) fn shape(column: &Column, payload: &[u8], row: usize) -> RowShape {
    let mut shape = RowShape::empty();
    match &column.field.shapes {
        Shapes::Fixed(sizes) => sizes.iter().for_each(|&size| shape.push(size)),
        Shapes::Written(dimensions) => {
            for index in row * dimensions..(row + 1) * dimensions {
                let size = read_i32(payload, column.data.shapes_at, index);
                shape.push(usize::try_from(size).expect("sizes were checked when decoding"));
            }
        }
        Shapes::Sparse(layout) => {
            for index in row * layout.dimensions..(row + 1) * layout.dimensions {
                let size = read_integer(payload, layout.size, (column.data.shapes_at, index));
                shape.push(usize::try_from(size).expect("sizes were checked when decoding"));
            }
        }
        Shapes::Nested => {
            let mut items = row..row + 1;
            for lists in &column.data.levels {
                let first = items.start..items.end.min(items.start + 1);
                items = lists.inner(payload, first);
                shape.push(match lists {
                    Lists::Fixed(size) => *size,
                    Lists::Offsets(_) => items.len(),
                });
            }
        }
    }
    shape
}

/// True if lists of one level within the row differ in length: then the row is no tensor.
pub(super) fn is_ragged(column: &Column, payload: &[u8], row: usize) -> bool {
    let mut items = row..row + 1;
    for lists in &column.data.levels {
        let inner = lists.inner(payload, items.clone());
        if let Lists::Offsets(offsets) = lists
            && items.len() > 1
        {
            let first = offsets.span(payload, items.start..items.start + 1).len();
            if items
                .into_iter()
                .any(|item| offsets.span(payload, item..item + 1).len() != first)
            {
                return true;
            }
        }
        items = inner;
    }
    false
}

/// The elements of consecutive rows, as indices into the leaf.
pub(super) fn elements(column: &Column, payload: &[u8], rows: Range<usize>) -> Range<usize> {
    if let Some(shape) = column.fixed_row_shape() {
        let per_row = checked_product(shape).expect("it was checked against the list size");
        return rows.start * per_row..rows.end * per_row;
    }
    let mut items = rows;
    for lists in &column.data.levels {
        items = lists.inner(payload, items);
    }
    items
}

/// Appends rows, which exist, to a tensor.
pub(super) fn copy(
    column: &Column,
    payload: &[u8],
    rows: Range<usize>,
    into: &mut TensorBuilder,
) -> Result<(), TensorError> {
    if rows.is_empty() {
        return Ok(());
    }
    if let Some(shape) = column.fixed_row_shape() {
        let place = into.begin_rows(rows.len(), column.dtype(), shape)?;
        copy_elements(column, payload, elements(column, payload, rows), place);
        return Ok(());
    }
    // All shapes are compared before the first row is taken: a failed copy changes nothing.
    for row in rows.clone() {
        into.begin_rows(0, column.dtype(), &shape(column, payload, row))?;
    }
    let first_shape = shape(column, payload, rows.start);
    let place = into.begin_rows(rows.len(), column.dtype(), &first_shape)?;
    if let Shapes::Sparse(_) = column.field.shapes {
        for row in rows {
            sparse::copy_row(column, payload, (row, &first_shape), place);
        }
        return Ok(());
    }
    copy_elements(column, payload, elements(column, payload, rows), place);
    Ok(())
}

pub(super) fn copy_elements(
    column: &Column,
    payload: &[u8],
    elements: Range<usize>,
    place: &mut Growing,
) {
    match (&column.data.leaf, place) {
        (LeafData::Fixed { at, size_bytes }, Growing::Fixed(into)) => {
            let bytes = at + elements.start * size_bytes..at + elements.end * size_bytes;
            into.extend_from_slice(&payload[bytes]);
        }
        (LeafData::Bits { at }, Growing::Fixed(into)) => {
            into.reserve(elements.len());
            for element in elements {
                into.push((payload[at + element / 8] >> (element % 8)) & 1);
            }
        }
        (LeafData::Variable { offsets, bytes_at }, Growing::Variable(into)) => {
            if elements.is_empty() {
                return;
            }
            let span = offsets.span(payload, elements.clone());
            let ends = elements.map(|element| offsets.get(payload, element + 1) - span.start);
            into.extend(&payload[bytes_at + span.start..bytes_at + span.end], ends);
        }
        _ => unreachable!("the builder was checked to have the column's type"),
    }
}
