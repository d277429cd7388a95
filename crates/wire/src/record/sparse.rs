//! Sparse columns of a record: whether their rows are right, and how they become dense.

use super::Column;
use super::body::{LeafData, PlacesData};
use super::bytes::{Offsets, Width, read_integer};
use super::error::Fault;
use super::rows::{self, RowShape};
use super::schema::{Shapes, SparseLayout};
use crate::quote::Name;
use crate::sparse::{Places, SparsePlaces, SparseTensor, dense_place};
use crate::tensor::{Growing, TensorBuilder, VariableData, checked_product};

/// Checks every row: its shape, as many indices as values, every index within the shape and no two
/// the same. Returns the bytes that the rows have when they are dense; nothing is allocated for
/// those, and no more than the payload has bytes for anything else.
pub(super) fn check(
    column: &Column,
    payload: &[u8],
    (rows, max_elements): (usize, usize),
) -> Result<usize, Fault> {
    let Some(sparse) = Sparse::of(column, payload) else {
        return Ok(0);
    };
    let name = Name(&column.field.name);
    let mut elements = 0usize;
    for row in 0..rows {
        let wrong =
            |what: &str| Fault::malformed(format_args!("sparse column {name}: {what} (row {row})"));
        let shape = sparse.checked_shape(row);
        let shape = shape.ok_or_else(|| wrong("its shape is negative or too large"))?;
        let dense = checked_product(&shape);
        elements = dense
            .and_then(|dense| elements.checked_add(dense))
            .filter(|&elements| elements <= max_elements)
            .ok_or_else(|| {
                Fault::too_large(format_args!(
                    "sparse column {name} stands for more elements than the limit of {max_elements}"
                ))
            })?;
        let indices = sparse.places.lists.span(payload, row..row + 1);
        let values = rows::elements(column, payload, row..row + 1);
        if indices.len() != values.len() {
            return Err(wrong("indices and values differ in number"));
        }
        let mut places = Places::new(&shape).map_err(|fault| wrong(&fault.to_string()))?;
        for element in indices {
            let added = places.add(sparse.index(element));
            added.map_err(|fault| wrong(&fault.to_string()))?;
        }
        places.finish().map_err(|fault| wrong(&fault.to_string()))?;
    }
    Ok(elements.saturating_mul(element_bytes(column)))
}

/// The bytes of the rows of a checked column when they are dense; 0 for columns that are not sparse.
pub(super) fn dense_bytes(column: &Column, payload: &[u8], rows: usize) -> usize {
    let Shapes::Sparse(_) = column.field.shapes else {
        return 0;
    };
    let elements = (0..rows).map(|row| checked_product(&rows::shape(column, payload, row)));
    elements.flatten().sum::<usize>() * element_bytes(column)
}

/// Bytes of one element; of a string or bytes, what it takes when it is empty.
fn element_bytes(column: &Column) -> usize {
    let size_bytes = column.dtype().element_size_bytes();
    size_bytes.unwrap_or(size_of::<usize>())
}

/// The fault of a record whose sparse columns together stand for too much.
pub(super) fn too_large(column: &Column, limit_bytes: usize) -> Fault {
    Fault::too_large(format_args!(
        "sparse column {} and those before it stand for more than the limit of {limit_bytes} bytes",
        Name(&column.field.name)
    ))
}

/// Appends one row of a checked column with all its elements.
pub(super) fn copy_row(
    column: &Column,
    payload: &[u8],
    (row, shape): (usize, &RowShape),
    place: &mut Growing,
) {
    let Some(sparse) = Sparse::of(column, payload) else {
        return;
    };
    let dense = checked_product(shape).expect("sizes were checked when decoding");
    let values = rows::elements(column, payload, row..row + 1);
    let indices = sparse.places.lists.span(payload, row..row + 1);
    let places = indices.map(|element| {
        let place = dense_place(shape, sparse.index(element));
        place.expect("indices were checked when decoding")
    });
    match (&column.data.leaf, place) {
        (LeafData::Fixed { at, size_bytes }, Growing::Fixed(into)) => {
            let start = into.len();
            into.resize(start + dense * size_bytes, 0);
            for (value, place) in values.zip(places) {
                let from = at + value * size_bytes;
                let to = start + place * size_bytes;
                into.as_slice_mut()[to..to + size_bytes]
                    .copy_from_slice(&payload[from..from + size_bytes]);
            }
        }
        (LeafData::Bits { at }, Growing::Fixed(into)) => {
            let start = into.len();
            into.resize(start + dense, 0);
            for (value, place) in values.zip(places) {
                let bit = (payload[at + value / 8] >> (value % 8)) & 1;
                into.as_slice_mut()[start + place] = bit;
            }
        }
        (LeafData::Variable { offsets, bytes_at }, Growing::Variable(into)) => {
            let text = Text {
                payload,
                offsets,
                bytes_at: *bytes_at,
            };
            let mut given: Vec<(usize, usize)> = places.zip(values).collect();
            given.sort_unstable();
            text.push_row(dense, &given, into);
        }
        _ => unreachable!("the builder was checked to have the column's type"),
    }
}

