//! What a file is, by its name.

use std::path::Path;

use anyhow::{Context, bail};
use clap::ValueEnum;

/// A format of input files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// One document: TensorFlow Serving's body, or bare instances
    Json,
    /// One row a line
    #[value(name = "jsonl")]
    JsonLines,
    /// With a line of names; `.tsv` is separated by tabs
    Csv,
    Parquet,
    /// Arrow IPC, stream or file
    Arrow,
    /// One NumPy array; its first dimension is the rows
    Npy,
    /// A folder of PNG and JPEG files, or one of them
    Images,
}

impl Format {
    /// The format of a file or folder, by its name.
    ///
    /// # Errors
    /// It is not there, or its name says nothing.
    pub(crate) fn of(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        let metadata = path
            .metadata()
            .with_context(|| format!("cannot read {shown}"))?;
        if metadata.is_dir() {
            return Ok(Self::Images);
        }
        let extension = path.extension().unwrap_or_default().to_string_lossy();
        Ok(match extension.to_ascii_lowercase().as_str() {
            "json" => Self::Json,
            "jsonl" | "ndjson" => Self::JsonLines,
            "csv" | "tsv" => Self::Csv,
            "parquet" | "pq" => Self::Parquet,
            "arrow" | "arrows" | "ipc" | "feather" => Self::Arrow,
            "npy" => Self::Npy,
            "png" | "jpg" | "jpeg" => Self::Images,
            _ => bail!("the name {shown} does not say what it is; say it with --input-format"),
        })
    }
}

/// Whether a file is an image that can be decoded.
pub(super) fn is_image(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    matches!(
        extension.to_ascii_lowercase().as_str(),
        "png" | "jpg" | "jpeg"
    )
}
