//! Results as TensorFlow Serving's `predictions` and `outputs`, with its layout.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use half::{bf16, f16};

use crate::{DType, Record, Tensor, TensorError};

use super::decimal::{Floats, push_f32, push_f64};
use super::layout::{Layout, ListStyle, push_lists};
use super::limits::{JsonRules, Strictness};
use super::method::Method;
use super::request::Format;

/// Why a result cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// A column could not be read.
    #[error("result cannot be written as JSON")]
    Column(#[source] TensorError),
    /// The model does not have the outputs that the verb is about: 400.
    #[error("method {method} needs a model with {why}; this one is for :predict")]
    Unfit {
        /// What was asked for.
        method: Method,
        /// What the model would have to have.
        why: &'static str,
    },
}

/// How values are written.
#[derive(Debug, Clone, Copy)]
struct Style {
    layout: Layout,
    floats: Floats,
}

impl Style {
    fn inside(self, levels: usize) -> Self {
        Self {
            layout: self.layout.inside(levels),
            ..self
        }
    }
}

/// Appends `{"predictions": […]}` for row format or `{"outputs": …}` for column format, laid out as
/// TensorFlow Serving does.
///
/// One output is a plain list, several are objects with the outputs' names as keys. Rows may differ in
/// shape. `Bytes`, and `String` outputs whose name ends in `_bytes`, are written as `{"b64": "…"}`.
/// Strict rules write `null` for floats that are not finite.
///
/// # Errors
/// [`WriteError::Column`] if the record's columns cannot be read.
pub fn write_predictions(
    format: Format,
    outputs: &Record,
    rules: &JsonRules,
    out: &mut Vec<u8>,
) -> Result<(), WriteError> {
    let style = |depth, lists| Style {
        layout: Layout { depth, lists },
        floats: Floats::Serving(rules.strictness),
    };
    match format {
        Format::Row => {
            out.extend_from_slice(b"{\n    \"predictions\": [");
            push_rows(outputs, style(2, ListStyle::OneLine), out)?;
            out.extend_from_slice(b"\n    ]\n}");
        }
        Format::Column => {
            out.extend_from_slice(b"{\n    \"outputs\": ");
            push_columns(outputs, style(1, ListStyle::Lines), out)?;
            out.extend_from_slice(b"\n}");
        }
    }
    Ok(())
}

fn push_rows(outputs: &Record, style: Style, out: &mut Vec<u8>) -> Result<(), WriteError> {
    let named = outputs.columns().len() > 1;
    for run in outputs.uniform_runs() {
        let tensors = (0..outputs.columns().len())
            .map(|column| outputs.tensor_of_rows(column, run.clone()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(WriteError::Column)?;
        for row in 0..run.len() {
            if named {
                if run.start + row > 0 {
                    out.push(b',');
                }
                style.layout.new_line(out);
                push_object(&tensors, row, style, out);
                continue;
            }
            if run.start + row > 0 {
                style.layout.separate(out);
            }
            for tensor in &tensors {
                push_value(tensor, row, style, out);
            }
        }
    }
    Ok(())
}

fn push_columns(outputs: &Record, style: Style, out: &mut Vec<u8>) -> Result<(), WriteError> {
    let columns = outputs.columns();
    if columns.len() == 1 {
        return push_column(outputs, 0, style, out);
    }
    out.push(b'{');
    for (index, column) in columns.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        style.inside(1).layout.new_line(out);
        push_key(column.name(), out);
        push_column(outputs, index, style.inside(1), out)?;
    }
    style.layout.new_line(out);
    out.push(b'}');
    Ok(())
}

fn push_column(
    outputs: &Record,
    column: usize,
    style: Style,
    out: &mut Vec<u8>,
) -> Result<(), WriteError> {
    let inside = style.inside(1);
    out.push(b'[');
    for run in outputs.uniform_runs() {
        let tensor = outputs
            .tensor_of_rows(column, run.clone())
            .map_err(WriteError::Column)?;
        for row in 0..run.len() {
            match run.start + row {
                0 => inside.layout.break_line(out),
                _ => inside.layout.separate(out),
            }
            push_value(&tensor, row, inside, out);
        }
    }
    style.layout.break_line(out);
    out.push(b']');
    Ok(())
}

fn push_object(tensors: &[Tensor], row: usize, style: Style, out: &mut Vec<u8>) {
    let inside = style.inside(1);
    out.push(b'{');
    for (index, tensor) in tensors.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        inside.layout.new_line(out);
        push_key(tensor.name(), out);
        push_value(tensor, row, inside, out);
    }
    style.layout.new_line(out);
    out.push(b'}');
}

