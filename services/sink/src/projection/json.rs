//! Arrow values as JSON: tensors as nested arrays, binary as `{"b64": …}`.
//!
//! NaN and the infinities, which JSON lacks, are the strings "NaN", "Infinity" and "-Infinity",
//! as in the JSON mapping of protocol buffers, so that nothing is lost and the text stays valid.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, Float32Array, Float64Array, RecordBatch, StringArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, FieldRef, Float32Type, Float64Type};
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

/// The columns of the rows, with JSON texts in place of lists.
pub(crate) fn lists_as_texts(rows: &RecordBatch) -> Result<Vec<ArrayRef>, ArrowError> {
    let column = |array: &ArrayRef| match array.data_type() {
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) => {
            texts(array).map(|texts| Arc::new(texts) as ArrayRef)
        }
        _ => Ok(Arc::clone(array)),
    };
    rows.columns().iter().map(column).collect()
}

/// The JSON of each value; null stays null.
pub(crate) fn texts(array: &ArrayRef) -> Result<StringArray, ArrowError> {
    let field: FieldRef = Arc::new(Field::new("", array.data_type().clone(), true));
    let options = options();
    let mut write: Write<'_> = match Floats::of(array) {
        Some(floats) => Box::new(move |row, out| floats.write(row, out)),
        None => {
            let mut encoder = make_encoder(&field, array, &options)?;
            Box::new(move |row, out| encoder.encode(row, out))
        }
    };
    let mut texts = Vec::new();
    let mut ends = Vec::with_capacity(array.len());
    for row in 0..array.len() {
        if !array.is_null(row) {
            write(row, &mut texts);
        }
        ends.push(texts.len());
    }
    let too_much = |_| ArrowError::OffsetOverflowError(texts.len());
    let ends = ends.into_iter().map(i32::try_from);
    let offsets = std::iter::once(Ok(0))
        .chain(ends)
        .collect::<Result<Vec<i32>, _>>();
    let offsets = OffsetBuffer::new(offsets.map_err(too_much)?.into());
    StringArray::try_new(offsets, texts.into(), array.nulls().cloned())
}

/// Writes the JSON of a row.
type Write<'a> = Box<dyn FnMut(usize, &mut Vec<u8>) + 'a>;

/// Lists of floats, of any depth: by far the most that is written as JSON, and without a call
/// through a pointer for each of them.
enum Floats<'a> {
    Lists(&'a [i32], Box<Floats<'a>>),
    Singles(&'a [f32]),
    Doubles(&'a [f64]),
}

impl<'a> Floats<'a> {
    /// `None` where there are others than floats, or nulls within the lists.
    fn of(array: &'a dyn Array) -> Option<Self> {
        let list = array.as_list_opt::<i32>()?;
        let inner = list.values();
        if inner.null_count() > 0 {
            return None;
        }
        let inner = match inner.data_type() {
            DataType::Float32 => Self::Singles(inner.as_primitive::<Float32Type>().values()),
            DataType::Float64 => Self::Doubles(inner.as_primitive::<Float64Type>().values()),
            _ => Self::of(inner)?,
        };
        Some(Self::Lists(list.value_offsets(), Box::new(inner)))
    }

    fn write(&self, index: usize, out: &mut Vec<u8>) {
        match self {
            Self::Singles(values) => single(values[index], out),
            Self::Doubles(values) => double(values[index], out),
            Self::Lists(offsets, inner) => {
                let place = |index: usize| {
                    usize::try_from(offsets[index]).expect("offsets of lists are never negative")
                };
                out.push(b'[');
                for element in place(index)..place(index + 1) {
                    if element > place(index) {
                        out.push(b',');
                    }
                    inner.write(element, out);
                }
                out.push(b']');
            }
        }
    }
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
        double(self.0.value(index), out);
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

fn double(value: f64, out: &mut Vec<u8>) {
    if value.is_finite() {
        out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
    } else {
        out.extend_from_slice(not_finite(value));
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
    fn lists_of_lists_of_floats_are_written_as_the_general_way_writes_them() {
        let values: ArrayRef = Arc::new(Float32Array::from(vec![0.1, -0.0, 1e30, f32::NAN, 7.0]));
        let list = |inner: ArrayRef, lengths: &[usize], nulls| -> ArrayRef {
            let field = Arc::new(Field::new("element", inner.data_type().clone(), false));
            let offsets = OffsetBuffer::from_lengths(lengths.iter().copied());
            Arc::new(ListArray::new(field, offsets, inner, nulls))
        };
        let inner = list(values, &[2, 0, 3], None);
        let nulls = Some(vec![true, false, true, true].into());
        let outer = list(inner, &[2, 0, 0, 1], nulls);
        let texts = texts(&outer).unwrap();
        let texts: Vec<_> = texts.iter().collect();
        let expected = [
            Some("[[0.1,-0.0],[]]"),
            None,
            Some("[]"),
            Some("[[1e+30,\"NaN\",7.0]]"),
        ];
        assert_eq!(texts, expected);
        let later = super::texts(&outer.slice(3, 1)).unwrap();
        assert_eq!(later.value(0), expected[3].unwrap());
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
