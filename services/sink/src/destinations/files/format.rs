//! Rows as the bytes of a whole file. They are made in memory, so that an error here is about the
//! rows, and an error of the place can be answered by writing the same bytes again.

use std::sync::Arc;

use ::parquet::arrow::ArrowWriter;
use ::parquet::basic::{Compression, ZstdLevel};
use ::parquet::errors::ParquetError;
use ::parquet::file::properties::WriterProperties;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::csv;
use arrow::datatypes::{DataType, Field, Schema, TimestampMillisecondType};
use arrow::error::ArrowError;
use arrow::ipc::writer::FileWriter;
use arrow::json::{LineDelimitedWriter, WriterBuilder};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::settings::{FileFormat, FilesSettings, ParquetSettings};
use crate::projection::json;

/// Why rows cannot be written in a format.
#[derive(Debug, thiserror::Error)]
pub(super) enum FormatError {
    #[error(transparent)]
    Arrow(#[from] ArrowError),
    #[error(transparent)]
    Parquet(#[from] ParquetError),
}

/// The bytes of a complete file.
pub(super) fn encode(rows: &RecordBatch, settings: &FilesSettings) -> Result<Vec<u8>, FormatError> {
    Ok(match settings.format {
        FileFormat::Parquet => parquet(rows, &settings.parquet)?,
        FileFormat::Arrow => arrow(rows)?,
        FileFormat::Jsonl => jsonl(rows)?,
        FileFormat::Csv => csv(rows)?,
    })
}

fn parquet(rows: &RecordBatch, settings: &ParquetSettings) -> Result<Vec<u8>, ParquetError> {
    let compression = match settings.compression_level {
        0 => Compression::UNCOMPRESSED,
        level => Compression::ZSTD(ZstdLevel::try_new(level)?),
    };
    let properties = WriterProperties::builder()
        .set_compression(compression)
        .set_max_row_group_row_count(Some(settings.row_group_rows))
        .set_max_row_group_bytes(Some(settings.row_group_bytes))
        .set_created_by(format!("millrace-sink {}", env!("CARGO_PKG_VERSION")))
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), Some(properties))?;
    writer.write(rows)?;
    writer.into_inner()
}

fn arrow(rows: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
    let mut writer = FileWriter::try_new(Vec::new(), &rows.schema())?;
    writer.write(rows)?;
    writer.finish()?;
    writer.into_inner()
}

/// Every row has every column; a key is text where it is text.
fn jsonl(rows: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
    let rows = for_text(rows)?;
    let builder = WriterBuilder::new()
        .with_explicit_nulls(true)
        .with_encoder_factory(json::factory());
    let mut writer: LineDelimitedWriter<Vec<u8>> = builder.build(Vec::new());
    writer.write(&rows)?;
    writer.finish()?;
    Ok(writer.into_inner())
}

/// Nested columns become JSON text, and binary ones text or base64.
fn csv(rows: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
    let mut writer = csv::WriterBuilder::new()
        .with_header(true)
        .build(Vec::new());
    writer.write(&flat(&for_text(rows)?)?)?;
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

fn flat(rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    replace(rows, |_, array| match array.data_type() {
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
