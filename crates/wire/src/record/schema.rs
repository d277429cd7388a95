//! Reads an Arrow schema into the few layouts that a tensor can have, and refuses all others.

use std::sync::Arc;

use arrow::ipc::{self, Endianness, Precision, Type};
use serde::Deserialize;

use super::bytes::Width;
use super::error::Fault;
use super::frame;
use crate::dtype::DType;
use crate::limits::Limits;
use crate::quote::Name;
use crate::tensor::checked_product;

/// Marks a `UInt16` leaf whose values are the bits of bfloat16 numbers; Arrow has no such type.
pub(crate) const BFLOAT16_EXTENSION: &str = "millrace.bfloat16";
pub(crate) const FIXED_SHAPE_EXTENSION: &str = "arrow.fixed_shape_tensor";
pub(crate) const VARIABLE_SHAPE_EXTENSION: &str = "arrow.variable_shape_tensor";
/// Marks a struct of `indices`, `values` and `shape`: rows of which only some elements are there.
pub(crate) const SPARSE_EXTENSION: &str = "millrace.sparse_coo";
pub(crate) const EXTENSION_NAME_KEY: &str = "ARROW:extension:name";
pub(crate) const EXTENSION_METADATA_KEY: &str = "ARROW:extension:metadata";

/// The columns of a record, in order; their names differ.
#[derive(Debug)]
pub(super) struct Schema {
    pub(super) fields: Vec<Arc<Field>>,
}

/// How one column is stored.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: Arc<str>,
    pub(super) dtype: DType,
    /// The lists around the elements, outermost first.
    pub(super) levels: Vec<Level>,
    pub(super) leaf: Leaf,
    pub(super) shapes: Shapes,
}

/// One nesting of lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    /// Every list has this many items.
    Fixed(usize),
    /// Lists have offsets.
    List(Width),
}

/// How the elements themselves are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leaf {
    /// This many bytes each.
    Fixed(usize),
    /// A bit each, least significant first.
    Bits,
    /// Offsets and bytes.
    Variable(Width),
}

/// Where the dimensions of a row stand.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Shapes {
    /// In the schema.
    Fixed(Vec<usize>),
    /// In the lengths of the lists.
    Nested,
    /// In a column of their own with this many int32 per row, beside a list of the elements.
    Written(usize),
    /// In a column of their own, beside a list of some elements and one of their indices.
    Sparse(SparseLayout),
}

/// How a sparse column is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SparseLayout {
    /// Dimensions of one row.
    pub(super) dimensions: usize,
    /// Of the offsets of the lists of indices.
    pub(super) lists: Width,
    /// Of each index.
    pub(super) index: Width,
    /// Of each size in a shape.
    pub(super) size: Width,
}

impl Field {
    /// Number of dimensions, the rows included.
    pub(super) fn rank(&self) -> usize {
        1 + match &self.shapes {
            Shapes::Fixed(shape) => shape.len(),
            Shapes::Nested => self.levels.len(),
            Shapes::Written(dimensions) => *dimensions,
            Shapes::Sparse(layout) => layout.dimensions,
        }
    }

    /// The dimensions of every row, if the schema fixes them.
    pub(super) fn fixed_row_shape(&self) -> Option<&[usize]> {
        match &self.shapes {
            Shapes::Fixed(shape) => Some(shape),
            Shapes::Nested | Shapes::Written(_) | Shapes::Sparse(_) => None,
        }
    }
}

/// Reads the schema message's flatbuffer.
pub(super) fn parse(metadata: &[u8], limits: &Limits) -> Result<Schema, Fault> {
    let schema = frame::schema_header(metadata)?;
    if schema.endianness() != Endianness::Little {
        return Err(Fault::unsupported("big-endian records are not supported"));
    }
    let columns = schema.fields().unwrap_or_default();
    if columns.is_empty() {
        return Err(Fault::malformed("record has no columns"));
    }
    if columns.len() > limits.max_columns {
        return Err(Fault::too_large(format_args!(
            "record has {} columns, more than the limit of {}",
            columns.len(),
            limits.max_columns
        )));
    }
    let mut fields: Vec<Arc<Field>> = Vec::with_capacity(columns.len());
    for (index, column) in columns.iter().enumerate() {
        let field = parse_column(index, column, limits)?;
        if fields.iter().any(|known| known.name == field.name) {
            let name = Name(&field.name);
            return Err(Fault::malformed(format_args!("column {name} occurs twice")));
        }
        fields.push(Arc::new(field));
    }
    Ok(Schema { fields })
}

