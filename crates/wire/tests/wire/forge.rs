//! Takes a good record apart, so that tests can put it together wrongly.

use arrow::ipc::{
    self, Buffer, FieldNode, Message, MessageArgs, MessageHeader, MetadataVersion, RecordBatch,
    RecordBatchArgs,
};
use flatbuffers::FlatBufferBuilder;
use millrace_wire::{DType, DecodeError, Limits, Record, Tensor, encode_tensors};

/// A record whose batch message can be changed.
#[derive(Clone)]
pub(crate) struct Forge {
    /// The schema message with its prefix.
    pub(crate) schema: Vec<u8>,
    pub(crate) version: MetadataVersion,
    pub(crate) rows: i64,
    /// Length and null count.
    pub(crate) nodes: Vec<(i64, i64)>,
    /// Offset and length.
    pub(crate) buffers: Vec<(i64, i64)>,
    /// What the message says about the body's length.
    pub(crate) body_length: i64,
    pub(crate) body: Vec<u8>,
}

impl Forge {
    pub(crate) fn new(tensors: &[Tensor]) -> Self {
        Self::from_record(&encode_tensors(tensors).expect("the tensors go together"))
    }

    pub(crate) fn from_record(payload: &[u8]) -> Self {
        let batch_at = 8 + int(payload, 4);
        let body_at = batch_at + 8 + int(payload, batch_at + 4);
        let metadata = &payload[batch_at + 8..body_at];
        let message = ipc::root_as_message(metadata).expect("a good record");
        let batch = message.header_as_record_batch().expect("a record batch");
        let (nodes, buffers) = (batch.nodes(), batch.buffers());
        Self {
            schema: payload[..batch_at].to_vec(),
            version: message.version(),
            rows: batch.length(),
            nodes: nodes
                .iter()
                .flatten()
                .map(|n| (n.length(), n.null_count()))
                .collect(),
            buffers: buffers
                .iter()
                .flatten()
                .map(|b| (b.offset(), b.length()))
                .collect(),
            body_length: message.bodyLength(),
            body: payload[body_at..payload.len() - 8].to_vec(),
        }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut builder = FlatBufferBuilder::new();
        let nodes: Vec<FieldNode> = self
            .nodes
            .iter()
            .map(|n| FieldNode::new(n.0, n.1))
            .collect();
        let buffers: Vec<Buffer> = self.buffers.iter().map(|b| Buffer::new(b.0, b.1)).collect();
        let batch = RecordBatchArgs {
            length: self.rows,
            nodes: Some(builder.create_vector(&nodes)),
            buffers: Some(builder.create_vector(&buffers)),
            ..RecordBatchArgs::default()
        };
        let batch = RecordBatch::create(&mut builder, &batch);
        let message = MessageArgs {
            version: self.version,
            header_type: MessageHeader::RecordBatch,
            header: Some(batch.as_union_value()),
            bodyLength: self.body_length,
            ..MessageArgs::default()
        };
        let message = Message::create(&mut builder, &message);
        builder.finish(message, None);
        let mut bytes = self.schema.clone();
        bytes.extend(framed(builder.finished_data()));
        bytes.extend(&self.body);
        bytes.extend([0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0]);
        bytes
    }

    pub(crate) fn decode(&self) -> Result<Record, DecodeError> {
        Record::decode(self.bytes(), &Limits::default())
    }
}

/// A flatbuffer with a message's prefix and padding.
pub(crate) fn framed(flatbuffer: &[u8]) -> Vec<u8> {
    let length = flatbuffer.len().next_multiple_of(8);
    let prefix = i32::try_from(length)
        .expect("a small message")
        .to_le_bytes();
    let mut bytes = [&[0xFF; 4], &prefix[..], flatbuffer].concat();
    bytes.resize(8 + length, 0);
    bytes
}

/// A tensor of numbers 1, 2, 3 and so on.
pub(crate) fn floats(name: &str, shape: &[usize]) -> Tensor {
    let count: usize = shape.iter().product();
    let bytes: Vec<u8> = (1..=count).flat_map(|i| (i as f32).to_le_bytes()).collect();
    Tensor::fixed(name, DType::Float32, shape.to_vec(), bytes.into()).expect("data fit the shape")
}

/// A tensor of texts.
pub(crate) fn texts(name: &str, texts: &[&str]) -> Tensor {
    let data = texts.iter().collect();
    Tensor::variable(name, DType::String, vec![texts.len()], data).expect("data fit the shape")
}

fn int(payload: &[u8], at: usize) -> usize {
    let bytes = payload[at..at + 4].try_into().expect("4 bytes");
    usize::try_from(i32::from_le_bytes(bytes)).expect("a positive length")
}
