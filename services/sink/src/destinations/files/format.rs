//! Rows as the bytes of a whole file. They are made in memory, so that an error here is about the
//! rows, and an error of the place can be answered by writing the same bytes again.

use ::parquet::arrow::ArrowWriter;
use ::parquet::basic::{Compression, Encoding, ZstdLevel};
use ::parquet::errors::ParquetError;
use ::parquet::file::properties::WriterProperties;
use ::parquet::schema::types::ColumnPath;
use arrow::array::RecordBatch;
use arrow::csv;
use arrow::datatypes::{DataType, Field};
use arrow::error::ArrowError;
use arrow::ipc::writer::FileWriter;

use super::settings::{FileFormat, FilesSettings, ParquetSettings};
use crate::projection::text;

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
        FileFormat::Jsonl => text::json_lines(rows)?,
        FileFormat::Csv => csv(rows)?,
    })
}

fn parquet(rows: &RecordBatch, settings: &ParquetSettings) -> Result<Vec<u8>, ParquetError> {
    let compression = match settings.compression_level {
        0 => Compression::UNCOMPRESSED,
        level => Compression::ZSTD(ZstdLevel::try_new(level)?),
    };
    let mut properties = WriterProperties::builder()
        .set_compression(compression)
        .set_max_row_group_row_count(Some(settings.row_group_rows))
        .set_max_row_group_bytes(Some(settings.row_group_bytes))
        .set_created_by(format!("millrace-sink {}", env!("CARGO_PKG_VERSION")));
    for field in rows.schema().fields() {
        if rarely_repeats(field) {
            properties = properties.set_column_dictionary_enabled(leaf_path(field), false);
        }
    }
    for name in ["offset", "recorded_at"] {
        properties =
            properties.set_column_encoding(ColumnPath::from(name), Encoding::DELTA_BINARY_PACKED);
    }
    let properties = Some(properties.build());
    let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), properties)?;
    writer.write(rows)?;
    writer.into_inner()
}

/// A dictionary of values that hardly ever repeat costs time and saves nothing.
fn rarely_repeats(field: &Field) -> bool {
    let unique = ["offset", "recorded_at", "id", "request"];
    unique.contains(&field.name().as_str()) || is_float(field.data_type())
}

fn is_float(data_type: &DataType) -> bool {
    match data_type {
        DataType::List(inner) => is_float(inner.data_type()),
        other => other.is_floating(),
    }
}

/// Where Parquet keeps the values of a column: lists are groups within groups.
fn leaf_path(field: &Field) -> ColumnPath {
    let mut parts = vec![field.name().clone()];
    let mut data_type = field.data_type();
    while let DataType::List(inner) = data_type {
        parts.extend(["list".to_owned(), inner.name().clone()]);
        data_type = inner.data_type();
    }
    ColumnPath::new(parts)
}

fn arrow(rows: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
    let mut writer = FileWriter::try_new(Vec::new(), &rows.schema())?;
    writer.write(rows)?;
    writer.finish()?;
    writer.into_inner()
}

/// Nested columns become JSON text, and binary ones text or base64.
fn csv(rows: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
    let mut writer = csv::WriterBuilder::new()
        .with_header(true)
        .build(Vec::new());
    writer.write(&text::flat(rows)?)?;
    Ok(writer.into_inner())
}
