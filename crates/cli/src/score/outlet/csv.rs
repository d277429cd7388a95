//! CSV: a line of names, then a line per row; lists are JSON text.

use std::fs::File;
use std::io::BufWriter;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::datatypes::{FieldRef, SchemaRef};
use arrow::json::writer::{EncoderOptions, make_encoder};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use csv::Writer;

use super::Outlet;

pub(super) struct Csv {
    writer: Writer<BufWriter<File>>,
}

impl Csv {
    pub(super) fn begin(file: File, schema: &SchemaRef) -> anyhow::Result<Self> {
        let mut writer = Writer::from_writer(BufWriter::with_capacity(1 << 20, file));
        writer.write_record(schema.fields().iter().map(|field| field.name()))?;
        Ok(Self { writer })
    }
}

impl Outlet for Csv {
    fn write(&mut self, batch: &RecordBatch) -> anyhow::Result<()> {
        let mut columns = Vec::with_capacity(batch.num_columns());
        for (field, array) in batch.schema_ref().fields().iter().zip(batch.columns()) {
            columns.push(texts(field, array)?);
        }
        for row in 0..batch.num_rows() {
            let cells = columns.iter().map(|column| column[row].as_bytes());
            self.writer.write_record(cells)?;
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> anyhow::Result<File> {
        let buffered = self
            .writer
            .into_inner()
            .map_err(|error| error.into_error())?;
        Ok(buffered.into_inner()?)
    }
}

/// The cells of a column; what is null is empty.
fn texts(field: &FieldRef, array: &ArrayRef) -> anyhow::Result<Vec<String>> {
    let mut texts = Vec::with_capacity(array.len());
    if array.data_type().is_nested() {
        let options = EncoderOptions::default();
        let mut encoder = make_encoder(field, array, &options)?;
        for row in 0..array.len() {
            let mut text = Vec::new();
            if !array.is_null(row) {
                encoder.encode(row, &mut text);
            }
            texts.push(String::from_utf8(text)?);
        }
        return Ok(texts);
    }
    let formatter = ArrayFormatter::try_new(array, &FormatOptions::default())?;
    for row in 0..array.len() {
        texts.push(match array.is_null(row) {
            true => String::new(),
            false => formatter.value(row).try_to_string()?,
        });
    }
    Ok(texts)
}
