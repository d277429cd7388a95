//! TensorFlow's `TensorProto`, to a tensor and from one.
//!
//! As in TensorFlow, `tensor_content` goes before the typed values; typed values may be fewer than
//! the shape's elements, and the last one then fills the rest (zero if there is none). Unlike there,
//! more values than elements, values of another dtype's list, and both kinds at once are refused.

use super::contents::Described;
use super::fields::{Field, Fields};
use super::scalars::{Scalars, too_many};
use super::strings::lengths_first;
use super::write::{push_bytes, push_message, push_varint_field};
use super::{ProtobufError, checked_shape};
use crate::dtype::DType;
use crate::quote::Name;
use crate::{Limits, Signature, Tensor, VariableData};

/// TensorFlow's numbers of the types that we have, and of `STRING` in both our forms.
const NUMBERS: [(DType, u64); 15] = [
    (DType::Float32, 1),
    (DType::Float64, 2),
    (DType::Int32, 3),
    (DType::Uint8, 4),
    (DType::Int16, 5),
    (DType::Int8, 6),
    (DType::Bytes, 7),
    (DType::String, 7),
    (DType::Int64, 9),
    (DType::Bool, 10),
    (DType::Bfloat16, 14),
    (DType::Uint16, 17),
    (DType::Float16, 19),
    (DType::Uint32, 22),
    (DType::Uint64, 23),
];

/// The number of a type in TensorFlow's `DataType`.
pub fn data_type_number(dtype: DType) -> i32 {
    let found = NUMBERS.iter().find(|(known, _)| *known == dtype);
    found.map_or(0, |(_, number)| i32::try_from(*number).unwrap_or(0))
}

/// The type of a number of TensorFlow's `DataType` as a message shows it, such as `DT_FLOAT`.
pub fn data_type_name(number: u64) -> String {
    match NUMBERS.iter().find(|(_, known)| *known == number) {
        Some((dtype, _)) => dtype.tensorflow_name().to_owned(),
        None => format!("DataType {number}"),
    }
}

/// The field with the values of a dtype, and its name.
fn list_of(dtype: DType) -> (u32, &'static str) {
    match dtype {
        DType::Float32 => (5, "float_val"),
        DType::Float64 => (6, "double_val"),
        DType::Int8 | DType::Int16 | DType::Int32 | DType::Uint8 | DType::Uint16 => (7, "int_val"),
        DType::String | DType::Bytes => (8, "string_val"),
        DType::Int64 => (10, "int64_val"),
        DType::Bool => (11, "bool_val"),
        DType::Float16 | DType::Bfloat16 => (13, "half_val"),
        DType::Uint32 => (16, "uint32_val"),
        DType::Uint64 => (17, "uint64_val"),
    }
}

/// A `TensorProto` in place.
#[derive(Default)]
struct Parts<'a> {
    dtype: u64,
    dims: Vec<i64>,
    unknown_rank: bool,
    content: &'a [u8],
    /// The number of the first field with values.
    values: Option<u32>,
}

/// Reads the input `name`.
pub(super) fn parse(
    name: &str,
    message: &[u8],
    signature: &Signature,
    limits: &Limits,
) -> Result<Tensor, ProtobufError> {
    let parts = Parts::of(message, limits)?;
    let dtype = dtype_of(name, parts.dtype, signature)?;
    if parts.unknown_rank {
        return Err(ProtobufError::invalid(format!(
            "input {} has no shape",
            Name(name)
        )));
    }
    let (shape, elements) = checked_shape(name, &parts.dims, limits)?;
    let input = Described {
        name,
        dtype,
        shape,
        elements,
    };
    let (list, expected) = list_of(dtype);
    match (parts.content, parts.values) {
        ([_, ..], Some(_)) => Err(ProtobufError::invalid(format!(
            "input {} has tensor_content and typed values, only one of them can be meant",
            Name(name)
        ))),
        (_, Some(given)) if given != list => Err(ProtobufError::invalid(format!(
            "input {}: {} takes {expected}, but values came in field {given}",
            Name(name),
            dtype.tensorflow_name()
        ))),
        ([], _) => from_values(&input, message, limits),
        (content, None) => from_content(&input, content),
    }
}

impl<'a> Parts<'a> {
    fn of(message: &'a [u8], limits: &Limits) -> Result<Self, ProtobufError> {
        let mut parts = Self::default();
        let mut fields = Fields::of(message);
        while let Some(field) = fields.next()? {
            match field.number {
                1 => parts.dtype = field.varint()?,
                2 => parts.shape(field.bytes()?, limits)?,
                4 => parts.content = field.bytes()?,
                5..=17 => match parts.values {
                    Some(first) if first != field.number => {
                        return Err(ProtobufError::invalid(
                            "a tensor has typed values of several types",
                        ));
                    }
                    _ => parts.values = Some(field.number),
                },
                _ => {}
            }
        }
        Ok(parts)
    }

    fn shape(&mut self, message: &[u8], limits: &Limits) -> Result<(), ProtobufError> {
        let mut fields = Fields::of(message);
        while let Some(field) = fields.next()? {
            match field.number {
                2 => {
                    self.dims.push(size_of_dim(field.bytes()?)?);
                    super::check_count(
                        self.dims.len(),
                        limits.max_rank,
                        "dimensions in one shape",
                    )?;
                }
                3 => self.unknown_rank = field.varint()? != 0,
                _ => {}
            }
        }
        Ok(())
    }
}

