//! Schema messages, and whether one that was built before can be used again.

use arrow::ipc::{
    Binary, BinaryArgs, Bool, BoolArgs, Endianness, Field, FieldArgs, FixedSizeList,
    FixedSizeListArgs, FloatingPoint, FloatingPointArgs, Int, IntArgs, KeyValue, KeyValueArgs,
    List, ListArgs, Message, MessageArgs, MessageHeader, MetadataVersion, Precision, Schema,
    SchemaArgs, Struct_, Struct_Args, Type, Utf8, Utf8Args,
};
use flatbuffers::{FlatBufferBuilder, ForwardsUOffset, UnionWIPOffset, Vector, WIPOffset};

use super::columns::{Layout, OutColumn};
use super::push_metadata;
use crate::dtype::DType;
use crate::record::{
    BFLOAT16_EXTENSION, EXTENSION_METADATA_KEY, EXTENSION_NAME_KEY, FIXED_SHAPE_EXTENSION,
    SPARSE_EXTENSION, VARIABLE_SHAPE_EXTENSION,
};
use crate::tensor::checked_product;

/// A schema message with its prefix, and the columns that it describes.
#[derive(Debug)]
pub(super) struct SchemaMessage {
    columns: Vec<Described>,
    bytes: Vec<u8>,
}

#[derive(Debug)]
struct Described {
    name: String,
    dtype: DType,
    layout: OwnedLayout,
}

#[derive(Debug)]
enum OwnedLayout {
    Scalar,
    Fixed(Vec<usize>),
    Variable(usize),
    Nested(usize),
    Sparse(usize),
}