fn parse_column(index: usize, column: ipc::Field<'_>, limits: &Limits) -> Result<Field, Fault> {
    let name = column.name().unwrap_or_default();
    if name.is_empty() {
        return Err(Fault::malformed(format_args!("column {index} has no name")));
    }
    let parser = ColumnParser { name, limits };
    let field = match extension_name(column) {
        Some(FIXED_SHAPE_EXTENSION) => parser.fixed_shape_tensor(column)?,
        Some(VARIABLE_SHAPE_EXTENSION) => parser.variable_shape_tensor(column)?,
        Some(SPARSE_EXTENSION) => parser.sparse_tensor(column)?,
        _ => parser.nested_lists(column)?,
    };
    if field.rank() > limits.max_rank.min(Limits::MAX_RANK) {
        return Err(parser.too_deep());
    }
    Ok(field)
}

/// Reads one column; the name is for messages.
struct ColumnParser<'a> {
    name: &'a str,
    limits: &'a Limits,
}

impl ColumnParser<'_> {
    /// Primitive, or `FixedSizeList`, `List` and `LargeList` around one, at any depth.
    fn nested_lists(&self, column: ipc::Field<'_>) -> Result<Field, Fault> {
        let (levels, leaf) = self.levels(column)?;
        let mut shape = Vec::with_capacity(levels.len());
        for level in &levels {
            if let Level::Fixed(size) = level {
                shape.push(*size);
            }
        }
        let shapes = if shape.len() == levels.len() {
            if checked_product(&shape).is_none() {
                return Err(self.malformed("has more elements per row than can be counted"));
            }
            Shapes::Fixed(shape)
        } else {
            Shapes::Nested
        };
        self.field(levels, leaf, shapes)
    }

    /// The canonical extension: a `FixedSizeList` and its dimensions in the metadata.
    fn fixed_shape_tensor(&self, column: ipc::Field<'_>) -> Result<Field, Fault> {
        let (levels, leaf) = self.levels(column)?;
        let [Level::Fixed(size)] = levels[..] else {
            return Err(self.malformed("is a fixed shape tensor but not a list of fixed size"));
        };
        let metadata = self.tensor_metadata(column)?;
        let Some(shape) = metadata.shape else {
            return Err(self.malformed("is a fixed shape tensor without a shape"));
        };
        self.check_permutation(metadata.permutation, shape.len())?;
        if checked_product(&shape) != Some(size) {
            return Err(self.malformed(format_args!(
                "has a tensor shape that is not of {size} elements like its list"
            )));
        }
        self.field(levels, leaf, Shapes::Fixed(shape))
    }

    /// The canonical extension: a struct of `data` (list) and `shape` (int32 of fixed size).
    fn variable_shape_tensor(&self, column: ipc::Field<'_>) -> Result<Field, Fault> {
        let children = column.children().unwrap_or_default();
        if column.type_type() != Type::Struct_ || children.len() != 2 {
            return Err(self.malformed("is a variable shape tensor but not a struct of two fields"));
        }
        let (data, shape) = (children.get(0), children.get(1));
        if data.name() != Some("data") || shape.name() != Some("shape") {
            return Err(self.malformed("is a variable shape tensor without fields data and shape"));
        }
        let (levels, leaf) = self.levels(data)?;
        if !matches!(levels[..], [Level::List(_)]) {
            return Err(self.malformed("is a variable shape tensor whose data are not a list"));
        }
        let (shape_levels, shape_leaf) = self.levels(shape)?;
        let ([Level::Fixed(dimensions)], (Leaf::Fixed(_), DType::Int32)) =
            (&shape_levels[..], shape_leaf)
        else {
            return Err(self.malformed(
                "is a variable shape tensor whose shape is not an int32 list of fixed size",
            ));
        };
        let dimensions = *dimensions;
        let metadata = self.tensor_metadata(column)?;
        self.check_permutation(metadata.permutation, dimensions)?;
        self.field(levels, leaf, Shapes::Written(dimensions))
    }

    /// Our own extension: a struct of `indices` (lists of lists of fixed size), `values` (lists) and
    /// `shape` (lists of fixed size); indices and sizes are int32 or int64.
    fn sparse_tensor(&self, column: ipc::Field<'_>) -> Result<Field, Fault> {
        let children = column.children().unwrap_or_default();
        let names = children.iter().map(|child| child.name());
        if column.type_type() != Type::Struct_
            || !names.eq([Some("indices"), Some("values"), Some("shape")])
        {
            return Err(
                self.malformed("is a sparse tensor but not a struct of indices, values and shape")
            );
        }
        let (index_levels, index) = self.levels(children.get(0))?;
        let (levels, leaf) = self.levels(children.get(1))?;
        let (size_levels, size) = self.levels(children.get(2))?;
        let (
            [Level::List(lists), Level::Fixed(dimensions)],
            [Level::List(_)],
            [Level::Fixed(sizes)],
        ) = (&index_levels[..], &levels[..], &size_levels[..])
        else {
            return Err(self.malformed("is a sparse tensor whose parts are not such lists"));
        };
        let (Some(index), Some(size)) = (signed_width(index.1), signed_width(size.1)) else {
            return Err(
                self.malformed("is a sparse tensor whose indices and shape are not integers")
            );
        };
        if sizes != dimensions || *dimensions == 0 {
            return Err(self.malformed("is a sparse tensor whose indices and shape differ in rank"));
        }
        let layout = SparseLayout {
            dimensions: *dimensions,
            lists: *lists,
            index,
            size,
        };
        self.field(levels, leaf, Shapes::Sparse(layout))
    }

    fn field(
        &self,
        levels: Vec<Level>,
        (leaf, dtype): (Leaf, DType),
        shapes: Shapes,
    ) -> Result<Field, Fault> {
        Ok(Field {
            name: Arc::from(self.name),
            dtype,
            levels,
            leaf,
            shapes,
        })
    }

    /// The lists around the elements, and the elements.
    fn levels(&self, column: ipc::Field<'_>) -> Result<(Vec<Level>, (Leaf, DType)), Fault> {
        let mut levels = Vec::new();
        let mut field = column;
        loop {
            self.check_field(field, levels.is_empty())?;
            let level = match field.type_type() {
                Type::List => Level::List(Width::Four),
                Type::LargeList => Level::List(Width::Eight),
                Type::FixedSizeList => Level::Fixed(self.list_size(field)?),
                _ => return Ok((levels, self.leaf(field)?)),
            };
            levels.push(level);
            if levels.len() >= self.limits.max_rank.min(Limits::MAX_RANK) {
                return Err(self.too_deep());
            }
            let children = field.children().unwrap_or_default();
            if children.len() != 1 {
                return Err(self.malformed("has a list type without exactly one item type"));
            }
            field = children.get(0);
        }
    }

    fn check_field(&self, field: ipc::Field<'_>, outermost: bool) -> Result<(), Fault> {
        if field.dictionary().is_some() {
            return Err(self.unsupported("is dictionary-encoded"));
        }
        match extension_name(field) {
            None => Ok(()),
            Some(BFLOAT16_EXTENSION) if field.type_type() == Type::Int => Ok(()),
            Some(FIXED_SHAPE_EXTENSION) if outermost => Ok(()),
            Some(extension) => {
                Err(self.unsupported(format_args!("has extension type {}", Name(extension))))
            }
        }
    }

    fn list_size(&self, field: ipc::Field<'_>) -> Result<usize, Fault> {
        let size = field
            .type_as_fixed_size_list()
            .map_or(-1, |list| list.listSize());
        usize::try_from(size).map_err(|_| self.malformed(format_args!("has a list size of {size}")))
    }

    fn leaf(&self, field: ipc::Field<'_>) -> Result<(Leaf, DType), Fault> {
        if field
            .children()
            .is_some_and(|children| !children.is_empty())
        {
            return Err(self.unsupported(format_args!("has type {}", type_name(field))));
        }
        let bfloat16 = extension_name(field) == Some(BFLOAT16_EXTENSION);
        let (leaf, dtype) = match field.type_type() {
            Type::Bool => (Leaf::Bits, DType::Bool),
            Type::Utf8 => (Leaf::Variable(Width::Four), DType::String),
            Type::LargeUtf8 => (Leaf::Variable(Width::Eight), DType::String),
            Type::Binary => (Leaf::Variable(Width::Four), DType::Bytes),
            Type::LargeBinary => (Leaf::Variable(Width::Eight), DType::Bytes),
            Type::Int | Type::FloatingPoint => {
                let dtype = number(field).ok_or_else(|| {
                    self.unsupported(format_args!("has type {}", type_name(field)))
                })?;
                let size_bytes = dtype.element_size_bytes().unwrap_or(1);
                (Leaf::Fixed(size_bytes), dtype)
            }
            _ => return Err(self.unsupported(format_args!("has type {}", type_name(field)))),
        };
        match (bfloat16, dtype) {
            (false, _) => Ok((leaf, dtype)),
            (true, DType::Uint16) => Ok((leaf, DType::Bfloat16)),
            (true, _) => Err(self.malformed("is bfloat16 but not stored as uint16")),
        }
    }

    fn tensor_metadata(&self, column: ipc::Field<'_>) -> Result<TensorMetadata, Fault> {
        match metadata_value(column, EXTENSION_METADATA_KEY) {
            None | Some("") => Ok(TensorMetadata::default()),
            Some(text) => serde_json::from_str(text)
                .map_err(|_| self.malformed("has tensor metadata that cannot be read")),
        }
    }

    fn check_permutation(&self, given: Option<Vec<usize>>, dimensions: usize) -> Result<(), Fault> {
        if given.is_none_or(|given| given.iter().copied().eq(0..dimensions)) {
            return Ok(());
        }
        Err(self.unsupported("has permuted dimensions"))
    }

    fn too_deep(&self) -> Fault {
        Fault::too_large(format_args!(
            "column {} has more dimensions than the limit of {}",
            Name(self.name),
            self.limits.max_rank.min(Limits::MAX_RANK)
        ))
    }

    fn malformed(&self, what: impl std::fmt::Display) -> Fault {
        Fault::malformed(format_args!("column {} {what}", Name(self.name)))
    }

    fn unsupported(&self, what: impl std::fmt::Display) -> Fault {
        Fault::unsupported(format_args!(
            "column {} {what}, which is not supported",
            Name(self.name)
        ))
    }
}