/// Appends the only row of a tensor for other protocols: without white space, floats with the fewest
/// digits that read back the same.
pub(crate) fn push_compact(tensor: &Tensor, strictness: Strictness, out: &mut Vec<u8>) {
    let style = Style {
        layout: Layout {
            depth: 0,
            lists: ListStyle::Compact,
        },
        floats: Floats::Shortest(strictness),
    };
    push_value(tensor, 0, style, out);
}

/// Appends one row of a tensor: an element, or lists of the row's shape.
fn push_value(tensor: &Tensor, row: usize, style: Style, out: &mut Vec<u8>) {
    let place = Place { tensor, row, style };
    let floats = style.floats;
    match tensor.dtype() {
        DType::Bool => place.push(out, |&value: &u8, out| {
            out.extend_from_slice(if value == 0 { b"false" } else { b"true" });
        }),
        DType::Int8 => place.push(out, push_integer::<i8>),
        DType::Int16 => place.push(out, push_integer::<i16>),
        DType::Int32 => place.push(out, push_integer::<i32>),
        DType::Int64 => place.push(out, push_integer::<i64>),
        DType::Uint8 => place.push(out, push_integer::<u8>),
        DType::Uint16 => place.push(out, push_integer::<u16>),
        DType::Uint32 => place.push(out, push_integer::<u32>),
        DType::Uint64 => place.push(out, push_integer::<u64>),
        DType::Float16 => place.push(out, |value: &f16, out| {
            push_f32(value.to_f32(), floats, out);
        }),
        DType::Bfloat16 => place.push(out, |&bits: &u16, out| {
            push_f32(bf16::from_bits(bits).to_f32(), floats, out);
        }),
        DType::Float32 => place.push(out, |&value: &f32, out| push_f32(value, floats, out)),
        DType::Float64 => place.push(out, |&value: &f64, out| push_f64(value, floats, out)),
        DType::String | DType::Bytes => place.push_texts(out),
    }
}

/// One row of a tensor.
#[derive(Clone, Copy)]
struct Place<'t> {
    tensor: &'t Tensor,
    row: usize,
    style: Style,
}

impl Place<'_> {
    fn push<T: arrow::datatypes::ArrowNativeType>(
        self,
        out: &mut Vec<u8>,
        push: impl Fn(&T, &mut Vec<u8>),
    ) {
        let values = self
            .tensor
            .typed::<T>()
            .and_then(|values| values.get(self.row * self.tensor.elements_per_row()..))
            .unwrap_or_default();
        let shape = self.tensor.row_shape();
        push_lists(shape, self.style.layout, out, |index, _, out| {
            if let Some(value) = values.get(index) {
                push(value, out);
            }
        });
    }

    fn push_texts(self, out: &mut Vec<u8>) {
        let tensor = self.tensor;
        let as_base64 = tensor.dtype() == DType::Bytes || tensor.name().ends_with("_bytes");
        let first = self.row * tensor.elements_per_row();
        let Some(elements) = tensor.elements() else {
            return;
        };
        push_lists(
            tensor.row_shape(),
            self.style.layout,
            out,
            |index, layout, out| {
                let element = elements.get(first + index);
                match as_base64 {
                    true => push_base64_object(element, layout, out),
                    false => push_string(element, out),
                }
            },
        );
    }
}

fn push_integer<T: itoa::Integer + Copy>(value: &T, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(*value).as_bytes());
}

fn push_base64_object(element: &[u8], layout: Layout, out: &mut Vec<u8>) {
    out.push(b'{');
    layout.inside(1).new_line(out);
    out.extend_from_slice(b"\"b64\": \"");
    push_base64(element, out);
    out.push(b'"');
    layout.new_line(out);
    out.push(b'}');
}

fn push_base64(bytes: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    let written = STANDARD.encode_slice(bytes, &mut out[start..]);
    out.truncate(start + written.expect("the place was made as long as the text"));
}

fn push_key(name: &str, out: &mut Vec<u8>) {
    push_string(name.as_bytes(), out);
    out.extend_from_slice(b": ");
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