fn size_of_dim(message: &[u8]) -> Result<i64, ProtobufError> {
    let mut size = 0;
    let mut fields = Fields::of(message);
    while let Some(field) = fields.next()? {
        if field.number == 1 {
            size = field.int64()?;
        }
    }
    Ok(size)
}

/// TensorFlow has one type for text and bytes; which of the two it is, the model knows.
fn dtype_of(name: &str, number: u64, signature: &Signature) -> Result<DType, ProtobufError> {
    let known = signature.inputs.iter().find(|input| input.name == name);
    let known = known.map(|input| input.dtype);
    if let (7, Some(DType::String)) = (number, known) {
        return Ok(DType::String);
    }
    let found = NUMBERS.iter().find(|(_, given)| *given == number);
    found.map(|(dtype, _)| *dtype).ok_or_else(|| {
        ProtobufError::invalid(format!(
            "input {}: dtype {number} is not supported, expected {}",
            Name(name),
            known.map_or("DT_FLOAT", DType::tensorflow_name)
        ))
    })
}

fn from_content(input: &Described<'_>, content: &[u8]) -> Result<Tensor, ProtobufError> {
    match input.dtype {
        DType::String | DType::Bytes => {
            input.variable(lengths_first(input.name, content, input.elements)?)
        }
        _ => input.fixed(content),
    }
}

/// Reads typed values; the last of them fills what is left of the shape.
fn from_values(
    input: &Described<'_>,
    message: &[u8],
    limits: &Limits,
) -> Result<Tensor, ProtobufError> {
    let (list, _) = list_of(input.dtype);
    let mut fields = Fields::of(message);
    let mut next = || -> Result<Option<Field<'_>>, ProtobufError> {
        while let Some(field) = fields.next()? {
            if field.number == list {
                return Ok(Some(field));
            }
        }
        Ok(None)
    };
    match input.dtype.element_size_bytes() {
        Some(size_bytes) => {
            check_filled(input, input.elements.saturating_mul(size_bytes), limits)?;
            let mut scalars = Scalars::new(input.name, input.dtype, input.elements);
            while let Some(field) = next()? {
                scalars.push(&field)?;
            }
            input.fixed(filled(scalars.into_bytes(), input.elements, size_bytes))
        }
        None => {
            let mut data = VariableData::new();
            while let Some(field) = next()? {
                if data.len() == input.elements {
                    return Err(too_many(input.name, input.elements));
                }
                data.push(field.bytes()?);
            }
            fill_strings(input, &mut data, limits)?;
            input.variable(data)
        }
    }
}

/// A few bytes of message can mean a large tensor: no larger than a record may be.
fn check_filled(
    input: &Described<'_>,
    size_bytes: usize,
    limits: &Limits,
) -> Result<(), ProtobufError> {
    match size_bytes > limits.max_record_bytes {
        true => Err(ProtobufError::too_large(format!(
            "input {} would fill {size_bytes} bytes, more than the {} of a record",
            Name(input.name),
            limits.max_record_bytes
        ))),
        false => Ok(()),
    }
}

fn filled(mut bytes: Vec<u8>, elements: usize, size_bytes: usize) -> Vec<u8> {
    let last = match bytes.len().checked_sub(size_bytes) {
        Some(at) => bytes[at..].to_vec(),
        None => vec![0; size_bytes],
    };
    let missing = elements - bytes.len() / size_bytes;
    bytes.reserve_exact(missing * size_bytes);
    for _ in 0..missing {
        bytes.extend_from_slice(&last);
    }
    bytes
}

fn fill_strings(
    input: &Described<'_>,
    data: &mut VariableData,
    limits: &Limits,
) -> Result<(), ProtobufError> {
    let missing = input.elements - data.len();
    let last = match data.len().checked_sub(1) {
        Some(index) => data.get(index).to_vec(),
        None => Vec::new(),
    };
    // Each element costs its bytes and the place where it ends.
    let each = last.len() + size_of::<usize>();
    check_filled(
        input,
        data.bytes()
            .len()
            .saturating_add(missing.saturating_mul(each)),
        limits,
    )?;
    for _ in 0..missing {
        data.push(&last);
    }
    Ok(())
}

/// Appends a tensor as TensorFlow Serving answers it: typed values, packed.
pub(super) fn write(tensor: &Tensor, out: &mut Vec<u8>) {
    let number = u64::try_from(data_type_number(tensor.dtype())).unwrap_or(0);
    push_varint_field(out, 1, number);
    let mut shape = Vec::new();
    for &size in tensor.shape() {
        let mut dim = Vec::new();
        push_varint_field(&mut dim, 1, u64::try_from(size).unwrap_or(u64::MAX));
        push_bytes(&mut shape, 2, &dim);
    }
    push_bytes(out, 2, &shape);
    let (list, _) = list_of(tensor.dtype());
    match tensor.elements() {
        Some(elements) => {
            for element in elements.iter() {
                push_bytes(out, list, element);
            }
        }
        None => push_message(out, list, |packed| {
            super::write::push_packed(tensor, packed)
        }),
    }
}
