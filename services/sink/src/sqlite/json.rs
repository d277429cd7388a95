//! One row's outputs as a JSON object: tensors as nested arrays, binary as `{"b64": …}`.
//!
//! NaN and the infinities, which JSON lacks, are the strings "NaN", "Infinity" and "-Infinity",
//! as in the JSON mapping of protocol buffers, so that nothing is lost and the text stays valid.

use std::fmt::{Display, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use millrace_wire::{DType, Tensor};

use crate::outputs::Run;

/// The outputs of row `row` of the run.
pub(super) fn row_object(run: &Run, row: usize) -> String {
    let mut out = String::from("{");
    for tensor in run.tensors() {
        if out.len() > 1 {
            out.push(',');
        }
        text(tensor.name(), &mut out);
        out.push(':');
        let mut index = row * tensor.elements_per_row();
        value(tensor, tensor.row_shape(), &mut index, &mut out);
    }
    out.push('}');
    out
}

/// Writes the value of the given shape that begins at element `index`, and moves `index` past it.
fn value(tensor: &Tensor, shape: &[usize], index: &mut usize, out: &mut String) {
    let Some((&size, inner)) = shape.split_first() else {
        element(tensor, *index, out);
        *index += 1;
        return;
    };
    out.push('[');
    for position in 0..size {
        if position > 0 {
            out.push(',');
        }
        value(tensor, inner, index, out);
    }
    out.push(']');
}

fn element(tensor: &Tensor, index: usize, out: &mut String) {
    match tensor.dtype() {
        DType::Bool => match at::<u8>(tensor, index) {
            0 => out.push_str("false"),
            _ => out.push_str("true"),
        },
        DType::Int8 => number(at::<i8>(tensor, index), out),
        DType::Int16 => number(at::<i16>(tensor, index), out),
        DType::Int32 => number(at::<i32>(tensor, index), out),
        DType::Int64 => number(at::<i64>(tensor, index), out),
        DType::Uint8 => number(at::<u8>(tensor, index), out),
        DType::Uint16 => number(at::<u16>(tensor, index), out),
        DType::Uint32 => number(at::<u32>(tensor, index), out),
        DType::Uint64 => number(at::<u64>(tensor, index), out),
        DType::Float16 => float32(at::<half::f16>(tensor, index).to_f32(), out),
        DType::Bfloat16 => {
            float32(
                half::bf16::from_bits(at::<u16>(tensor, index)).to_f32(),
                out,
            );
        }
        DType::Float32 => float32(at::<f32>(tensor, index), out),
        DType::Float64 => float64(at::<f64>(tensor, index), out),
        DType::String | DType::Bytes => variable(tensor, index, out),
    }
}

fn at<T: arrow::datatypes::ArrowNativeType>(tensor: &Tensor, index: usize) -> T {
    tensor.typed::<T>().expect("the type was matched")[index]
}

fn variable(tensor: &Tensor, index: usize, out: &mut String) {
    let elements = tensor.elements().expect("the type was matched");
    let bytes = elements.get(index);
    if tensor.dtype() == DType::String {
        text(
            std::str::from_utf8(bytes).expect("string tensors hold UTF-8"),
            out,
        );
    } else {
        out.push_str("{\"b64\":\"");
        STANDARD.encode_string(bytes, out);
        out.push_str("\"}");
    }
}

fn number(value: impl Display, out: &mut String) {
    write!(out, "{value}").expect("writing to a String cannot fail");
}

fn float32(value: f32, out: &mut String) {
    if value.is_finite() {
        out.push_str(zmij::Buffer::new().format_finite(value));
    } else {
        not_finite(f64::from(value), out);
    }
}

fn float64(value: f64, out: &mut String) {
    if value.is_finite() {
        out.push_str(zmij::Buffer::new().format_finite(value));
    } else {
        not_finite(value, out);
    }
}

fn not_finite(value: f64, out: &mut String) {
    out.push_str(match value {
        value if value.is_nan() => "\"NaN\"",
        value if value > 0.0 => "\"Infinity\"",
        _ => "\"-Infinity\"",
    });
}

fn text(value: &str, out: &mut String) {
    out.push_str(&serde_json::to_string(value).expect("a string is always JSON"));
}

#[cfg(test)]
mod tests {
    use millrace_wire::VariableData;
    use serde_json::{Value, json};

    use super::*;

    fn parsed(tensors: Vec<Tensor>, row: usize) -> Value {
        serde_json::from_str(&row_object(&Run::new(tensors).unwrap(), row)).unwrap()
    }

    fn fixed(dtype: DType, shape: &[usize], bytes: Vec<u8>) -> Tensor {
        Tensor::fixed("y", dtype, shape.to_vec(), bytes.into()).unwrap()
    }

    #[test]
    fn tensors_become_nested_arrays_row_by_row() {
        let values: Vec<u8> = (0..12i32).flat_map(i32::to_le_bytes).collect();
        let tensor = fixed(DType::Int32, &[2, 3, 2], values);
        assert_eq!(
            parsed(vec![tensor], 1),
            json!({"y": [[6, 7], [8, 9], [10, 11]]})
        );
    }

    #[test]
    fn every_type_has_a_form() {
        let cases = [
            (DType::Bool, vec![1], json!(true)),
            (DType::Int8, vec![0xFF], json!(-1)),
            (DType::Uint8, vec![0xFF], json!(255)),
            (
                DType::Int64,
                i64::MIN.to_le_bytes().to_vec(),
                json!(i64::MIN),
            ),
            (
                DType::Uint64,
                u64::MAX.to_le_bytes().to_vec(),
                json!(u64::MAX),
            ),
            (DType::Float16, 0x3E00u16.to_le_bytes().to_vec(), json!(1.5)),
            (
                DType::Bfloat16,
                0x3FC0u16.to_le_bytes().to_vec(),
                json!(1.5),
            ),
            (
                DType::Float64,
                1e-310f64.to_le_bytes().to_vec(),
                json!(1e-310),
            ),
        ];
        for (dtype, bytes, expected) in cases {
            assert_eq!(
                parsed(vec![fixed(dtype, &[1], bytes)], 0),
                json!({"y": expected}),
                "{dtype}"
            );
        }
    }

    #[test]
    fn single_floats_keep_their_shortest_form() {
        let tensor = fixed(DType::Float32, &[1], 0.1f32.to_le_bytes().to_vec());
        assert_eq!(
            row_object(&Run::new(vec![tensor]).unwrap(), 0),
            r#"{"y":0.1}"#
        );
    }

    #[test]
    fn values_that_json_lacks_are_strings() {
        let bytes = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY]
            .map(f32::to_le_bytes)
            .concat();
        let tensor = fixed(DType::Float32, &[1, 3], bytes);
        assert_eq!(
            parsed(vec![tensor], 0),
            json!({"y": ["NaN", "Infinity", "-Infinity"]})
        );
    }

    #[test]
    fn text_is_escaped_and_binary_is_base64() {
        let nasty = "a\"b\\\n\u{0}\u{2028}";
        let text =
            Tensor::variable("t\"", DType::String, vec![1], [nasty].iter().collect()).unwrap();
        let bytes: VariableData = [[0u8, 255]].iter().collect();
        let bytes = Tensor::variable("b", DType::Bytes, vec![1], bytes).unwrap();
        let expected = json!({"t\"": nasty, "b": {"b64": "AP8="}});
        assert_eq!(parsed(vec![text, bytes], 0), expected);
    }

    #[test]
    fn empty_dimensions_are_empty_arrays() {
        let tensor = fixed(DType::Float32, &[1, 2, 0], vec![]);
        assert_eq!(parsed(vec![tensor], 0), json!({"y": [[], []]}));
    }
}
