//! Input files as chunks of rows: tensors for the model, and columns to be carried along.
//!
//! A row that does not fit the model is not an error of the file: it stays in its chunk with a
//! sentence that says where it stands and what is wrong.

mod arrays;
mod arrow_file;
mod carried;
mod cells;
mod csv;
mod elements;
mod fit;
mod format;
mod images;
mod inputs;
mod instances;
mod json_lines;
mod json_object;
mod lines;
mod mapping;
mod npy;
mod pixels;
mod raster;
mod sample;

use std::path::Path;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::datatypes::SchemaRef;
use millrace_wire::Signature;

use crate::progress::Total;

pub(crate) use elements::arrow_type;
pub(crate) use format::Format;
pub(crate) use images::list as list_images;
pub(crate) use inputs::Inputs;
pub(crate) use json_object::members;
pub(crate) use mapping::Mapping;
pub(crate) use pixels::PixelArgs;

/// The column that holds a line of JSON as it was read.
pub(crate) const LINE_COLUMN: &str = "line";
/// Marks columns whose text is JSON.
pub(crate) const JSON_EXTENSION: &str = "arrow.json";

/// How input files are read, as flags.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct RowsArgs {
    /// What the input is, where its name does not say it
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(crate) input_format: Option<Format>,
    /// Columns that feed an input of another name; several are its elements
    #[arg(long, value_name = "INPUT=COLUMN,…")]
    pub(crate) map: Vec<Mapping>,
    #[command(flatten)]
    pub(crate) pixels: PixelArgs,
}

/// What is read of a file.
pub(crate) struct Reading<'a> {
    pub(crate) signature: &'a Signature,
    pub(crate) args: &'a RowsArgs,
    pub(crate) carry: Carry,
    /// Rows of a chunk, at least 1.
    pub(crate) chunk_rows: usize,
    /// Rows at the beginning that are not wanted: a multiple of what earlier chunks had.
    pub(crate) first_row: u64,
}

/// Which columns are carried along, and how those of text files are typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Carry {
    /// Those named, or all; text files' columns get the type that their first rows have.
    Typed(Columns),
    /// The same, but what text files hold stays text.
    Text(Columns),
    /// A line of JSON as it is.
    Lines,
}

/// Which columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Columns {
    All,
    /// May be none.
    Named(Vec<String>),
}

/// Consecutive rows of an input.
pub(crate) struct Chunk {
    /// The number of its first row in the input, from 0.
    pub(crate) first_row: u64,
    /// One row per row of the input: what is carried along.
    pub(crate) carried: RecordBatch,
    /// The inputs of the rows that fit, in their order.
    pub(crate) inputs: Inputs,
    /// The other rows, by their number in this chunk, each with a sentence; ascending.
    pub(crate) failed: Vec<(usize, String)>,
    /// Bytes of the input up to the end of this chunk, where rows are not counted.
    pub(crate) bytes: u64,
}

impl Chunk {
    /// The numbers of the rows that fit.
    pub(crate) fn fitting(&self) -> Vec<usize> {
        let mut failed = self.failed.iter().map(|(row, _)| *row).peekable();
        let rows = 0..self.carried.num_rows();
        rows.filter(|row| failed.next_if_eq(row).is_none())
            .collect()
    }
}

/// Bytes of the values of a batch; slices of a large one count as what they are.
pub(crate) fn size_bytes(batch: &RecordBatch) -> usize {
    let size = |column: &ArrayRef| {
        let size = column.to_data().get_slice_memory_size();
        size.unwrap_or_else(|_| column.get_array_memory_size())
    };
    batch.columns().iter().map(size).sum()
}

/// A file that is read chunk by chunk.
pub(crate) trait Source: Send {
    /// The schema of all that is carried along.
    fn carried(&self) -> SchemaRef;

    /// The names of all that is carried along; a line of JSON has those of its members.
    fn names(&self) -> Vec<String> {
        let schema = self.carried();
        schema
            .fields()
            .iter()
            .map(|field| field.name().clone())
            .collect()
    }

    /// All there is, including what is left out at the beginning.
    fn total(&self) -> Total;

    /// The next chunk, which has at least one row.
    ///
    /// # Errors
    /// The file cannot be read on; where that is a place in it, the sentence names it.
    fn next(&mut self) -> anyhow::Result<Option<Chunk>>;
}

impl Columns {
    /// Whether a column is one of them.
    fn has(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Named(names) => names.iter().any(|known| known == name),
        }
    }

    /// Names that are no columns of the file are a mistake.
    fn check(&self, present: &[String]) -> anyhow::Result<()> {
        let Self::Named(names) = self else {
            return Ok(());
        };
        for name in names {
            if !present.contains(name) {
                anyhow::bail!(
                    "there is no column {name}; there are {}",
                    present.join(", ")
                );
            }
        }
        Ok(())
    }
}

impl Carry {
    fn columns(&self) -> &Columns {
        match self {
            Self::Typed(columns) | Self::Text(columns) => columns,
            Self::Lines => &Columns::All,
        }
    }
}

/// Opens a file or a folder of images.
///
/// # Errors
/// It cannot be read, or its columns do not feed the model's inputs.
pub(crate) fn open(path: &Path, reading: Reading<'_>) -> anyhow::Result<Box<dyn Source>> {
    let format = match reading.args.input_format {
        Some(format) => format,
        None => Format::of(path)?,
    };
    Ok(match format {
        Format::Csv => Box::new(csv::Csv::open(path, &reading)?),
        Format::JsonLines => Box::new(json_lines::JsonLines::open(path, &reading)?),
        Format::Parquet => Box::new(arrow_file::parquet(path, &reading)?),
        Format::Arrow => Box::new(arrow_file::arrow(path, &reading)?),
        Format::Npy => Box::new(npy::Npy::open(path, &reading)?),
        Format::Images => Box::new(images::Images::open(path, &reading)?),
        Format::Json => anyhow::bail!(
            "{} is one JSON document, which only `millrace predict` takes; write one row a line (.jsonl)",
            path.display()
        ),
    })
}
