//! Arrow arrays of single values as the elements of a tensor, converted where no value is lost.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, make_array};
use arrow::buffer::Buffer;
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Float32Type, UInt8Type};
use half::bf16;
use millrace_wire::{DType, Tensor, VariableData};

/// A tensor of this shape and type; the array holds its elements, without nulls.
///
/// # Errors
/// The array's type or a value does not fit, as a sentence.
pub(super) fn tensor(
    name: &str,
    dtype: DType,
    shape: Vec<usize>,
    array: &ArrayRef,
) -> Result<Tensor, String> {
    let array = plain(array)?;
    let made = match dtype {
        DType::String | DType::Bytes => {
            let data = variable(&array, dtype)?;
            Tensor::variable(name, dtype, shape, data)
        }
        _ => Tensor::fixed(name, dtype, shape, fixed(&array, dtype)?),
    };
    made.map_err(|error| error.to_string())
}

/// Without a dictionary around the values.
fn plain(array: &ArrayRef) -> Result<ArrayRef, String> {
    match array.data_type() {
        DataType::Dictionary(_, values) => converted(array, values),
        _ => Ok(Arc::clone(array)),
    }
}

fn variable(array: &ArrayRef, dtype: DType) -> Result<VariableData, String> {
    let text = matches!(
        array.data_type(),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
    );
    let bytes = matches!(
        array.data_type(),
        DataType::Binary
            | DataType::LargeBinary
            | DataType::BinaryView
            | DataType::FixedSizeBinary(_)
    );
    match dtype {
        DType::String if text => {
            let array = converted(array, &DataType::LargeUtf8)?;
            let strings = array.as_string::<i64>();
            Ok(strings.iter().map(Option::unwrap_or_default).collect())
        }
        DType::Bytes if text || bytes => {
            let array = converted(array, &DataType::LargeBinary)?;
            let values = array.as_binary::<i64>();
            Ok(values.iter().map(Option::unwrap_or_default).collect())
        }
        _ => Err(mismatch(array, dtype)),
    }
}

fn fixed(array: &ArrayRef, dtype: DType) -> Result<Buffer, String> {
    let given = array.data_type();
    let fits = match dtype {
        DType::Bool => *given == DataType::Boolean,
        DType::Float16 | DType::Bfloat16 | DType::Float32 | DType::Float64 => {
            given.is_floating() || given.is_integer()
        }
        _ => given.is_integer(),
    };
    if !fits {
        return Err(mismatch(array, dtype));
    }
    match dtype {
        DType::Bool => {
            let bits = array.as_boolean();
            let bytes: Vec<u8> = bits.values().iter().map(u8::from).collect();
            Ok(Buffer::from_vec(bytes))
        }
        DType::Bfloat16 => {
            let singles = converted(array, &DataType::Float32)?;
            let singles = singles.as_primitive::<Float32Type>().values();
            let bits: Vec<u16> = singles
                .iter()
                .map(|&value| bf16::from_f32(value).to_bits())
                .collect();
            Ok(Buffer::from_vec(bits))
        }
        _ => {
            let array = converted(array, &arrow_type(dtype))?;
            let size = dtype.element_size_bytes().unwrap_or(1);
            let data = array.to_data();
            let buffer = data.buffers().first().ok_or("an array without values")?;
            Ok(buffer.slice_with_length(data.offset() * size, array.len() * size))
        }
    }
}

