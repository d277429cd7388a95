//! Checks every node and buffer of a record batch against its schema, its rows and its body.

use std::ops::Range;
use std::sync::Arc;

use arrow::ipc::{Buffer, FieldNode};
use flatbuffers::Vector;

use super::Column;
use super::bytes::{Lists, Offsets, Width, read_i32};
use super::error::Fault;
use super::frame::BatchFrame;
use super::rows::{self, RowShape};
use super::schema::{Field, Leaf, Level, Schema, Shapes, SparseLayout};
use super::sparse;
use crate::dtype::DType;
use crate::limits::Limits;
use crate::quote::{Name, Shape};
use crate::tensor::{checked_product, known};

/// Where a column's data lie in the payload.
#[derive(Debug)]
pub(super) struct ColumnData {
    /// The lists around the elements, outermost first; empty where the schema fixes the shape.
    pub(super) levels: Vec<Lists>,
    pub(super) leaf: LeafData,
    /// Payload byte of the dimensions, for shapes that are written.
    pub(super) shapes_at: usize,
    /// Where the elements of sparse rows stand.
    pub(super) places: Option<PlacesData>,
}

/// Where the indices of a sparse column lie in the payload.
#[derive(Debug)]
pub(super) struct PlacesData {
    /// One list per row, of one index per element.
    pub(super) lists: Offsets,
    /// Payload byte of the indices, as many per element as a row has dimensions.
    pub(super) at: usize,
}

/// Where the elements lie in the payload.
#[derive(Debug)]
pub(super) enum LeafData {
    Fixed { at: usize, size_bytes: usize },
    Bits { at: usize },
    Variable { offsets: Offsets, bytes_at: usize },
}

/// Checks the batch and returns its rows and columns.
pub(super) fn check(
    schema: &Schema,
    frame: &BatchFrame<'_>,
    limits: &Limits,
) -> Result<(usize, Vec<Column>), Fault> {
    let (batch, payload) = (&frame.header, frame.payload);
    if batch.compression().is_some() {
        return Err(Fault::unsupported("compressed records are not supported"));
    }
    if batch
        .variadicBufferCounts()
        .is_some_and(|counts| !counts.is_empty())
    {
        return Err(Fault::unsupported("view types are not supported"));
    }
    let rows = check_rows(batch.length(), limits)?;
    let mut reader = BodyReader {
        payload,
        body: frame.body.clone(),
        nodes: Parts::new("field nodes", batch.nodes().unwrap_or_default()),
        buffers: Parts::new("buffers", batch.buffers().unwrap_or_default()),
        body_used: 0,
        max_elements: limits.max_elements,
    };
    let mut columns = Vec::with_capacity(schema.fields.len());
    let mut dense_bytes_left = limits.max_dense_bytes;
    for field in &schema.fields {
        let data = ColumnReader {
            field,
            reader: &mut reader,
        }
        .read(rows)?;
        let column = Column {
            field: Arc::clone(field),
            data,
        };
        match &column.field.shapes {
            Shapes::Sparse(_) => {
                let dense_bytes = sparse::check(&column, payload, (rows, limits.max_elements))?;
                dense_bytes_left = dense_bytes_left
                    .checked_sub(dense_bytes)
                    .ok_or_else(|| sparse::too_large(&column, limits.max_dense_bytes))?;
            }
            _ => check_shapes(&column, payload, rows)?,
        }
        columns.push(column);
    }
    reader.nodes.expect_end()?;
    reader.buffers.expect_end()?;
    Ok((rows, columns))
}

fn check_rows(length: i64, limits: &Limits) -> Result<usize, Fault> {
    let rows = usize::try_from(length)
        .map_err(|_| Fault::malformed(format_args!("record has {length} rows")))?;
    if rows == 0 {
        return Err(Fault::malformed("record has 0 rows, expected at least 1"));
    }
    if rows > limits.max_rows {
        return Err(Fault::too_large(format_args!(
            "record has {rows} rows, more than the limit of {}",
            limits.max_rows
        )));
    }
    Ok(rows)
}

