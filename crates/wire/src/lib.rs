//! Bytes to messages and back: tensors, Arrow records, Avro messages, record headers, predict JSON.
//!
//! This crate is pure: it knows nothing of Kafka clients, files, threads, settings or logging. What it
//! decodes comes from outside, so every decoder answers any bytes with a value or an error, and never
//! allocates more than the size class of its input.

pub mod avro;
mod dtype;
mod encode;
pub mod headers;
pub mod json;
mod limits;
pub mod oip;
pub mod protobuf;
mod quote;
mod record;
mod signature;
mod sparse;
mod status;
mod tensor;

pub use dtype::{DType, UnknownDType};
pub use encode::{
    ColumnParts, EncodeError, Encoder, TensorSlice, encode, encode_inputs, encode_tensors,
};
pub use limits::Limits;
pub use record::{
    Column, Contents, DecodeError, DecodeErrorKind, Decoder, Record, RecordView, RowShape,
};
pub use signature::{Description, Signature, SignatureError, TensorSpec};
pub use sparse::{SparseError, SparseFault, SparsePlaces, SparseTensor};
pub use status::{Status, UnknownStatus};
pub use tensor::{Tensor, TensorBuilder, TensorError, VariableData};
