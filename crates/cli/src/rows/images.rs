//! A folder of images: each file is a row, in the order of their names.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use anyhow::{Context, bail};
use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use millrace_wire::Tensor;

use super::format::is_image;
use super::inputs::Inputs;
use super::pixels::Pixels;
use super::{Chunk, Reading, Source};
use crate::progress::Total;

/// The column that names the file, below the folder.
pub(crate) const PATH_COLUMN: &str = "path";

/// Threads that decode: more would take the model's cores.
const MAX_THREADS: usize = 4;

/// A folder that is being read.
pub(super) struct Images {
    /// All files, by the names that are shown and carried along.
    files: Vec<(String, PathBuf)>,
    pixels: Pixels,
    carried: SchemaRef,
    chunk_rows: usize,
    next_row: usize,
}

impl Images {
    pub(super) fn open(path: &Path, reading: &Reading<'_>) -> anyhow::Result<Self> {
        let [spec] = reading.signature.inputs.as_slice() else {
            bail!(
                "the model has {} inputs, which a folder of images cannot feed; give JSON Lines or Parquet",
                reading.signature.inputs.len()
            );
        };
        let pixels = Pixels::new(&reading.args.pixels, spec).map_err(anyhow::Error::msg)?;
        let has_paths = reading.carry.columns().has(PATH_COLUMN);
        let fields = match has_paths {
            true => vec![Field::new(PATH_COLUMN, DataType::Utf8, false)],
            false => Vec::new(),
        };
        let files = list(path)?;
        if files.is_empty() {
            bail!(
                "there is no .png, .jpg or .jpeg file below {}",
                path.display()
            );
        }
        Ok(Self {
            files,
            pixels,
            carried: Arc::new(Schema::new(fields)),
            chunk_rows: reading.chunk_rows,
            next_row: usize::try_from(reading.first_row)?,
        })
    }
}

impl Source for Images {
    fn carried(&self) -> SchemaRef {
        Arc::clone(&self.carried)
    }

    fn total(&self) -> Total {
        Total::Rows(self.files.len() as u64)
    }

    fn next(&mut self) -> anyhow::Result<Option<Chunk>> {
        let first_row = self.next_row;
        let end = (first_row + self.chunk_rows).min(self.files.len());
        let files = self.files.get(first_row..end).unwrap_or_default();
        if files.is_empty() {
            return Ok(None);
        }
        self.next_row = end;
        let mut inputs = Inputs::default();
        let mut failed = Vec::new();
        for (row, tensor) in decoded(&self.pixels, files).into_iter().enumerate() {
            match tensor {
                Ok(tensor) => inputs.push(vec![tensor]),
                Err(sentence) => failed.push((row, format!("{}: {sentence}", files[row].0))),
            }
        }
        let names: StringArray = files.iter().map(|(name, _)| Some(name)).collect();
        let names: ArrayRef = Arc::new(names);
        let columns = self.carried.fields().iter().map(|_| Arc::clone(&names));
        let options = RecordBatchOptions::new().with_row_count(Some(files.len()));
        Ok(Some(Chunk {
            first_row: first_row as u64,
            carried: RecordBatch::try_new_with_options(
                self.carried(),
                columns.collect(),
                &options,
            )?,
            inputs,
            failed,
            bytes: 0,
        }))
    }
}

/// The images as tensors of one row, in their order.
fn decoded(pixels: &Pixels, files: &[(String, PathBuf)]) -> Vec<Result<Tensor, String>> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let share = files.len().div_ceil(cores.min(MAX_THREADS)).max(1);
    let decode = |(_, path): &(String, PathBuf)| {
        let file = fs::read(path).map_err(|error| format!("cannot be read: {error}"))?;
        pixels.tensor(&file)
    };
    thread::scope(|scope| {
        let threads: Vec<_> = files
            .chunks(share)
            .map(|files| scope.spawn(move || files.iter().map(decode).collect::<Vec<_>>()))
            .collect();
        let mut all = Vec::with_capacity(files.len());
        for (thread, files) in threads.into_iter().zip(files.chunks(share)) {
            // Decoders of other people's formats have been seen to panic.
            let panicked = |_| vec![Err("the image decoder panicked".to_owned()); files.len()];
            all.extend(thread.join().unwrap_or_else(panicked));
        }
        all
    })
}

/// All images below a folder, or the one file, by name.
pub(crate) fn list(path: &Path) -> anyhow::Result<Vec<(String, PathBuf)>> {
    if path.is_file() {
        let name = path.file_name().unwrap_or_default();
        return Ok(vec![(name.to_string_lossy().into_owned(), path.to_owned())]);
    }
    let mut files = Vec::new();
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        let shown = folder.display().to_string();
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {shown}"))? {
            let entry = entry.with_context(|| format!("cannot read {shown}"))?;
            let is_folder = entry.file_type()?.is_dir();
            let entry = entry.path();
            if is_folder {
                folders.push(entry);
            } else if is_image(&entry) {
                let name = entry.strip_prefix(path).unwrap_or(&entry);
                files.push((name.to_string_lossy().into_owned(), entry));
            }
        }
    }
    files.sort();
    Ok(files)
}
