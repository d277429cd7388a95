//! One Parquet file from one batch.

use std::sync::Arc;

use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use super::columns;
use crate::batch::Batch;
use crate::outputs::OutputColumns;
use crate::row::ResultRecord;

/// Rows are turned into arrays in portions of about this size, so that a batch is not in memory
/// three times, and no column outgrows Arrow's 32-bit offsets.
const PORTION_BYTES: usize = 16 << 20;

/// Row groups end at about this size.
const ROW_GROUP_BYTES: usize = 64 << 20;

/// The bytes of a complete file. They are made in memory, so that an error here is about the
/// rows, and an error of the disk can be answered by writing the same bytes again.
pub(super) fn encode(batch: &Batch) -> Result<Vec<u8>, ParquetError> {
    let no_outputs: OutputColumns = Arc::new([]);
    let outputs = batch.columns().unwrap_or(&no_outputs);
    let schema = columns::schema(outputs);
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
        .set_created_by(format!("millrace-sink {}", env!("CARGO_PKG_VERSION")))
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), Arc::clone(&schema), Some(properties))?;
    for portion in portions(batch.records()) {
        writer.write(&columns::record_batch(&schema, outputs, portion)?)?;
        if writer.in_progress_size() >= ROW_GROUP_BYTES {
            writer.flush()?;
        }
    }
    writer.into_inner()
}

fn portions(records: &[ResultRecord]) -> Vec<&[ResultRecord]> {
    let mut portions = Vec::new();
    let mut start = 0;
    let mut size_bytes = 0;
    for (index, record) in records.iter().enumerate() {
        if size_bytes >= PORTION_BYTES {
            portions.push(&records[start..index]);
            (start, size_bytes) = (index, 0);
        }
        size_bytes += record.weight_bytes();
    }
    if start < records.len() {
        portions.push(&records[start..]);
    }
    portions
}