/// A flatbuffer vector that is consumed in order and must be used up.
struct Parts<'a, T> {
    what: &'static str,
    vector: Vector<'a, T>,
    used: usize,
}

impl<'a, T: flatbuffers::Follow<'a> + 'a> Parts<'a, T> {
    fn new(what: &'static str, vector: Vector<'a, T>) -> Self {
        Self {
            what,
            vector,
            used: 0,
        }
    }

    fn next(&mut self) -> Result<T::Inner, Fault> {
        if self.used >= self.vector.len() {
            return Err(self.wrong_count());
        }
        self.used += 1;
        Ok(self.vector.get(self.used - 1))
    }

    fn expect_end(&self) -> Result<(), Fault> {
        if self.used == self.vector.len() {
            return Ok(());
        }
        Err(self.wrong_count())
    }

    fn wrong_count(&self) -> Fault {
        Fault::malformed(format_args!(
            "record has {} {}, which do not match its schema",
            self.vector.len(),
            self.what
        ))
    }
}

/// Hands out the nodes and buffers of a batch in the order that Arrow prescribes.
struct BodyReader<'a> {
    payload: &'a [u8],
    body: Range<usize>,
    nodes: Parts<'a, FieldNode>,
    buffers: Parts<'a, Buffer>,
    /// Body bytes up to which buffers were handed out: buffers must not overlap.
    body_used: usize,
    max_elements: usize,
}

/// Reads one column from the body.
struct ColumnReader<'r, 'a> {
    field: &'r Field,
    reader: &'r mut BodyReader<'a>,
}

impl ColumnReader<'_, '_> {
    fn read(&mut self, rows: usize) -> Result<ColumnData, Fault> {
        if let Shapes::Written(_) | Shapes::Sparse(_) = self.field.shapes {
            self.node(Count::Exactly(rows))?;
        }
        let places = match self.field.shapes {
            Shapes::Sparse(layout) => Some(self.places(rows, layout)?),
            _ => None,
        };
        let mut levels = Vec::new();
        let mut items = Count::Exactly(rows);
        for level in &self.field.levels {
            let lists = self.node(items)?;
            match level {
                Level::Fixed(size) => {
                    items = Count::Exactly(self.multiply(lists, *size)?);
                    if self.field.shapes == Shapes::Nested {
                        levels.push(Lists::Fixed(*size));
                    }
                }
                Level::List(width) => {
                    let (offsets, end) = self.offsets(lists, *width)?;
                    items = Count::AtLeast(end);
                    levels.push(Lists::Offsets(offsets));
                }
            }
        }
        let elements = self.node(items)?;
        let leaf = self.leaf(elements)?;
        let shapes_at = match self.field.shapes {
            Shapes::Written(dimensions) => self.written_shapes(rows, (dimensions, Width::Four))?,
            Shapes::Sparse(layout) => {
                self.written_shapes(rows, (layout.dimensions, layout.size))?
            }
            Shapes::Fixed(_) | Shapes::Nested => 0,
        };
        Ok(ColumnData {
            levels,
            leaf,
            shapes_at,
            places,
        })
    }

    /// The shape child of a variable shape or sparse tensor: its list node, its integer node, its
    /// values.
    fn written_shapes(
        &mut self,
        rows: usize,
        (dimensions, width): (usize, Width),
    ) -> Result<usize, Fault> {
        let lists = self.node(Count::Exactly(rows))?;
        let sizes = self.multiply(lists, dimensions)?;
        let sizes = self.node(Count::Exactly(sizes))?;
        Ok(self.buffer(self.bytes_for(sizes, width.bytes())?)?.start)
    }

