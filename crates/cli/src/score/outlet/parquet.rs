//! Parquet with row groups of moderate size.

use std::fs::File;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;

use super::Outlet;

const ROW_GROUP_ROWS: usize = 128 << 10;
const ROW_GROUP_BYTES: usize = 128 << 20;

pub(super) struct Parquet {
    writer: ArrowWriter<File>,
}

impl Parquet {
    pub(super) fn begin(file: File, schema: &SchemaRef) -> anyhow::Result<Self> {
        let mut properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
            // Numbers of a model seldom repeat: looking for repetitions costs a third of the time.
            .set_dictionary_enabled(false);
        for field in schema.fields() {
            if matches!(field.data_type(), DataType::Utf8 | DataType::LargeUtf8) {
                let column = ColumnPath::from(field.name().as_str());
                properties = properties.set_column_dictionary_enabled(column, true);
            }
        }
        let writer = ArrowWriter::try_new(file, schema.clone(), Some(properties.build()))?;
        Ok(Self { writer })
    }
}

impl Outlet for Parquet {
    fn write(&mut self, batch: &RecordBatch) -> anyhow::Result<()> {
        self.writer.write(batch)?;
        let rows = self.writer.in_progress_rows();
        if rows >= ROW_GROUP_ROWS || self.writer.in_progress_size() >= ROW_GROUP_BYTES {
            self.writer.flush()?;
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> anyhow::Result<File> {
        Ok(self.writer.into_inner()?)
    }
}
