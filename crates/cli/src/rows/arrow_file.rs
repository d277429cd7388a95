//! Parquet files, and Arrow IPC streams and files: typed columns, batch by batch.

use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::reader::{FileReader, StreamReader};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::arrays;
use super::fit::fit;
use super::mapping::{Feed, FeedSource, resolve};
use super::{Chunk, Reading, Source};
use crate::progress::Total;

/// What an Arrow IPC file begins with; a stream does not.
const ARROW_FILE: &[u8] = b"ARROW1";

type Batches = Box<dyn Iterator<Item = Result<RecordBatch, ArrowError>> + Send>;

/// A file of batches.
pub(super) struct ArrowFile {
    batches: Batches,
    shown: String,
    feeds: Vec<Feed>,
    /// Places of the columns that are carried along.
    kept: Vec<usize>,
    carried: SchemaRef,
    /// What is left of the latest batch.
    pending: Option<RecordBatch>,
    chunk_rows: usize,
    next_row: u64,
    total: Total,
    /// Where rows are not counted: what has been read, which the reader's file tells.
    position: Option<File>,
}

/// Opens a Parquet file; columns that are neither inputs nor carried along are not read.
pub(super) fn parquet(path: &Path, reading: &Reading<'_>) -> anyhow::Result<ArrowFile> {
    let shown = path.display().to_string();
    let file = File::open(path).with_context(|| format!("cannot read {shown}"))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file)
        .with_context(|| format!("{shown} is no Parquet file, or is damaged"))?;
    let rows = u64::try_from(builder.metadata().file_metadata().num_rows()).unwrap_or(0);
    let wanted = Wanted::of(builder.schema(), reading)?;
    let mask = ProjectionMask::roots(builder.parquet_schema(), wanted.read.iter().copied());
    let batches = builder
        .with_projection(mask)
        .with_batch_size(reading.chunk_rows)
        .with_offset(usize::try_from(reading.first_row)?)
        .build()
        .with_context(|| format!("cannot read {shown}"))?;
    Ok(wanted.file(Box::new(batches), (shown, reading), Total::Rows(rows)))
}

/// Opens an Arrow IPC stream or file.
pub(super) fn arrow(path: &Path, reading: &Reading<'_>) -> anyhow::Result<ArrowFile> {
    let shown = path.display().to_string();
    let mut file = File::open(path).with_context(|| format!("cannot read {shown}"))?;
    let size_bytes = file.metadata()?.len();
    let position = file.try_clone()?;
    let mut magic = Vec::new();
    (&mut file)
        .take(ARROW_FILE.len() as u64)
        .read_to_end(&mut magic)?;
    file.rewind()?;
    let damaged = || format!("{shown} is no Arrow IPC stream or file, or is damaged");
    let buffered = BufReader::with_capacity(1 << 20, file);
    let is_file = magic == ARROW_FILE;
    let open = AssertUnwindSafe(|| -> Result<(SchemaRef, Batches), ArrowError> {
        if is_file {
            let reader = FileReader::try_new(buffered, None)?;
            return Ok((reader.schema(), Box::new(reader)));
        }
        let reader = StreamReader::try_new(buffered, None)?;
        Ok((reader.schema(), Box::new(reader)))
    });
    // Arrow's readers are written for files that arrow wrote: some damage makes them panic.
    let opened = catch_unwind(open).map_err(|_| anyhow::anyhow!(damaged()))?;
    let (schema, batches) = opened.with_context(damaged)?;
    let wanted = Wanted::of(&schema, reading)?;
    let read = wanted.read.clone();
    let projected = batches.map(move |batch| batch?.project(&read));
    let mut opened = wanted.file(
        Box::new(projected),
        (shown, reading),
        Total::Bytes(size_bytes),
    );
    opened.position = Some(position);
    opened.skip(reading.first_row)?;
    Ok(opened)
}

/// Which columns are read, and what for; places are those among the columns read.
struct Wanted {
    /// Places in the file, ascending.
    read: Vec<usize>,
    feeds: Vec<Feed>,
    kept: Vec<usize>,
    carried: SchemaRef,
}