    /// The indices child of a sparse tensor: lists, lists of fixed size, integers.
    fn places(&mut self, rows: usize, layout: SparseLayout) -> Result<PlacesData, Fault> {
        let rows = self.node(Count::Exactly(rows))?;
        let (lists, end) = self.offsets(rows, layout.lists)?;
        let elements = self.node(Count::AtLeast(end))?;
        let indices = self.multiply(elements, layout.dimensions)?;
        let indices = self.node(Count::Exactly(indices))?;
        let at = self.buffer(self.bytes_for(indices, layout.index.bytes())?)?;
        Ok(PlacesData {
            lists,
            at: at.start,
        })
    }

    fn leaf(&mut self, elements: usize) -> Result<LeafData, Fault> {
        match self.field.leaf {
            Leaf::Fixed(size_bytes) => {
                let at = self.buffer(self.bytes_for(elements, size_bytes)?)?.start;
                Ok(LeafData::Fixed { at, size_bytes })
            }
            Leaf::Bits => {
                let at = self.buffer(elements.div_ceil(8))?.start;
                Ok(LeafData::Bits { at })
            }
            Leaf::Variable(width) => {
                let (offsets, end) = self.offsets(elements, width)?;
                let bytes = self.buffer(end)?;
                if self.field.dtype == DType::String {
                    self.check_utf8(&offsets, elements, bytes.start)?;
                }
                Ok(LeafData::Variable {
                    offsets,
                    bytes_at: bytes.start,
                })
            }
        }
    }

    /// The next node's length and, since every node has one, its validity buffer.
    fn node(&mut self, expected: Count) -> Result<usize, Fault> {
        let node = self.reader.nodes.next()?;
        if node.null_count() != 0 {
            return Err(self.malformed(format_args!(
                "has a null count of {}; nulls are not supported",
                node.null_count()
            )));
        }
        let length = usize::try_from(node.length())
            .ok()
            .filter(|&length| match expected {
                Count::Exactly(count) => length == count,
                Count::AtLeast(count) => length >= count,
            })
            .ok_or_else(|| {
                self.malformed(format_args!(
                    "says it has {} items, expected {expected}",
                    node.length()
                ))
            })?;
        if length > self.reader.max_elements {
            return Err(Fault::too_large(format_args!(
                "column {} has {length} elements, more than the limit of {}",
                Name(&self.field.name),
                self.reader.max_elements
            )));
        }
        self.buffer(0)?;
        Ok(length)
    }

    /// The next buffer's payload bytes, of which there must be `needed` at least.
    fn buffer(&mut self, needed: usize) -> Result<Range<usize>, Fault> {
        let buffer = self.reader.buffers.next()?;
        let body_bytes = self.reader.body.len();
        let start = usize::try_from(buffer.offset()).ok();
        let length = usize::try_from(buffer.length()).ok();
        let range = start.zip(length).and_then(|(start, length)| {
            let end = start.checked_add(length)?;
            (end <= body_bytes).then_some(start..end)
        });
        let Some(range) = range else {
            return Err(self.malformed(format_args!(
                "has a buffer at {} of {} bytes, outside the body of {body_bytes} bytes",
                buffer.offset(),
                buffer.length()
            )));
        };
        if !range.is_empty() {
            if range.start < self.reader.body_used {
                return Err(self.malformed(format_args!(
                    "has a buffer at {} that overlaps the one before",
                    buffer.offset()
                )));
            }
            self.reader.body_used = range.end;
        }
        if range.len() < needed {
            return Err(self.malformed(format_args!(
                "has a buffer of {} bytes, expected {needed}",
                range.len()
            )));
        }
        let base = self.reader.body.start;
        Ok(base + range.start..base + range.end)
    }

    /// The offsets of `lists` lists or strings, and the last of them.
    fn offsets(&mut self, lists: usize, width: Width) -> Result<(Offsets, usize), Fault> {
        if lists == 0 {
            self.buffer(0)?;
            return Ok((Offsets { at: None, width }, 0));
        }
        let needed = self.bytes_for(lists + 1, width.bytes())?;
        let at = self.buffer(needed)?.start;
        let bytes = &self.reader.payload[at..at + needed];
        let end = match width {
            Width::Four => monotone_end(bytes.as_chunks::<4>().0, |b| i32::from_le_bytes(b).into()),
            Width::Eight => monotone_end(bytes.as_chunks::<8>().0, i64::from_le_bytes),
        };
        let end = end.ok_or_else(|| self.malformed("has offsets that are negative or decrease"))?;
        let offsets = Offsets {
            at: Some(at),
            width,
        };
        Ok((offsets, end))
    }

