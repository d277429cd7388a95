//! A record batch's nodes, buffers and body.

use arrow::ipc::{
    Buffer, FieldNode, Message, MessageArgs, MessageHeader, MetadataVersion, RecordBatch,
    RecordBatchArgs,
};
use flatbuffers::FlatBufferBuilder;

use super::columns::{Layout, OutColumn, elements, part_lists};
use crate::dtype::DType;

/// The length of everything in the body, known before the body is written.
pub(super) struct Plan {
    nodes: Vec<FieldNode>,
    buffers: Vec<Buffer>,
    body_bytes: usize,
}

/// A buffer with content; validity buffers are always empty.
#[derive(Clone, Copy)]
enum Content {
    /// Elements of fixed size.
    Fixed(usize),
    /// Booleans.
    Bits,
    /// Where each string ends.
    TextOffsets,
    /// The bytes of all strings.
    Text,
    /// Where each row's elements end.
    RowOffsets,
    /// Where each list at this level of nesting ends.
    ListOffsets(usize),
    /// Each row's dimensions.
    Shapes,
    /// The index in each dimension of the elements of sparse rows.
    Indices,
}

impl Plan {
    pub(super) fn new(columns: &[OutColumn<'_>]) -> Self {
        let mut plan = Self {
            nodes: Vec::with_capacity(columns.len() * 5),
            buffers: Vec::with_capacity(columns.len() * 8),
            body_bytes: 0,
        };
        for column in columns {
            plan.column(column);
        }
        plan
    }

    fn column(&mut self, column: &OutColumn<'_>) {
        match column.layout {
            Layout::Scalar => {}
            Layout::Fixed(_) => self.node(column.rows),
            Layout::Sparse(places) => {
                self.node(column.rows);
                self.node(column.rows);
                self.buffer(Content::RowOffsets.size_bytes(column));
                self.node(column.elements);
                self.node(places.indices.len());
                self.buffer(Content::Indices.size_bytes(column));
                self.node(column.rows);
                self.buffer(Content::RowOffsets.size_bytes(column));
            }
            Layout::Variable(_) => {
                self.node(column.rows);
                self.node(column.rows);
                self.buffer(Content::RowOffsets.size_bytes(column));
            }
            Layout::Nested(dimensions) => {
                for level in 0..dimensions {
                    self.node(counted(column.lists(level)));
                    self.buffer(Content::ListOffsets(level).size_bytes(column));
                }
            }
        }
        self.node(column.elements);
        for content in leaf_contents(column.dtype) {
            self.buffer(content.size_bytes(column));
        }
        let dimensions = match column.layout {
            Layout::Variable(dimensions) => dimensions,
            Layout::Sparse(places) => places.rank,
            Layout::Scalar | Layout::Fixed(_) | Layout::Nested(_) => return,
        };
        self.node(column.rows);
        self.node(column.rows * dimensions);
        self.buffer(Content::Shapes.size_bytes(column));
    }

    fn node(&mut self, items: usize) {
        self.nodes.push(FieldNode::new(as_i64(items), 0));
        self.buffer(0);
    }

    fn buffer(&mut self, size_bytes: usize) {
        let buffer = Buffer::new(as_i64(self.body_bytes), as_i64(size_bytes));
        self.buffers.push(buffer);
        self.body_bytes += size_bytes.next_multiple_of(8);
    }

    /// Bytes of the body, padding included.
    pub(super) fn body_bytes(&self) -> usize {
        self.body_bytes
    }

    /// The record batch message's flatbuffer.
    pub(super) fn metadata<'b>(
        &self,
        builder: &'b mut FlatBufferBuilder<'static>,
        rows: usize,
    ) -> &'b [u8] {
        builder.reset();
        let nodes = builder.create_vector(&self.nodes);
        let buffers = builder.create_vector(&self.buffers);
        let batch = RecordBatchArgs {
            length: as_i64(rows),
            nodes: Some(nodes),
            buffers: Some(buffers),
            ..RecordBatchArgs::default()
        };
        let batch = RecordBatch::create(builder, &batch);
        let message = MessageArgs {
            version: MetadataVersion::V5,
            header_type: MessageHeader::RecordBatch,
            header: Some(batch.as_union_value()),
            bodyLength: as_i64(self.body_bytes),
            ..MessageArgs::default()
        };
        let message = Message::create(builder, &message);
        builder.finish(message, None);
        builder.finished_data()
    }

    /// Appends the body, in the order and of the lengths that were planned.
    pub(super) fn write(&self, columns: &[OutColumn<'_>], out: &mut Vec<u8>) {
        for column in columns {
            match column.layout {
                Layout::Scalar | Layout::Fixed(_) => {}
                Layout::Variable(_) => Content::RowOffsets.write(column, out),
                Layout::Sparse(_) => {
                    for content in [Content::RowOffsets, Content::Indices, Content::RowOffsets] {
                        content.write(column, out);
                    }
                }
                Layout::Nested(dimensions) => {
                    for level in 0..dimensions {
                        Content::ListOffsets(level).write(column, out);
                    }
                }
            }
            for content in leaf_contents(column.dtype) {
                content.write(column, out);
            }
            if let Layout::Variable(_) | Layout::Sparse(_) = column.layout {
                Content::Shapes.write(column, out);
            }
        }
    }
}