impl Wanted {
    fn of(schema: &SchemaRef, reading: &Reading<'_>) -> anyhow::Result<Self> {
        let names: Vec<String> = schema
            .fields()
            .iter()
            .map(|field| field.name().clone())
            .collect();
        let columns = reading.carry.columns();
        columns.check(&names)?;
        let mut feeds = resolve(reading.signature, &reading.args.map, &names)?;
        let kept: Vec<usize> = (0..names.len())
            .filter(|&index| columns.has(&names[index]))
            .collect();
        let carried = Schema::new(Vec::from_iter(
            kept.iter()
                .map(|&index| Arc::clone(&schema.fields()[index])),
        ));
        let mut read = kept.clone();
        for feed in &feeds {
            read.extend_from_slice(feed.columns());
        }
        read.sort_unstable();
        read.dedup();
        let place = |column: usize| read.binary_search(&column).unwrap_or(column);
        for feed in &mut feeds {
            feed.source = match &feed.source {
                FeedSource::Column(column) => FeedSource::Column(place(*column)),
                FeedSource::Elements(columns) => {
                    FeedSource::Elements(columns.iter().map(|&column| place(column)).collect())
                }
            };
        }
        Ok(Self {
            kept: kept.into_iter().map(place).collect(),
            carried: Arc::new(carried),
            feeds,
            read,
        })
    }

    fn file(
        self,
        batches: Batches,
        (shown, reading): (String, &Reading<'_>),
        total: Total,
    ) -> ArrowFile {
        ArrowFile {
            batches,
            shown,
            feeds: self.feeds,
            kept: self.kept,
            carried: self.carried,
            pending: None,
            chunk_rows: reading.chunk_rows,
            next_row: reading.first_row,
            total,
            position: None,
        }
    }
}

impl ArrowFile {
    /// Passes rows over.
    fn skip(&mut self, rows: u64) -> anyhow::Result<()> {
        let mut left = rows;
        while left > 0 {
            let Some(batch) = self.batch(usize::try_from(left).unwrap_or(usize::MAX))? else {
                bail!("{} has fewer rows than before", self.shown);
            };
            left -= batch.num_rows() as u64;
        }
        Ok(())
    }

    /// At most so many rows of one batch of the file.
    fn batch(&mut self, most: usize) -> anyhow::Result<Option<RecordBatch>> {
        let batch = match self.pending.take() {
            Some(batch) => batch,
            None => match self.read()? {
                Some(batch) => batch,
                None => return Ok(None),
            },
        };
        if batch.num_rows() > most {
            self.pending = Some(batch.slice(most, batch.num_rows() - most));
            return Ok(Some(batch.slice(0, most)));
        }
        Ok(Some(batch))
    }

    fn read(&mut self) -> anyhow::Result<Option<RecordBatch>> {
        loop {
            let next = catch_unwind(AssertUnwindSafe(|| self.batches.next()));
            let place = || format!("{} is damaged after row {}", self.shown, self.next_row);
            match next.map_err(|_| anyhow::anyhow!(place()))? {
                None => return Ok(None),
                Some(batch) => {
                    let batch = batch.with_context(place)?;
                    if batch.num_rows() > 0 {
                        return Ok(Some(batch));
                    }
                }
            }
        }
    }

    /// How far the file is read; a reader's buffer is part of that.
    fn bytes(&mut self) -> u64 {
        let position = self.position.as_mut().map(Seek::stream_position);
        // It is only shown.
        position.and_then(Result::ok).unwrap_or(0)
    }
}

impl Source for ArrowFile {
    fn carried(&self) -> SchemaRef {
        Arc::clone(&self.carried)
    }

    fn total(&self) -> Total {
        self.total
    }

    fn next(&mut self) -> anyhow::Result<Option<Chunk>> {
        let Some(batch) = self.batch(self.chunk_rows)? else {
            return Ok(None);
        };
        let first_row = self.next_row;
        self.next_row += batch.num_rows() as u64;
        let mut fitted = fit(batch.num_rows(), |rows| {
            arrays::tensors(&self.feeds, &batch, rows)
        });
        for (row, sentence) in &mut fitted.failed {
            *sentence = format!("row {}, {sentence}", first_row + *row as u64 + 1);
        }
        let kept = self
            .kept
            .iter()
            .map(|&place| Arc::clone(batch.column(place)));
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let carried =
            RecordBatch::try_new_with_options(Arc::clone(&self.carried), kept.collect(), &options)?;
        Ok(Some(Chunk {
            first_row,
            carried,
            inputs: fitted.inputs,
            failed: fitted.failed,
            bytes: self.bytes(),
        }))
    }
}
