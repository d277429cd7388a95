//! What a column's parts have in common, and so how Arrow stores them.

use super::{ColumnParts, EncodeError, TensorSlice};
use crate::dtype::DType;
use crate::sparse::{SparsePlaces, SparseTensor};
use crate::tensor::checked_product;

/// A column whose parts go together.
pub(super) struct OutColumn<'a> {
    pub(super) name: &'a str,
    pub(super) dtype: DType,
    pub(super) layout: Layout<'a>,
    /// At least one.
    pub(super) parts: &'a [TensorSlice<'a>],
    /// Rows of all parts.
    pub(super) rows: usize,
    /// Elements of all parts.
    pub(super) elements: usize,
    /// Bytes of all strings of all parts; 0 for types of fixed size.
    pub(super) text_bytes: usize,
}

/// How rows are stored.
#[derive(Debug, Clone, Copy)]
pub(super) enum Layout<'a> {
    /// One element per row, no list around it.
    Scalar,
    /// Every row has these dimensions.
    Fixed(&'a [usize]),
    /// Every row has this many dimensions, written beside its elements.
    Variable(usize),
    /// Every row has this many dimensions, each a nesting of lists. This is for text and bytes:
    /// pyarrow does not open a stream whose variable shape tensors are not of numbers.
    Nested(usize),
    /// Only some elements of every row, with their indices and the row's dimensions.
    Sparse(&'a SparsePlaces),
}

impl<'a> OutColumn<'a> {
    pub(super) fn resolve(column: &'a ColumnParts<'a>) -> Result<Self, EncodeError> {
        let mut parts = column.parts.iter();
        let Some(first) = parts.find(|part| !part.rows.is_empty()) else {
            return Err(EncodeError::Empty);
        };
        let row_shape = first.tensor.row_shape();
        let mut resolved = Self {
            name: column.name,
            dtype: first.tensor.dtype(),
            layout: match row_shape {
                [] => Layout::Scalar,
                _ => Layout::Fixed(row_shape),
            },
            parts: &column.parts,
            rows: 0,
            elements: 0,
            text_bytes: 0,
        };
        for part in &column.parts {
            resolved.add(part, row_shape)?;
        }
        resolved.check_size()?;
        Ok(resolved)
    }

    /// A sparse column; `values` is the one part of all its elements.
    pub(super) fn of_sparse(
        tensor: &'a SparseTensor,
        values: &'a [TensorSlice<'a>],
    ) -> Result<Self, EncodeError> {
        let mut resolved = Self {
            name: tensor.name(),
            dtype: tensor.dtype(),
            layout: Layout::Sparse(tensor.places()),
            parts: values,
            rows: 0,
            elements: 0,
            text_bytes: 0,
        };
        for part in values {
            resolved.add(part, &[])?;
        }
        resolved.rows = tensor.rows();
        resolved.check_size()?;
        Ok(resolved)
    }

    fn add(&mut self, part: &TensorSlice<'_>, first_shape: &[usize]) -> Result<(), EncodeError> {
        let (tensor, rows) = (part.tensor, &part.rows);
        if rows.start > rows.end || rows.end > tensor.rows() {
            return Err(EncodeError::Range {
                name: self.name.to_owned(),
                start: rows.start,
                end: rows.end,
                rows: tensor.rows(),
            });
        }
        let shape = tensor.row_shape();
        if tensor.dtype() != self.dtype || shape.len() != first_shape.len() {
            return Err(EncodeError::Parts {
                name: self.name.to_owned(),
            });
        }
        if shape != first_shape && !rows.is_empty() {
            self.layout = match tensor.elements() {
                Some(_) => Layout::Nested(shape.len()),
                None => Layout::Variable(shape.len()),
            };
        }
        self.rows += rows.len();
        self.elements += elements(part).len();
        if let Some(data) = tensor.elements() {
            let elements = elements(part);
            self.text_bytes += data.start(elements.end) - data.start(elements.start);
        }
        Ok(())
    }

    /// How many lists there are below `level` dimensions of every row; `None` is beyond counting.
    pub(super) fn lists(&self, level: usize) -> Option<usize> {
        let mut lists = 0usize;
        for part in self.parts {
            lists = lists.checked_add(part_lists(part, level)?)?;
        }
        Some(lists)
    }

    /// List sizes, offsets and written dimensions are int32 in Arrow.
    fn check_size(&self) -> Result<(), EncodeError> {
        let mut largest = self.text_bytes;
        let mut at_most_int32 = |size: Option<usize>| {
            largest = largest.max(size.unwrap_or(usize::MAX));
        };
        match self.layout {
            Layout::Scalar => {}
            Layout::Fixed(shape) => at_most_int32(checked_product(shape)),
            Layout::Variable(_) => {
                at_most_int32(Some(self.elements));
                for part in self.parts {
                    at_most_int32(part.tensor.row_shape().iter().copied().max());
                }
            }
            Layout::Sparse(places) => {
                at_most_int32(Some(self.elements.max(places.indices.len())));
                at_most_int32(Some(places.shapes.len()));
            }
            Layout::Nested(dimensions) => {
                for level in 0..=dimensions {
                    at_most_int32(self.lists(level));
                }
            }
        }
        if largest > int32_max() || self.elements > isize::MAX as usize / 8 {
            return Err(EncodeError::TooLarge {
                name: self.name.to_owned(),
            });
        }
        Ok(())
    }
}

fn int32_max() -> usize {
    usize::try_from(i32::MAX).unwrap_or(usize::MAX)
}

/// The elements of a part, as indices into its tensor.
pub(super) fn elements(part: &TensorSlice<'_>) -> std::ops::Range<usize> {
    let per_row = part.tensor.elements_per_row();
    part.rows.start * per_row..part.rows.end * per_row
}

/// How many lists a part has below `level` dimensions of every row.
pub(super) fn part_lists(part: &TensorSlice<'_>, level: usize) -> Option<usize> {
    let outer = part.tensor.row_shape().get(..level)?;
    checked_product(outer)?.checked_mul(part.rows.len())
}
