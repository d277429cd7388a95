//! Rows for destinations that hold text: JSON lines, and columns of single values.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, TimestampMillisecondType};
use arrow::error::ArrowError;
use arrow::json::{LineDelimitedWriter, WriterBuilder};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::json;

/// One JSON object per row and line, each with every column; a key is text where it is text.
pub(crate) fn json_lines(rows: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
    let rows = for_text(rows)?;
    let builder = WriterBuilder::new()
        .with_explicit_nulls(true)
        .with_encoder_factory(json::factory());
    let mut writer: LineDelimitedWriter<Vec<u8>> = builder.build(Vec::new());
    writer.write(&rows)?;
    writer.finish()?;
    Ok(writer.into_inner())
}

/// Keys as text where they are text, and times in a zone that needs no table of zones.
fn for_text(rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    replace(rows, |name, array| match array.data_type() {
        DataType::Binary if name == "key" => {
            let keys = array.as_binary::<i32>().iter();
            let texts: StringArray = keys.map(|key| key.map(text_or_base64)).collect();
            Ok(Some(Arc::new(texts)))
        }
        DataType::Timestamp(_, Some(_)) => {
            let times = array.as_primitive::<TimestampMillisecondType>().clone();
            Ok(Some(Arc::new(times.with_timezone("+00:00"))))
        }
        _ => Ok(None),
    })
}

/// Rows of single values: nested columns are JSON text, binary ones text or base64.
pub(crate) fn flat(rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    replace(&for_text(rows)?, |_, array| match array.data_type() {
        DataType::List(_) | DataType::Binary => Ok(Some(Arc::new(json::texts(array)?))),
        _ => Ok(None),
    })
}

/// The rows with some columns replaced.
fn replace(
    rows: &RecordBatch,
    with: impl Fn(&str, &ArrayRef) -> Result<Option<ArrayRef>, ArrowError>,
) -> Result<RecordBatch, ArrowError> {
    let schema = rows.schema();
    let mut fields = Vec::with_capacity(rows.num_columns());
    let mut arrays = Vec::with_capacity(rows.num_columns());
    for (field, array) in schema.fields().iter().zip(rows.columns()) {
        match with(field.name(), array)? {
            Some(replaced) => {
                let data_type = replaced.data_type().clone();
                fields.push(Field::new(field.name(), data_type, field.is_nullable()));
                arrays.push(replaced);
            }
            None => {
                fields.push(field.as_ref().clone());
                arrays.push(Arc::clone(array));
            }
        }
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
}

/// A key is text almost always; another is `{"b64":"…"}`.
fn text_or_base64(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => format!("{{\"b64\":\"{}\"}}", STANDARD.encode(bytes)),
    }
}