    fn check_utf8(&self, offsets: &Offsets, elements: usize, at: usize) -> Result<(), Fault> {
        let payload = self.reader.payload;
        let span = offsets.span(payload, 0..elements);
        let not_utf8 = || self.malformed("has text that is not UTF-8");
        let text = simdutf8::basic::from_utf8(&payload[at + span.start..at + span.end])
            .map_err(|_| not_utf8())?;
        for element in 0..elements {
            if !text.is_char_boundary(offsets.get(payload, element) - span.start) {
                return Err(not_utf8());
            }
        }
        Ok(())
    }

    fn multiply(&self, lists: usize, size: usize) -> Result<usize, Fault> {
        lists.checked_mul(size).ok_or_else(|| self.overflow())
    }

    fn bytes_for(&self, items: usize, size_bytes: usize) -> Result<usize, Fault> {
        items.checked_mul(size_bytes).ok_or_else(|| self.overflow())
    }

    fn overflow(&self) -> Fault {
        self.malformed("has more elements than can be counted")
    }

    fn malformed(&self, what: impl std::fmt::Display) -> Fault {
        Fault::malformed(format_args!("column {} {what}", Name(&self.field.name)))
    }
}

/// How many items a node must have: lists may leave items at the end unused.
#[derive(Clone, Copy)]
enum Count {
    Exactly(usize),
    AtLeast(usize),
}

impl std::fmt::Display for Count {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exactly(count) => write!(f, "{count}"),
            Self::AtLeast(count) => write!(f, "at least {count}"),
        }
    }
}

/// The last offset, if all of them are at least 0 and none is less than the one before.
fn monotone_end<const N: usize>(offsets: &[[u8; N]], read: fn([u8; N]) -> i64) -> Option<usize> {
    let mut last = 0;
    for offset in offsets {
        let offset = read(*offset);
        if offset < last {
            return None;
        }
        last = offset;
    }
    usize::try_from(last).ok()
}

/// Every row must be a tensor: no ragged lists within a row, and as many elements as its shape says.
fn check_shapes(column: &Column, payload: &[u8], rows: usize) -> Result<(), Fault> {
    let name = Name(&column.field.name);
    match column.field.shapes {
        Shapes::Fixed(_) | Shapes::Sparse(_) => Ok(()),
        Shapes::Written(dimensions) => {
            for row in 0..rows {
                let shape = written_shape(column, payload, row * dimensions, dimensions)
                    .ok_or_else(|| {
                        Fault::malformed(format_args!(
                            "column {name} has a negative size in the shape of row {row}"
                        ))
                    })?;
                let given = rows::elements(column, payload, row..row + 1).len();
                if checked_product(&shape) != Some(given) {
                    return Err(Fault::malformed(format_args!(
                        "column {name} has {given} elements in row {row}, its shape is {}",
                        Shape(&known(&shape))
                    )));
                }
            }
            Ok(())
        }
        Shapes::Nested => {
            for row in 0..rows {
                if rows::is_ragged(column, payload, row) {
                    return Err(Fault::malformed(format_args!(
                        "column {name} has lists of differing length within row {row}"
                    )));
                }
            }
            Ok(())
        }
    }
}

fn written_shape(
    column: &Column,
    payload: &[u8],
    first: usize,
    dimensions: usize,
) -> Option<RowShape> {
    let mut shape = RowShape::empty();
    for index in first..first + dimensions {
        let size = read_i32(payload, column.data.shapes_at, index);
        shape.push(usize::try_from(size).ok()?);
    }
    Some(shape)
}
