//! The formats of outputs.

mod csv;
mod json_lines;
mod parquet;

use std::fs::File;
use std::path::Path;

use anyhow::bail;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

/// A format of output files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OutputFormat {
    Parquet,
    Csv,
    JsonLines,
}

/// An output in the making.
pub(super) trait Outlet {
    /// Appends rows.
    fn write(&mut self, batch: &RecordBatch) -> anyhow::Result<()>;

    /// Writes what is left, and gives the file back.
    fn finish(self: Box<Self>) -> anyhow::Result<File>;
}

impl OutputFormat {
    /// The format of a file, by its name.
    pub(super) fn of(path: &Path) -> anyhow::Result<Self> {
        let extension = path.extension().unwrap_or_default().to_string_lossy();
        match extension.to_ascii_lowercase().as_str() {
            "parquet" | "pq" => Ok(Self::Parquet),
            "csv" => Ok(Self::Csv),
            "jsonl" | "ndjson" => Ok(Self::JsonLines),
            _ => bail!(
                "--out {}: the name must end in .parquet, .csv or .jsonl",
                path.display()
            ),
        }
    }

    /// Begins a file.
    pub(super) fn open(self, path: &Path, schema: &SchemaRef) -> anyhow::Result<Box<dyn Outlet>> {
        let file = File::create(path)?;
        Ok(match self {
            Self::Parquet => Box::new(parquet::Parquet::begin(file, schema)?),
            Self::Csv => Box::new(csv::Csv::begin(file, schema)?),
            Self::JsonLines => Box::new(json_lines::JsonLines::begin(file)),
        })
    }
}
