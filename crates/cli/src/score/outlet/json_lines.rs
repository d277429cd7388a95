//! JSON Lines: an object per row. A line of JSON from the input keeps its text, with the outputs behind it.

use std::fs::File;
use std::io::{BufWriter, Write};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::FieldRef;
use arrow::json::writer::{EncoderOptions, NullableEncoder, make_encoder};
use serde::de::IgnoredAny;

use super::Outlet;
use crate::rows::{JSON_EXTENSION, LINE_COLUMN};

pub(super) struct JsonLines {
    writer: BufWriter<File>,
}

impl JsonLines {
    pub(super) fn begin(file: File) -> Self {
        Self {
            writer: BufWriter::with_capacity(1 << 20, file),
        }
    }
}

impl Outlet for JsonLines {
    fn write(&mut self, batch: &RecordBatch) -> anyhow::Result<()> {
        let options = EncoderOptions::default();
        let mut columns = Vec::with_capacity(batch.num_columns());
        for (field, array) in batch.schema_ref().fields().iter().zip(batch.columns()) {
            columns.push(Column::new(field, array, &options)?);
        }
        let mut text = Vec::new();
        for row in 0..batch.num_rows() {
            text.clear();
            for column in &mut columns {
                column.push(row, &mut text);
            }
            if text.is_empty() {
                text.push(b'{');
            }
            text.extend_from_slice(b"}\n");
            self.writer.write_all(&text)?;
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> anyhow::Result<File> {
        Ok(self.writer.into_inner()?)
    }
}

/// A column and how its values are written.
struct Column<'a> {
    /// `"name":`
    key: Vec<u8>,
    values: Values<'a>,
}

enum Values<'a> {
    /// Whole objects, to which the others are appended.
    Lines(&'a ArrayRef),
    /// Text that is JSON already.
    Json(&'a ArrayRef),
    Typed(NullableEncoder<'a>),
}

impl<'a> Column<'a> {
    fn new(
        field: &'a FieldRef,
        array: &'a ArrayRef,
        options: &'a EncoderOptions,
    ) -> anyhow::Result<Self> {
        let extension = field.metadata().get("ARROW:extension:name");
        let is_json = extension.is_some_and(|name| name == JSON_EXTENSION);
        let mut key = serde_json::to_vec(field.name())?;
        key.push(b':');
        let values = match is_json {
            true if field.name() == LINE_COLUMN && !field.is_nullable() => Values::Lines(array),
            true => Values::Json(array),
            false => Values::Typed(make_encoder(field, array, options)?),
        };
        Ok(Self { key, values })
    }

    /// Appends a member to an object that is not closed yet; one without a value is left out.
    fn push(&mut self, row: usize, text: &mut Vec<u8>) {
        match &mut self.values {
            Values::Lines(array) => push_line(array.as_string::<i32>().value(row), text),
            Values::Json(array) => {
                let array = array.as_string::<i32>();
                if !array.is_null(row) {
                    push_key(&self.key, text);
                    text.extend_from_slice(array.value(row).as_bytes());
                }
            }
            Values::Typed(encoder) => {
                if !encoder.is_null(row) {
                    push_key(&self.key, text);
                    encoder.encode(row, text);
                }
            }
        }
    }
}

fn push_key(key: &[u8], text: &mut Vec<u8>) {
    match text.last() {
        None => text.push(b'{'),
        Some(b'{') => {}
        Some(_) => text.push(b','),
    }
    text.extend_from_slice(key);
}

/// The line without its closing brace; what is no object becomes a member.
fn push_line(line: &str, text: &mut Vec<u8>) {
    // Values that the model did not get were not read; the output must be JSON all the same.
    let is_object = line.starts_with('{') && serde_json::from_str::<IgnoredAny>(line).is_ok();
    match line.trim_end().strip_suffix('}').filter(|_| is_object) {
        Some(open) => text.extend_from_slice(open.trim_end().as_bytes()),
        None => {
            text.extend_from_slice(b"{\"line\":");
            let quoted = serde_json::Value::from(line).to_string();
            text.extend_from_slice(quoted.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(line: &str) -> String {
        let mut text = Vec::new();
        push_line(line, &mut text);
        push_key(b"\"label\":", &mut text);
        text.extend_from_slice(b"3}");
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn outputs_are_appended_to_lines_which_keep_their_text() {
        assert_eq!(opened(r#"{"id": 1.50 }"#), r#"{"id": 1.50,"label":3}"#);
        assert_eq!(opened("{}"), r#"{"label":3}"#);
        assert_eq!(opened("{ }"), r#"{"label":3}"#);
        assert_eq!(opened("[1,2]"), r#"{"line":"[1,2]","label":3}"#);
        assert_eq!(opened(r#"{"a":"#), r#"{"line":"{\"a\":","label":3}"#);
    }
}
