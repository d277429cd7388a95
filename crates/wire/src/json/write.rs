//! Results as TensorFlow Serving's `predictions` and `outputs`, without white space.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use half::{bf16, f16};

use crate::{DType, Limits, Record, Tensor, TensorBuilder, TensorError, VariableData};

use super::decimal::{push_f32, push_f64};
use super::request::Format;

/// Why a result cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// A column could not be read.
    #[error("result cannot be written as JSON")]
    Column(#[source] TensorError),
}

/// Appends `{"predictions":[…]}` for row format or `{"outputs":…}` for column format.
///
/// One output is a plain list, several are objects with the outputs' names as keys. Rows may differ in
/// shape. `Bytes`, and `String` outputs whose name ends in `_bytes`, are written as `{"b64":"…"}`.
pub fn write_predictions(
    format: Format,
    outputs: &Record,
    out: &mut Vec<u8>,
) -> Result<(), WriteError> {
    match format {
        Format::Row => {
            out.extend_from_slice(br#"{"predictions":["#);
            for run in outputs.uniform_runs() {
                let tensors = read_columns(outputs, 0..outputs.columns().len(), &run)?;
                for row in 0..run.len() {
                    separate(run.start + row, out);
                    push_row(&tensors, row, out);
                }
            }
            out.extend_from_slice(b"]}");
        }
        Format::Column => {
            out.extend_from_slice(br#"{"outputs":"#);
            push_columns(outputs, out)?;
            out.push(b'}');
        }
    }
    Ok(())
}

fn push_columns(outputs: &Record, out: &mut Vec<u8>) -> Result<(), WriteError> {
    let named = outputs.columns().len() > 1;
    if named {
        out.push(b'{');
    }
    for (index, column) in outputs.columns().iter().enumerate() {
        if named {
            separate(index, out);
            push_key(column.name(), out);
        }
        out.push(b'[');
        for run in outputs.uniform_runs() {
            for tensor in read_columns(outputs, index..index + 1, &run)? {
                for row in 0..run.len() {
                    separate(run.start + row, out);
                    push_value(&tensor, row, out);
                }
            }
        }
        out.push(b']');
    }
    if named {
        out.push(b'}');
    }
    Ok(())
}

/// Rows of one shape as one tensor per column.
fn read_columns(
    outputs: &Record,
    columns: std::ops::Range<usize>,
    rows: &std::ops::Range<usize>,
) -> Result<Vec<Tensor>, WriteError> {
    let mut tensors = Vec::with_capacity(columns.len());
    for index in columns {
        let Some(column) = outputs.columns().get(index) else {
            break;
        };
        let shape = outputs.row_shape(index, rows.start);
        let mut builder = TensorBuilder::new(column.name(), column.dtype(), &shape, rows.len())
            .map_err(WriteError::Column)?;
        outputs
            .copy_rows(index, rows.clone(), &mut builder)
            .map_err(WriteError::Column)?;
        tensors.push(builder.finish());
    }
    Ok(tensors)
}

fn push_row(tensors: &[Tensor], row: usize, out: &mut Vec<u8>) {
    if let [tensor] = tensors {
        return push_value(tensor, row, out);
    }
    out.push(b'{');
    for (index, tensor) in tensors.iter().enumerate() {
        separate(index, out);
        push_key(tensor.name(), out);
        push_value(tensor, row, out);
    }
    out.push(b'}');
}

/// Appends one row of a tensor: an element, or lists of the row's shape.
pub(crate) fn push_value(tensor: &Tensor, row: usize, out: &mut Vec<u8>) {
    let count = tensor.elements_per_row();
    let first = row * count;
    let shape = tensor.row_shape();
    match tensor.dtype() {
        DType::Bool => push_typed(tensor, first, out, |&value: &u8, out| {
            out.extend_from_slice(if value == 0 { b"false" } else { b"true" });
        }),
        DType::Int8 => push_typed(tensor, first, out, push_integer::<i8>),
        DType::Int16 => push_typed(tensor, first, out, push_integer::<i16>),
        DType::Int32 => push_typed(tensor, first, out, push_integer::<i32>),
        DType::Int64 => push_typed(tensor, first, out, push_integer::<i64>),
        DType::Uint8 => push_typed(tensor, first, out, push_integer::<u8>),
        DType::Uint16 => push_typed(tensor, first, out, push_integer::<u16>),
        DType::Uint32 => push_typed(tensor, first, out, push_integer::<u32>),
        DType::Uint64 => push_typed(tensor, first, out, push_integer::<u64>),
        DType::Float16 => push_typed(tensor, first, out, |value: &f16, out| {
            push_f32(value.to_f32(), out)
        }),
        DType::Bfloat16 => push_typed(tensor, first, out, |&bits: &u16, out| {
            push_f32(bf16::from_bits(bits).to_f32(), out);
        }),
        DType::Float32 => push_typed(tensor, first, out, |&value: &f32, out| push_f32(value, out)),
        DType::Float64 => push_typed(tensor, first, out, |&value: &f64, out| push_f64(value, out)),
        DType::String | DType::Bytes => {
            let as_base64 = tensor.dtype() == DType::Bytes || tensor.name().ends_with("_bytes");
            if let Some(elements) = tensor.elements() {
                push_lists(shape, out, |index, out| {
                    push_text(elements, first + index, as_base64, out)
                });
            }
        }
    }
}

fn push_typed<T: arrow::datatypes::ArrowNativeType>(
    tensor: &Tensor,
    first: usize,
    out: &mut Vec<u8>,
    push: impl Fn(&T, &mut Vec<u8>),
) {
    let values = tensor
        .typed::<T>()
        .and_then(|values| values.get(first..))
        .unwrap_or_default();
    push_lists(tensor.row_shape(), out, |index, out| {
        if let Some(value) = values.get(index) {
            push(value, out);
        }
    });
}

fn push_integer<T: itoa::Integer + Copy>(value: &T, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(*value).as_bytes());
}

fn push_text(elements: &VariableData, index: usize, as_base64: bool, out: &mut Vec<u8>) {
    let element = elements.get(index);
    if as_base64 {
        out.extend_from_slice(br#"{"b64":""#);
        push_base64(element, out);
        out.extend_from_slice(br#""}"#);
    } else {
        push_string(element, out);
    }
}

fn push_base64(bytes: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    let written = STANDARD.encode_slice(bytes, &mut out[start..]);
    out.truncate(start + written.expect("the place was made as long as the text"));
}

/// Appends lists inside lists of the given sizes, calling `element` for each element in order.
fn push_lists(shape: &[usize], out: &mut Vec<u8>, element: impl Fn(usize, &mut Vec<u8>)) {
    // What is inside an empty list has no size that could be seen.
    let visible = shape
        .iter()
        .position(|&size| size == 0)
        .map_or(shape.len(), |empty| empty + 1);
    let Some((&length, outer)) = shape.get(..visible).unwrap_or_default().split_last() else {
        return element(0, out);
    };
    // How many innermost lists there are in one list of each outer level.
    let mut lists = [1usize; Limits::MAX_RANK];
    let mut total = 1;
    for (level, &size) in outer.iter().enumerate().rev() {
        total *= size;
        lists[level] = total;
    }
    let lists = &lists[..outer.len()];
    for list in 0..total {
        let begun = lists.iter().filter(|&&inside| list % inside == 0).count();
        out.resize(out.len() + begun, b'[');
        out.push(b'[');
        for index in list * length..(list + 1) * length {
            element(index, out);
            out.push(b',');
        }
        if length > 0 {
            out.pop();
        }
        out.push(b']');
        let ended = lists
            .iter()
            .filter(|&&inside| (list + 1) % inside == 0)
            .count();
        out.resize(out.len() + ended, b']');
        if list + 1 < total {
            out.push(b',');
        }
    }
}

fn separate(index: usize, out: &mut Vec<u8>) {
    if index > 0 {
        out.push(b',');
    }
}

fn push_key(name: &str, out: &mut Vec<u8>) {
    push_string(name.as_bytes(), out);
    out.push(b':');
}

/// Appends UTF-8 text as a JSON string.
pub(crate) fn push_string(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    push_escaped(text, out);
    out.push(b'"');
}

/// Appends UTF-8 text with what JSON strings must escape escaped.
pub(super) fn push_escaped(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(place) = rest
        .iter()
        .position(|&byte| byte < 0x20 || byte == b'"' || byte == b'\\')
    {
        let (plain, special) = rest.split_at(place);
        out.extend_from_slice(plain);
        let (escaped, after) = special.split_at(1);
        push_escape(escaped.first().copied().unwrap_or_default(), out);
        rest = after;
    }
    out.extend_from_slice(rest);
}

fn push_escape(byte: u8, out: &mut Vec<u8>) {
    let short = match byte {
        b'"' => b'"',
        b'\\' => b'\\',
        0x08 => b'b',
        0x0c => b'f',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        _ => return out.extend_from_slice(format!("\\u{byte:04X}").as_bytes()),
    };
    out.extend_from_slice(&[b'\\', short]);
}
