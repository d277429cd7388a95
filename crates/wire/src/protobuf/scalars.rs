//! Repeated scalar fields, packed or not, to the little-endian bytes of a tensor.

use super::ProtobufError;
use super::fields::{Field, Value, malformed, take_varint};
use crate::dtype::DType;
use crate::quote::Name;

/// The elements of one input as they are read.
pub(super) struct Scalars<'a> {
    input: &'a str,
    dtype: DType,
    /// As many elements as the shape holds.
    limit: usize,
    count: usize,
    bytes: Vec<u8>,
}

impl<'a> Scalars<'a> {
    /// For a `dtype` of fixed size.
    pub(super) fn new(input: &'a str, dtype: DType, limit: usize) -> Self {
        Self {
            input,
            dtype,
            limit,
            count: 0,
            bytes: Vec::new(),
        }
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Appends what one field holds: one scalar, or packed ones.
    pub(super) fn push(&mut self, field: &Field<'_>) -> Result<(), ProtobufError> {
        match (self.dtype, field.value) {
            (DType::Float32, Value::Fixed32(bytes)) | (DType::Float64, Value::Fixed64(bytes)) => {
                self.push_fixed(bytes)
            }
            (DType::Float32 | DType::Float64, Value::Bytes(packed)) => self.push_fixed(packed),
            (DType::Float32 | DType::Float64, _) | (_, Value::Fixed32(_) | Value::Fixed64(_)) => {
                Err(malformed("a field has the wrong wire type"))
            }
            (_, Value::Varint(number)) => self.push_number(number),
            (_, Value::Bytes(mut packed)) => {
                let size_bytes = self.dtype.element_size_bytes().unwrap_or(1);
                // A number takes one byte at least.
                let at_most = packed.len().min(self.limit - self.count);
                self.bytes.reserve(at_most * size_bytes);
                while !packed.is_empty() {
                    self.push_number(take_varint(&mut packed)?)?;
                }
                Ok(())
            }
        }
    }

    /// Floating-point numbers have the same bytes on the wire as in a tensor.
    fn push_fixed(&mut self, bytes: &[u8]) -> Result<(), ProtobufError> {
        let size_bytes = self.dtype.element_size_bytes().unwrap_or(1);
        if !bytes.len().is_multiple_of(size_bytes) {
            return Err(malformed("packed numbers end in the middle of one"));
        }
        self.grow(bytes.len() / size_bytes)?;
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn push_number(&mut self, number: u64) -> Result<(), ProtobufError> {
        let index = self.count;
        self.grow(1)?;
        let signed = number.cast_signed();
        let bytes = &mut self.bytes;
        let fits = match self.dtype {
            DType::Bool => put(bytes, Ok::<_, ()>([u8::from(number != 0)])),
            DType::Int8 => put(bytes, i8::try_from(signed).map(i8::to_le_bytes)),
            DType::Int16 => put(bytes, i16::try_from(signed).map(i16::to_le_bytes)),
            DType::Int32 => put(bytes, i32::try_from(signed).map(i32::to_le_bytes)),
            DType::Int64 => put(bytes, Ok::<_, ()>(signed.to_le_bytes())),
            DType::Uint8 => put(bytes, u8::try_from(number).map(u8::to_le_bytes)),
            DType::Uint16 | DType::Float16 | DType::Bfloat16 => {
                put(bytes, u16::try_from(number).map(u16::to_le_bytes))
            }
            DType::Uint32 => put(bytes, u32::try_from(number).map(u32::to_le_bytes)),
            DType::Uint64 => put(bytes, Ok::<_, ()>(number.to_le_bytes())),
            DType::Float32 | DType::Float64 | DType::String | DType::Bytes => false,
        };
        match fits {
            true => Ok(()),
            false => Err(ProtobufError::invalid(format!(
                "input {}: element {index} is {signed}, which does not fit {}",
                Name(self.input),
                self.dtype
            ))),
        }
    }

    fn grow(&mut self, by: usize) -> Result<(), ProtobufError> {
        self.count += by;
        match self.count > self.limit {
            true => Err(too_many(self.input, self.limit)),
            false => Ok(()),
        }
    }
}

/// Appends a number; false if it does not fit its type.
pub(super) fn put<const N: usize, E>(bytes: &mut Vec<u8>, number: Result<[u8; N], E>) -> bool {
    if let Ok(number) = &number {
        bytes.extend_from_slice(number);
    }
    number.is_ok()
}

/// More values came than the shape has places for.
pub(super) fn too_many(input: &str, expected: usize) -> ProtobufError {
    ProtobufError::invalid(format!(
        "input {}: its shape holds {expected} elements, but more were given",
        Name(input)
    ))
}