/// Strings or bytes of a column.
struct Text<'a> {
    payload: &'a [u8],
    offsets: &'a Offsets,
    bytes_at: usize,
}

impl Text<'_> {
    /// Appends `dense` elements, those that are not `given` (place, value) being empty.
    fn push_row(&self, dense: usize, given: &[(usize, usize)], into: &mut VariableData) {
        let mut given = given.iter().peekable();
        for place in 0..dense {
            match given.next_if(|(at, _)| *at == place) {
                Some((_, value)) => {
                    let span = self.offsets.span(self.payload, *value..*value + 1);
                    into.push(&self.payload[self.bytes_at + span.start..self.bytes_at + span.end]);
                }
                None => into.push(&[]),
            }
        }
    }
}

/// A sparse column as it is.
pub(super) fn tensor(column: &Column, payload: &[u8], rows: usize) -> Option<SparseTensor> {
    let sparse = Sparse::of(column, payload)?;
    let mut places = SparsePlaces {
        rank: sparse.layout.dimensions,
        ..SparsePlaces::default()
    };
    let mut values = TensorBuilder::new(column.name(), column.dtype(), &[], 0).ok()?;
    let mut count = 0;
    for row in 0..rows {
        for &size in &*rows::shape(column, payload, row) {
            places.shapes.push(i32::try_from(size).ok()?);
        }
        let elements = rows::elements(column, payload, row..row + 1);
        count += elements.len();
        places.ends.push(count);
        for element in sparse.places.lists.span(payload, row..row + 1) {
            for index in sparse.index(element) {
                places.indices.push(i32::try_from(index).ok()?);
            }
        }
        let place = values
            .begin_rows(elements.len(), column.dtype(), &[])
            .ok()?;
        rows::copy_elements(column, payload, elements, place);
    }
    SparseTensor::new(places, values.finish()).ok()
}

/// What is needed to find an element's place.
struct Sparse<'a> {
    layout: SparseLayout,
    places: &'a PlacesData,
    shapes_at: usize,
    payload: &'a [u8],
}

impl<'a> Sparse<'a> {
    fn of(column: &'a Column, payload: &'a [u8]) -> Option<Self> {
        let Shapes::Sparse(layout) = column.field.shapes else {
            return None;
        };
        Some(Self {
            layout,
            places: column.data.places.as_ref()?,
            shapes_at: column.data.shapes_at,
            payload,
        })
    }

    /// The index in every dimension of one element.
    fn index(&self, element: usize) -> impl Iterator<Item = i64> + '_ {
        let dimensions = self.layout.dimensions;
        (element * dimensions..(element + 1) * dimensions)
            .map(|index| self.integer(self.layout.index, (self.places.at, index)))
    }

    /// The shape of a row that is not checked yet.
    fn checked_shape(&self, row: usize) -> Option<RowShape> {
        let dimensions = self.layout.dimensions;
        let mut shape = RowShape::empty();
        for index in row * dimensions..(row + 1) * dimensions {
            let size = self.integer(self.layout.size, (self.shapes_at, index));
            // As in all other shapes, sizes are int32, however wide they are written.
            shape.push(usize::try_from(i32::try_from(size).ok()?).ok()?);
        }
        Some(shape)
    }

    fn integer(&self, width: Width, place: (usize, usize)) -> i64 {
        read_integer(self.payload, width, place)
    }
}