impl SchemaMessage {
    pub(super) fn build(columns: &[OutColumn<'_>]) -> Self {
        let mut builder = FlatBufferBuilder::with_capacity(1024);
        let mut fields = Vec::with_capacity(columns.len());
        for column in columns {
            fields.push(column_field(&mut builder, column));
        }
        let fields = builder.create_vector(&fields);
        let schema = SchemaArgs {
            endianness: Endianness::Little,
            fields: Some(fields),
            ..SchemaArgs::default()
        };
        let schema = Schema::create(&mut builder, &schema);
        let message = MessageArgs {
            version: MetadataVersion::V5,
            header_type: MessageHeader::Schema,
            header: Some(schema.as_union_value()),
            ..MessageArgs::default()
        };
        let message = Message::create(&mut builder, &message);
        builder.finish(message, None);
        let mut bytes = Vec::with_capacity(builder.finished_data().len() + 16);
        push_metadata(&mut bytes, builder.finished_data());
        Self {
            columns: columns.iter().map(Described::from).collect(),
            bytes,
        }
    }

    /// Whether these columns have exactly this schema.
    pub(super) fn is_for(&self, columns: &[OutColumn<'_>]) -> bool {
        self.columns.len() == columns.len()
            && self
                .columns
                .iter()
                .zip(columns)
                .all(|(known, column)| known.matches(column))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Described {
    fn matches(&self, column: &OutColumn<'_>) -> bool {
        let same_layout = match (&self.layout, column.layout) {
            (OwnedLayout::Scalar, Layout::Scalar) => true,
            (OwnedLayout::Fixed(known), Layout::Fixed(shape)) => known == shape,
            (OwnedLayout::Variable(known), Layout::Variable(dimensions))
            | (OwnedLayout::Nested(known), Layout::Nested(dimensions)) => *known == dimensions,
            (OwnedLayout::Sparse(known), Layout::Sparse(places)) => *known == places.rank,
            _ => false,
        };
        same_layout && self.dtype == column.dtype && self.name == column.name
    }
}

impl From<&OutColumn<'_>> for Described {
    fn from(column: &OutColumn<'_>) -> Self {
        Self {
            name: column.name.to_owned(),
            dtype: column.dtype,
            layout: match column.layout {
                Layout::Scalar => OwnedLayout::Scalar,
                Layout::Fixed(shape) => OwnedLayout::Fixed(shape.to_vec()),
                Layout::Variable(dimensions) => OwnedLayout::Variable(dimensions),
                Layout::Nested(dimensions) => OwnedLayout::Nested(dimensions),
                Layout::Sparse(places) => OwnedLayout::Sparse(places.rank),
            },
        }
    }
}

type Builder = FlatBufferBuilder<'static>;
type FieldOffset = WIPOffset<Field<'static>>;
type Metadata = WIPOffset<Vector<'static, ForwardsUOffset<KeyValue<'static>>>>;

/// A field in the making.
struct Parts<'a> {
    name: &'a str,
    kind: (Type, WIPOffset<UnionWIPOffset>),
    children: &'a [FieldOffset],
    metadata: Option<Metadata>,
}

fn column_field(builder: &mut Builder, column: &OutColumn<'_>) -> FieldOffset {
    match column.layout {
        Layout::Scalar => leaf(builder, column.name, column.dtype),
        Layout::Fixed(shape) => {
            let item = leaf(builder, "item", column.dtype);
            let kind = list_of_fixed_size(builder, checked_product(shape).unwrap_or(0));
            let json = serde_json::json!({ "shape": shape }).to_string();
            let metadata = extension(builder, FIXED_SHAPE_EXTENSION, &json);
            let children = [item];
            field(
                builder,
                Parts {
                    name: column.name,
                    kind,
                    children: &children,
                    metadata: Some(metadata),
                },
            )
        }
        Layout::Variable(dimensions) => variable(builder, column, dimensions),
        Layout::Sparse(places) => sparse(builder, column, places.rank),
        Layout::Nested(dimensions) => {
            let mut item = leaf(builder, "item", column.dtype);
            for level in (0..dimensions).rev() {
                let name = if level == 0 { column.name } else { "item" };
                item = list(builder, name, item);
            }
            item
        }
    }
}

fn variable(builder: &mut Builder, column: &OutColumn<'_>, dimensions: usize) -> FieldOffset {
    let item = leaf(builder, "item", column.dtype);
    let data = list(builder, "data", item);
    let shape = integers(builder, "shape", dimensions);
    let extension = (VARIABLE_SHAPE_EXTENSION, "{}");
    structure(builder, column.name, (&[data, shape], extension))
}

fn sparse(builder: &mut Builder, column: &OutColumn<'_>, rank: usize) -> FieldOffset {
    let index = integers(builder, "item", rank);
    let indices = list(builder, "indices", index);
    let item = leaf(builder, "item", column.dtype);
    let values = list(builder, "values", item);
    let shape = integers(builder, "shape", rank);
    let extension = (SPARSE_EXTENSION, "");
    structure(builder, column.name, (&[indices, values, shape], extension))
}

/// A list of so many int32.
fn integers(builder: &mut Builder, name: &str, size: usize) -> FieldOffset {
    let item = leaf(builder, "item", DType::Int32);
    let parts = Parts {
        name,
        kind: list_of_fixed_size(builder, size),
        children: &[item],
        metadata: None,
    };
    field(builder, parts)
}

fn structure(
    builder: &mut Builder,
    name: &str,
    (children, (extension_name, metadata)): (&[FieldOffset], (&str, &str)),
) -> FieldOffset {
    let kind = Struct_::create(builder, &Struct_Args {}).as_union_value();
    let metadata = extension(builder, extension_name, metadata);
    let tensor = Parts {
        name,
        kind: (Type::Struct_, kind),
        children,
        metadata: Some(metadata),
    };
    field(builder, tensor)
}

fn list(builder: &mut Builder, name: &str, item: FieldOffset) -> FieldOffset {
    let kind = List::create(builder, &ListArgs {}).as_union_value();
    let parts = Parts {
        name,
        kind: (Type::List, kind),
        children: &[item],
        metadata: None,
    };
    field(builder, parts)
}

fn leaf(builder: &mut Builder, name: &str, dtype: DType) -> FieldOffset {
    let kind = leaf_type(builder, dtype);
    let metadata = (dtype == DType::Bfloat16).then(|| extension(builder, BFLOAT16_EXTENSION, ""));
    let parts = Parts {
        name,
        kind,
        children: &[],
        metadata,
    };
    field(builder, parts)
}

fn field(builder: &mut Builder, parts: Parts<'_>) -> FieldOffset {
    let name = builder.create_string(parts.name);
    let children = builder.create_vector(parts.children);
    let args = FieldArgs {
        name: Some(name),
        type_type: parts.kind.0,
        type_: Some(parts.kind.1),
        children: Some(children),
        custom_metadata: parts.metadata,
        ..FieldArgs::default()
    };
    Field::create(builder, &args)
}

fn extension(builder: &mut Builder, name: &str, metadata: &str) -> Metadata {
    let name = key_value(builder, EXTENSION_NAME_KEY, name);
    let metadata = key_value(builder, EXTENSION_METADATA_KEY, metadata);
    builder.create_vector(&[name, metadata])
}

fn key_value(builder: &mut Builder, key: &str, value: &str) -> WIPOffset<KeyValue<'static>> {
    let args = KeyValueArgs {
        key: Some(builder.create_string(key)),
        value: Some(builder.create_string(value)),
    };
    KeyValue::create(builder, &args)
}

fn list_of_fixed_size(builder: &mut Builder, size: usize) -> (Type, WIPOffset<UnionWIPOffset>) {
    let args = FixedSizeListArgs {
        listSize: i32::try_from(size).expect("list sizes were checked to be int32"),
    };
    let list = FixedSizeList::create(builder, &args).as_union_value();
    (Type::FixedSizeList, list)
}

fn leaf_type(builder: &mut Builder, dtype: DType) -> (Type, WIPOffset<UnionWIPOffset>) {
    match dtype {
        DType::Bool => {
            let kind = Bool::create(builder, &BoolArgs {});
            (Type::Bool, kind.as_union_value())
        }
        DType::String => {
            let kind = Utf8::create(builder, &Utf8Args {});
            (Type::Utf8, kind.as_union_value())
        }
        DType::Bytes => {
            let kind = Binary::create(builder, &BinaryArgs {});
            (Type::Binary, kind.as_union_value())
        }
        DType::Int8 => int(builder, 8, true),
        DType::Int16 => int(builder, 16, true),
        DType::Int32 => int(builder, 32, true),
        DType::Int64 => int(builder, 64, true),
        DType::Uint8 => int(builder, 8, false),
        DType::Uint16 | DType::Bfloat16 => int(builder, 16, false),
        DType::Uint32 => int(builder, 32, false),
        DType::Uint64 => int(builder, 64, false),
        DType::Float16 => float(builder, Precision::HALF),
        DType::Float32 => float(builder, Precision::SINGLE),
        DType::Float64 => float(builder, Precision::DOUBLE),
    }
}

fn int(builder: &mut Builder, bits: i32, is_signed: bool) -> (Type, WIPOffset<UnionWIPOffset>) {
    let args = IntArgs {
        bitWidth: bits,
        is_signed,
    };
    (Type::Int, Int::create(builder, &args).as_union_value())
}

fn float(builder: &mut Builder, precision: Precision) -> (Type, WIPOffset<UnionWIPOffset>) {
    let kind = FloatingPoint::create(builder, &FloatingPointArgs { precision });
    (Type::FloatingPoint, kind.as_union_value())
}
