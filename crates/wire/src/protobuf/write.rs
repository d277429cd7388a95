//! Puts protobuf fields together.

use half::f16;

use crate::Tensor;
use crate::dtype::DType;

/// Appends a base-128 number.
pub(super) fn push_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

/// Appends a number as a field.
pub(super) fn push_varint_field(out: &mut Vec<u8>, number: u32, value: u64) {
    push_varint(out, u64::from(number) << 3);
    push_varint(out, value);
}

/// Appends a float as a field, as proto3 does: not at all when it is zero.
pub(super) fn push_float(out: &mut Vec<u8>, number: u32, value: f32) {
    if value.to_bits() != 0 {
        push_varint(out, u64::from(number) << 3 | 5);
        out.extend_from_slice(&value.to_le_bytes());
    }
}

/// Appends bytes, text or a message as a field.
pub(super) fn push_bytes(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    push_length(out, number, bytes.len());
    out.extend_from_slice(bytes);
}

/// Appends the beginning of a field of `size_bytes`, which the caller must then append.
pub(super) fn push_length(out: &mut Vec<u8>, number: u32, size_bytes: usize) {
    push_varint(out, u64::from(number) << 3 | 2);
    push_varint(out, u64::try_from(size_bytes).unwrap_or(u64::MAX));
}

/// Appends text as a field, as proto3 does: not at all when it is empty.
pub(super) fn push_text(out: &mut Vec<u8>, number: u32, text: &str) {
    if !text.is_empty() {
        push_bytes(out, number, text.as_bytes());
    }
}

/// Appends a message that `write` makes as a field.
pub(super) fn push_message(out: &mut Vec<u8>, number: u32, write: impl FnOnce(&mut Vec<u8>)) {
    let mut message = Vec::new();
    write(&mut message);
    push_bytes(out, number, &message);
}

/// Appends the elements of a tensor of fixed size as the content of a packed field.
///
/// Half precision goes as its bits, as `half_val` wants it.
pub(super) fn push_packed(tensor: &Tensor, out: &mut Vec<u8>) {
    let bytes = tensor.fixed_bytes().unwrap_or_default();
    match tensor.dtype() {
        // On the wire as in the tensor: four or eight bytes, or one below 128.
        DType::Float32 | DType::Float64 | DType::Bool => out.extend_from_slice(bytes),
        DType::Int8 => each(tensor, out, |it: i8| i64::from(it).cast_unsigned()),
        DType::Int16 => each(tensor, out, |it: i16| i64::from(it).cast_unsigned()),
        DType::Int32 => each(tensor, out, |it: i32| i64::from(it).cast_unsigned()),
        DType::Int64 => each(tensor, out, i64::cast_unsigned),
        DType::Uint8 => each(tensor, out, |it: u8| u64::from(it)),
        DType::Uint16 | DType::Bfloat16 => each(tensor, out, |it: u16| u64::from(it)),
        DType::Uint32 => each(tensor, out, |it: u32| u64::from(it)),
        DType::Uint64 => each(tensor, out, |it: u64| it),
        DType::Float16 => each(tensor, out, |it: f16| u64::from(it.to_bits())),
        DType::String | DType::Bytes => {}
    }
}

fn each<T: arrow::datatypes::ArrowNativeType>(
    tensor: &Tensor,
    out: &mut Vec<u8>,
    number: impl Fn(T) -> u64,
) {
    for &element in tensor.typed::<T>().unwrap_or_default() {
        push_varint(out, number(element));
    }
}
