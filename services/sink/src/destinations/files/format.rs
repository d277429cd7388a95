//! Rows as the bytes of a whole file. They are made in memory, so that an error here is about the
//! rows, and an error of the place can be answered by writing the same bytes again.

use ::parquet::arrow::ArrowWriter;
use ::parquet::basic::{Compression, ZstdLevel};
use ::parquet::errors::ParquetError;
use ::parquet::file::properties::WriterProperties;
use arrow::array::RecordBatch;
use arrow::csv;
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

/// Nested columns become JSON text, and binary ones text or base64.
fn csv(rows: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
    let mut writer = csv::WriterBuilder::new()
        .with_header(true)
        .build(Vec::new());
    writer.write(&text::flat(rows)?)?;
    Ok(writer.into_inner())
}