/// The JSON that the two canonical tensor extensions carry; names of dimensions are ignored.
#[derive(Debug, Default, Deserialize)]
struct TensorMetadata {
    shape: Option<Vec<usize>>,
    permutation: Option<Vec<usize>>,
}

/// Of the two types that indices may have.
fn signed_width(dtype: DType) -> Option<Width> {
    match dtype {
        DType::Int32 => Some(Width::Four),
        DType::Int64 => Some(Width::Eight),
        _ => None,
    }
}

fn number(field: ipc::Field<'_>) -> Option<DType> {
    if let Some(int) = field.type_as_int() {
        return match (int.is_signed(), int.bitWidth()) {
            (true, 8) => Some(DType::Int8),
            (true, 16) => Some(DType::Int16),
            (true, 32) => Some(DType::Int32),
            (true, 64) => Some(DType::Int64),
            (false, 8) => Some(DType::Uint8),
            (false, 16) => Some(DType::Uint16),
            (false, 32) => Some(DType::Uint32),
            (false, 64) => Some(DType::Uint64),
            _ => None,
        };
    }
    match field.type_as_floating_point()?.precision() {
        Precision::HALF => Some(DType::Float16),
        Precision::SINGLE => Some(DType::Float32),
        Precision::DOUBLE => Some(DType::Float64),
        _ => None,
    }
}

fn type_name(field: ipc::Field<'_>) -> &'static str {
    field.type_type().variant_name().unwrap_or("unknown")
}

fn extension_name(field: ipc::Field<'_>) -> Option<&str> {
    metadata_value(field, EXTENSION_NAME_KEY)
}

fn metadata_value<'a>(field: ipc::Field<'a>, key: &str) -> Option<&'a str> {
    let pairs = field.custom_metadata()?;
    let pair = pairs.iter().find(|pair| pair.key() == Some(key))?;
    pair.value()
}