fn leaf_contents(dtype: DType) -> &'static [Content] {
    match dtype {
        DType::Bool => &[Content::Bits],
        DType::Int8 | DType::Uint8 => &[Content::Fixed(1)],
        DType::Int16 | DType::Uint16 | DType::Float16 | DType::Bfloat16 => &[Content::Fixed(2)],
        DType::Int32 | DType::Uint32 | DType::Float32 => &[Content::Fixed(4)],
        DType::Int64 | DType::Uint64 | DType::Float64 => &[Content::Fixed(8)],
        DType::String | DType::Bytes => &[Content::TextOffsets, Content::Text],
    }
}

impl Content {
    fn size_bytes(self, column: &OutColumn<'_>) -> usize {
        match self {
            Self::Fixed(size_bytes) => column.elements * size_bytes,
            Self::Bits => column.elements.div_ceil(8),
            Self::TextOffsets => (column.elements + 1) * 4,
            Self::Text => column.text_bytes,
            Self::RowOffsets => (column.rows + 1) * 4,
            Self::Shapes => match column.layout {
                Layout::Variable(dimensions) => column.rows * dimensions * 4,
                Layout::Sparse(places) => places.shapes.len() * 4,
                Layout::Scalar | Layout::Fixed(_) | Layout::Nested(_) => 0,
            },
            Self::Indices => match column.layout {
                Layout::Sparse(places) => places.indices.len() * 4,
                _ => 0,
            },
            Self::ListOffsets(level) => (counted(column.lists(level)) + 1) * 4,
        }
    }

    fn write(self, column: &OutColumn<'_>, out: &mut Vec<u8>) {
        let start = out.len();
        match self {
            Self::Fixed(size_bytes) => write_fixed(column, size_bytes, out),
            Self::Bits => write_bits(column, out),
            Self::TextOffsets => write_text_offsets(column, out),
            Self::Text => write_text(column, out),
            Self::RowOffsets => write_row_offsets(column, out),
            Self::ListOffsets(level) => write_list_offsets(column, level, out),
            Self::Shapes => write_shapes(column, out),
            Self::Indices => write_indices(column, out),
        }
        out.resize(start + (out.len() - start).next_multiple_of(8), 0);
    }
}

fn write_fixed(column: &OutColumn<'_>, size_bytes: usize, out: &mut Vec<u8>) {
    for part in column.parts {
        let elements = elements(part);
        let bytes = part.tensor.fixed_bytes().unwrap_or_default();
        out.extend_from_slice(&bytes[elements.start * size_bytes..elements.end * size_bytes]);
    }
}

fn write_bits(column: &OutColumn<'_>, out: &mut Vec<u8>) {
    let (mut byte, mut bits) = (0u8, 0);
    for part in column.parts {
        let bytes = part.tensor.fixed_bytes().unwrap_or_default();
        for value in &bytes[elements(part)] {
            byte |= value << bits;
            bits += 1;
            if bits == 8 {
                out.push(byte);
                (byte, bits) = (0, 0);
            }
        }
    }
    if bits > 0 {
        out.push(byte);
    }
}

fn write_text_offsets(column: &OutColumn<'_>, out: &mut Vec<u8>) {
    let mut base = 0;
    push_i32(out, 0);
    for part in column.parts {
        let Some(data) = part.tensor.elements() else {
            continue;
        };
        let elements = elements(part);
        let start = data.start(elements.start);
        for index in elements.clone() {
            push_i32(out, base + data.start(index + 1) - start);
        }
        base += data.start(elements.end) - start;
    }
}

fn write_text(column: &OutColumn<'_>, out: &mut Vec<u8>) {
    for part in column.parts {
        let Some(data) = part.tensor.elements() else {
            continue;
        };
        let elements = elements(part);
        let bytes = data.start(elements.start)..data.start(elements.end);
        out.extend_from_slice(&data.bytes()[bytes]);
    }
}

fn write_row_offsets(column: &OutColumn<'_>, out: &mut Vec<u8>) {
    let mut end = 0;
    push_i32(out, end);
    if let Layout::Sparse(places) = column.layout {
        for &end in &places.ends {
            push_i32(out, end);
        }
        return;
    }
    for part in column.parts {
        for _ in part.rows.clone() {
            end += part.tensor.elements_per_row();
            push_i32(out, end);
        }
    }
}

fn write_list_offsets(column: &OutColumn<'_>, level: usize, out: &mut Vec<u8>) {
    let mut end = 0;
    push_i32(out, end);
    for part in column.parts {
        for _ in 0..counted(part_lists(part, level)) {
            end += part.tensor.row_shape()[level];
            push_i32(out, end);
        }
    }
}

fn write_indices(column: &OutColumn<'_>, out: &mut Vec<u8>) {
    if let Layout::Sparse(places) = column.layout {
        for index in &places.indices {
            out.extend_from_slice(&index.to_le_bytes());
        }
    }
}

fn write_shapes(column: &OutColumn<'_>, out: &mut Vec<u8>) {
    if let Layout::Sparse(places) = column.layout {
        for size in &places.shapes {
            out.extend_from_slice(&size.to_le_bytes());
        }
        return;
    }
    for part in column.parts {
        for _ in part.rows.clone() {
            for &size in part.tensor.row_shape() {
                push_i32(out, size);
            }
        }
    }
}

fn counted(lists: Option<usize>) -> usize {
    lists.expect("lists of the column were checked to be countable")
}

fn push_i32(out: &mut Vec<u8>, value: usize) {
    let value = i32::try_from(value).expect("sizes of the column were checked to be int32");
    out.extend_from_slice(&value.to_le_bytes());
}

fn as_i64(value: usize) -> i64 {
    i64::try_from(value).expect("memory has fewer than 2^63 bytes")
}
