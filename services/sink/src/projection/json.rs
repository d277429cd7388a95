//! Arrow values as JSON: tensors as nested arrays, binary as `{"b64": …}`.
//!
//! NaN and the infinities, which JSON lacks, are the strings "NaN", "Infinity" and "-Infinity",
//! as in the JSON mapping of protocol buffers, so that nothing is lost and the text stays valid.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, Float32Array, Float64Array, StringArray, StringBuilder,
};
use arrow::datatypes::{DataType, Field, FieldRef};
use arrow::error::ArrowError;
use arrow::json::writer::{Encoder, EncoderFactory, EncoderOptions, NullableEncoder, make_encoder};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// How all our JSON is written; null is written, not left out.
pub(crate) fn options() -> EncoderOptions {
    EncoderOptions::default()
        .with_explicit_nulls(true)
        .with_encoder_factory(factory())
}

/// What writes the values for which JSON has no form of its own.
pub(crate) fn factory() -> Arc<dyn EncoderFactory> {
    Arc::new(OurForms)
}

/// The JSON of each value; null stays null.
pub(crate) fn texts(array: &ArrayRef) -> Result<StringArray, ArrowError> {
    let field: FieldRef = Arc::new(Field::new("", array.data_type().clone(), true));
    let options = options();
    let mut encoder = make_encoder(&field, array, &options)?;
    let mut texts = StringBuilder::new();
    let mut text = Vec::new();
    for row in 0..array.len() {
        if array.is_null(row) {
            texts.append_null();
            continue;
        }
        text.clear();
        encoder.encode(row, &mut text);
        let text = std::str::from_utf8(&text);
        texts.append_value(text.map_err(|error| ArrowError::JsonError(error.to_string()))?);
    }
    Ok(texts.finish())
}

#[derive(Debug)]
struct OurForms;

impl EncoderFactory for OurForms {
    fn make_default_encoder<'a>(
        &self,
        _field: &'a FieldRef,
        array: &'a dyn Array,
        _options: &'a EncoderOptions,
    ) -> Result<Option<NullableEncoder<'a>>, ArrowError> {
        let encoder: Box<dyn Encoder + 'a> = match array.data_type() {
            DataType::Float32 => Box::new(Singles(array.as_primitive())),
            DataType::Float64 => Box::new(Doubles(array.as_primitive())),
            DataType::Binary => Box::new(Binaries(array.as_binary())),
            _ => return Ok(None),
        };
        Ok(Some(NullableEncoder::new(encoder, array.nulls().cloned())))
    }
}

struct Singles<'a>(&'a Float32Array);
struct Doubles<'a>(&'a Float64Array);
struct Binaries<'a>(&'a BinaryArray);

impl Encoder for Singles<'_> {
    fn encode(&mut self, index: usize, out: &mut Vec<u8>) {
        single(self.0.value(index), out);
    }
}

impl Encoder for Doubles<'_> {
    fn encode(&mut self, index: usize, out: &mut Vec<u8>) {
        let value = self.0.value(index);
        let text = match value.is_finite() {
            true => zmij::Buffer::new().format_finite(value).as_bytes().to_vec(),
            false => not_finite(value).to_vec(),
        };
        out.extend_from_slice(&text);
    }
}

impl Encoder for Binaries<'_> {
    fn encode(&mut self, index: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"b64\":\"");
        out.extend_from_slice(STANDARD.encode(self.0.value(index)).as_bytes());
        out.extend_from_slice(b"\"}");
    }
}

/// In the shortest form that reads back as the same single float.
fn single(value: f32, out: &mut Vec<u8>) {
    if value.is_finite() {
        out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
    } else {
        out.extend_from_slice(not_finite(f64::from(value)));
    }
}

fn not_finite(value: f64) -> &'static [u8] {
    match value {
        value if value.is_nan() => b"\"NaN\"",
        value if value > 0.0 => b"\"Infinity\"",
        _ => b"\"-Infinity\"",
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, ListArray, UInt64Array};
    use arrow::datatypes::Float32Type;
    use serde_json::{Value, json};

    use super::*;

    fn check(array: ArrayRef, expected: Value) {
        let texts = texts(&array).unwrap();
        let value: Value = serde_json::from_str(texts.value(0)).unwrap();
        assert_eq!(value, expected);
    }

    #[test]
    fn numbers_keep_their_values() {
        check(Arc::new(Int64Array::from(vec![i64::MIN])), json!(i64::MIN));
        check(Arc::new(UInt64Array::from(vec![u64::MAX])), json!(u64::MAX));
        check(Arc::new(Float64Array::from(vec![1e-310])), json!(1e-310));
        let texts = texts(&(Arc::new(Float32Array::from(vec![0.1])) as ArrayRef)).unwrap();
        assert_eq!(texts.value(0), "0.1", "the shortest form");
    }

    #[test]
    fn values_that_json_lacks_are_strings() {
        let values = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY].map(Some);
        let list = ListArray::from_iter_primitive::<Float32Type, _, _>([Some(values)]);
        check(Arc::new(list), json!(["NaN", "Infinity", "-Infinity"]));
        for (value, expected) in [(f64::NAN, "NaN"), (f64::NEG_INFINITY, "-Infinity")] {
            check(Arc::new(Float64Array::from(vec![value])), json!(expected));
        }
    }

    #[test]
    fn text_is_escaped_and_binary_is_base64() {
        let nasty = "a\"b\\\n\u{0}\u{2028}";
        check(Arc::new(StringArray::from(vec![nasty])), json!(nasty));
        let binary = BinaryArray::from(vec![&[0u8, 255][..]]);
        check(Arc::new(binary), json!({"b64": "AP8="}));
    }

    #[test]
    fn null_stays_null() {
        let values: ArrayRef = Arc::new(Int64Array::from(vec![None, Some(1)]));
        let texts = texts(&values).unwrap();
        assert!(texts.is_null(0) && texts.value(1) == "1");
    }
}