fn converted(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, String> {
    if array.data_type() == to {
        return Ok(Arc::clone(array));
    }
    let options = CastOptions {
        // What does not fit is an error, not a null.
        safe: false,
        ..CastOptions::default()
    };
    cast_with_options(array, to, &options).map_err(|error| error.to_string())
}

/// The Arrow type whose values are a tensor's.
pub(crate) fn arrow_type(dtype: DType) -> DataType {
    match dtype {
        DType::Bool => DataType::Boolean,
        DType::Int8 => DataType::Int8,
        DType::Int16 => DataType::Int16,
        DType::Int32 => DataType::Int32,
        DType::Int64 => DataType::Int64,
        DType::Uint8 => DataType::UInt8,
        DType::Uint16 => DataType::UInt16,
        DType::Uint32 => DataType::UInt32,
        DType::Uint64 => DataType::UInt64,
        DType::Float16 => DataType::Float16,
        DType::Bfloat16 | DType::Float32 => DataType::Float32,
        DType::Float64 => DataType::Float64,
        DType::String => DataType::Utf8,
        DType::Bytes => DataType::Binary,
    }
}

fn mismatch(array: &ArrayRef, dtype: DType) -> String {
    format!("expected {dtype}, got {}", array.data_type())
}

/// An array of the type that a tensor's values have in Arrow, so that several can be put together.
///
/// # Errors
/// Its type or a value does not fit, as a sentence.
pub(super) fn same_type(array: &ArrayRef, dtype: DType) -> Result<ArrayRef, String> {
    let array = plain(array)?;
    let given = array.data_type();
    let loses = given.is_floating() && !arrow_type(dtype).is_floating();
    match loses || given.is_nested() {
        true => Err(mismatch(&array, dtype)),
        false => converted(&array, &arrow_type(dtype)),
    }
}

/// Bytes of little-endian elements of this Arrow type as an array.
///
/// # Errors
/// They are no whole number of elements.
pub(super) fn array_of(data_type: &DataType, bytes: Vec<u8>) -> Result<ArrayRef, String> {
    if *data_type == DataType::Boolean {
        let bits: arrow::array::BooleanArray = bytes.iter().map(|&byte| Some(byte != 0)).collect();
        return Ok(Arc::new(bits));
    }
    let size = data_type.primitive_width().ok_or("no number")?;
    let mut aligned = arrow::buffer::MutableBuffer::with_capacity(bytes.len());
    aligned.extend_from_slice(&bytes);
    let data = arrow::array::ArrayData::builder(data_type.clone())
        .len(bytes.len() / size)
        .add_buffer(aligned.into())
        .build()
        .map_err(|error| error.to_string())?;
    Ok(make_array(data))
}

/// Pixels as an array.
pub(super) fn bytes_array(bytes: Vec<u8>) -> ArrayRef {
    Arc::new(arrow::array::PrimitiveArray::<UInt8Type>::from(bytes))
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float64Array, Int64Array, StringArray, UInt8Array};

    use super::*;

    fn convert(array: ArrayRef, dtype: DType) -> Result<Tensor, String> {
        let shape = vec![array.len()];
        tensor("x", dtype, shape, &array)
    }

    #[test]
    fn numbers_are_converted_where_they_fit() {
        let bytes: ArrayRef = Arc::new(UInt8Array::from(vec![0, 255]));
        let pixels = convert(Arc::clone(&bytes), DType::Float32).unwrap();
        assert_eq!(pixels.typed::<f32>().unwrap(), [0.0, 255.0]);
        let wide: ArrayRef = Arc::new(Int64Array::from(vec![1, 300]));
        assert!(convert(Arc::clone(&wide), DType::Uint8).is_err());
        assert_eq!(convert(wide.slice(0, 1), DType::Uint8).unwrap().rows(), 1);
        let doubles: ArrayRef = Arc::new(Float64Array::from(vec![0.5]));
        assert_eq!(
            convert(Arc::clone(&doubles), DType::Float32)
                .unwrap()
                .rows(),
            1
        );
        let sentence = convert(doubles, DType::Int64).unwrap_err();
        assert_eq!(sentence, "expected INT64, got Float64");
    }

    #[test]
    fn slices_give_their_own_values() {
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3, 4]));
        let tensor = convert(numbers.slice(1, 2), DType::Int64).unwrap();
        assert_eq!(tensor.typed::<i64>().unwrap(), [2, 3]);
    }

    #[test]
    fn text_is_no_number_and_no_bytes_are_text() {
        let text: ArrayRef = Arc::new(StringArray::from(vec!["a", "bc"]));
        let tensor = convert(Arc::clone(&text), DType::String).unwrap();
        assert_eq!(tensor.elements().unwrap().get(1), b"bc");
        assert!(convert(Arc::clone(&text), DType::Bytes).is_ok());
        assert!(convert(text, DType::Float32).is_err());
    }
}
