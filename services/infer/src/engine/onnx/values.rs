//! Our tensors as ONNX Runtime's values and back. Inputs are views of our buffers, except booleans and strings, which
//! ONNX Runtime keeps in another form; outputs are copied once.

use arrow::buffer::Buffer;
use arrow::datatypes::ArrowNativeType;
use half::slice::HalfBitsSliceExt;
use half::{bf16, f16};
use millrace_wire::{DType, Tensor, VariableData};
use ort::session::SessionInputValue;
use ort::value::{DynValue, PrimitiveTensorElementType, TensorRef, ValueType};

use super::strings::string_tensor;
use super::{dtype, engine_error};
use crate::engine::EngineError;

/// A value that reads `input`'s buffer where it lies.
pub(super) fn view_input(input: &Tensor) -> ort::Result<SessionInputValue<'_>> {
    match input.dtype() {
        DType::Bool => bool_input(input),
        DType::Int8 => view::<i8>(input),
        DType::Int16 => view::<i16>(input),
        DType::Int32 => view::<i32>(input),
        DType::Int64 => view::<i64>(input),
        DType::Uint8 => view::<u8>(input),
        DType::Uint16 => view::<u16>(input),
        DType::Uint32 => view::<u32>(input),
        DType::Uint64 => view::<u64>(input),
        DType::Float16 => view::<f16>(input),
        DType::Bfloat16 => view_slice::<bf16>(input, typed::<u16>(input)?.reinterpret_cast()),
        DType::Float32 => view::<f32>(input),
        DType::Float64 => view::<f64>(input),
        DType::String | DType::Bytes => {
            let elements = input.elements().ok_or_else(|| wrong_type(input))?;
            Ok(string_tensor(input.shape(), elements)?.into())
        }
    }
}

fn view<T>(input: &Tensor) -> ort::Result<SessionInputValue<'_>>
where
    T: ArrowNativeType + PrimitiveTensorElementType + Clone,
{
    view_slice::<T>(input, typed::<T>(input)?)
}

fn view_slice<'a, T>(input: &'a Tensor, elements: &'a [T]) -> ort::Result<SessionInputValue<'a>>
where
    T: PrimitiveTensorElementType + Clone + std::fmt::Debug + 'static,
{
    Ok(TensorRef::from_array_view((input.shape(), elements))?.into())
}

fn typed<T: ArrowNativeType>(input: &Tensor) -> ort::Result<&[T]> {
    input.typed::<T>().ok_or_else(|| wrong_type(input))
}

fn bool_input(input: &Tensor) -> ort::Result<SessionInputValue<'_>> {
    let elements: Vec<bool> = typed::<u8>(input)?.iter().map(|byte| *byte != 0).collect();
    Ok(ort::value::Tensor::from_array((input.shape(), elements))?.into())
}

fn wrong_type(input: &Tensor) -> ort::Error {
    ort::Error::new(format!(
        "input {:?} does not hold {}",
        input.name(),
        input.dtype()
    ))
}

/// Copies an output out of the session's memory.
///
/// # Errors
/// [`EngineError::Rows`] if dimension 0 is not `rows`; [`EngineError::Type`] if records cannot hold it.
pub(super) fn read_output(
    name: &str,
    value: &DynValue,
    rows: usize,
) -> Result<Tensor, EngineError> {
    let unsupported = || EngineError::Type {
        output: name.to_owned(),
        given: value.dtype().to_string(),
    };
    let ValueType::Tensor {
        ty,
        shape: dimensions,
        ..
    } = value.dtype()
    else {
        return Err(unsupported());
    };
    let dtype = dtype(*ty).ok_or_else(unsupported)?;
    let shape: Vec<usize> = dimensions
        .iter()
        .filter_map(|size| usize::try_from(*size).ok())
        .collect();
    if shape.len() != dimensions.len() || shape.first() != Some(&rows) {
        return Err(EngineError::Rows {
            output: name.to_owned(),
            rows,
            given: dimensions.to_vec(),
        });
    }
    let tensor = match copy_elements(dtype, value).map_err(engine_error)? {
        Elements::Fixed(buffer) => Tensor::fixed(name, dtype, shape, buffer),
        Elements::Variable(elements) => Tensor::variable(name, dtype, shape, elements),
    };
    tensor.map_err(|error| EngineError::Failed(Box::new(error)))
}

enum Elements {
    Fixed(Buffer),
    Variable(VariableData),
}

fn copy_elements(dtype: DType, value: &DynValue) -> ort::Result<Elements> {
    let buffer = match dtype {
        DType::Bool => {
            let bytes: Vec<u8> = value
                .try_extract_tensor::<bool>()?
                .1
                .iter()
                .map(|element| u8::from(*element))
                .collect();
            Buffer::from_vec(bytes)
        }
        DType::Int8 => copy::<i8>(value)?,
        DType::Int16 => copy::<i16>(value)?,
        DType::Int32 => copy::<i32>(value)?,
        DType::Int64 => copy::<i64>(value)?,
        DType::Uint8 => copy::<u8>(value)?,
        DType::Uint16 => copy::<u16>(value)?,
        DType::Uint32 => copy::<u32>(value)?,
        DType::Uint64 => copy::<u64>(value)?,
        DType::Float16 => copy::<f16>(value)?,
        DType::Bfloat16 => {
            let bits: &[u16] = half::slice::HalfFloatSliceExt::reinterpret_cast(
                value.try_extract_tensor::<bf16>()?.1,
            );
            Buffer::from_slice_ref(bits)
        }
        DType::Float32 => copy::<f32>(value)?,
        DType::Float64 => copy::<f64>(value)?,
        DType::String | DType::Bytes => {
            let (_, strings) = value.try_extract_strings()?;
            let mut elements =
                VariableData::with_capacity(strings.len(), strings.iter().map(String::len).sum());
            for string in &strings {
                elements.push(string.as_bytes());
            }
            return Ok(Elements::Variable(elements));
        }
    };
    Ok(Elements::Fixed(buffer))
}

fn copy<T: ArrowNativeType + PrimitiveTensorElementType>(value: &DynValue) -> ort::Result<Buffer> {
    Ok(Buffer::from_slice_ref(value.try_extract_tensor::<T>()?.1))
}
