//! `millrace produce`: the rows of files as records on a model's request topic.

mod cell;
mod sender;

use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use millrace_wire::Encoder;
use millrace_wire::headers::RequestHeaders;
use serde::Serialize;

use crate::connection::ConnectionArgs;
use crate::conversation::written;
use crate::exit::Exit;
use crate::lane::Lane;
use crate::output::Output;
use crate::progress::{Done, Progress, grouped};
use crate::rows::{self, Carry, Chunk, Columns, Reading, RowsArgs};
use crate::seconds::seconds;
use crate::served::{self, Choice, ModelRef, Served};

use cell::text_at;
use sender::{Counts, Outgoing, Sender};

/// How many sentences about rows are printed; the others are counted.
const MAX_SENTENCES: u64 = 10;

/// Rows that are read at once.
const CHUNK_ROWS: usize = 256;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// MODEL, MODEL@VERSION or MODEL:LABEL
    #[arg(value_name = "MODEL")]
    model: ModelRef,
    /// JSON Lines, CSV, Parquet, Arrow, .npy, images, or folders of images
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    rows: RowsArgs,
    /// Rows that travel together and are answered together
    #[arg(long, value_name = "ROWS", default_value = "1")]
    rows_per_record: std::num::NonZeroUsize,
    /// Column whose value becomes the record's id; it comes back on the result
    #[arg(long, value_name = "COLUMN", conflicts_with = "id_prefix")]
    id_column: Option<String>,
    /// Ids made of this and the number of the row, from 0
    #[arg(long, value_name = "TEXT")]
    id_prefix: Option<String>,
    /// Column whose value becomes the record's key: one key, one partition
    #[arg(long, value_name = "COLUMN")]
    key_column: Option<String>,
    /// Which records go first; `bulk` leaves the way to callers who wait
    #[arg(long, value_enum, default_value_t)]
    lane: Lane,
    /// How long the broker may take to acknowledge when nothing else is left
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    timeout: Duration,
    /// Bytes on their way to the broker
    #[arg(long, value_name = "MIB", default_value_t = 32)]
    in_flight_mib: usize,
}

/// What was done, for people and for programs.
#[derive(Serialize)]
struct Summary {
    topic: String,
    rows: u64,
    records: u64,
    acknowledged: u64,
    /// Rows that do not fit the model; they were not sent.
    failed_rows: u64,
}

/// What a run of several files adds up to.
#[derive(Default)]
struct Run {
    rows: u64,
    failed_rows: u64,
    records: u64,
}

/// Sends all rows and waits until the broker has acknowledged them.
///
/// # Errors
/// A file cannot be read, nobody serves the model, the broker does not take the records;
/// [`Exit::Partly`] when some rows did not fit.
pub(crate) fn run(args: &Args, connection: &ConnectionArgs, output: Output) -> anyhow::Result<()> {
    for file in &args.files {
        file.metadata()
            .with_context(|| format!("cannot read {}", file.display()))?;
    }
    let connection = connection.open()?;
    let served = served::find(&connection, &args.model)?;
    args.lane.check(&served, &connection)?;
    let topic = connection.topic(&args.lane.requests(&served.model));
    let sender = Sender::start(
        &connection,
        &topic,
        (args.in_flight_mib << 20, args.timeout),
    )?;
    let mut run = Run::default();
    let outcome = args.files.iter().try_for_each(|file| {
        one(file, args, &served, (&sender, &mut run)).with_context(|| format!("{}", file.display()))
    });
    // What was sent before a failure is worth counting, too.
    let counts = sender.finish(args.timeout);
    print(&summary(&topic, &run, &counts), output)?;
    outcome?;
    counts.check()?;
    match run.failed_rows {
        0 => Ok(()),
        failed => Err(Exit::Partly.error(format!(
            "{} rows did not fit model {} and were not sent",
            grouped(failed),
            served.model
        ))),
    }
}

/// Sends the rows of one file.
fn one(
    file: &Path,
    args: &Args,
    served: &Served,
    (sender, run): (&Sender, &mut Run),
) -> anyhow::Result<()> {
    let named = args.id_column.iter().chain(&args.key_column).cloned();
    let rows_per_record = args.rows_per_record.get();
    let reading = Reading {
        signature: &served.signature,
        args: &args.rows,
        carry: Carry::Text(Columns::Named(named.collect())),
        chunk_rows: rows_per_record.saturating_mul((CHUNK_ROWS / rows_per_record).max(1)),
        first_row: 0,
    };
    let mut source = rows::open(file, reading)?;
    let mut progress = Progress::start("sent", source.total(), Done::default());
    let mut encoder = Encoder::default();
    let mut done = Done::default();
    while let Some(chunk) = source.next()? {
        done.rows += chunk.carried.num_rows() as u64;
        done.bytes = chunk.bytes;
        run.report(&chunk);
        for record in records(&chunk, rows_per_record) {
            let headers = RequestHeaders {
                id: id(args, run.rows, (&chunk, record.first))?,
                version: (args.model.choice != Choice::Newest).then_some(served.version),
                ..RequestHeaders::default()
            };
            sender.send(Outgoing {
                key: key(args, &chunk, record.first)?,
                headers: written(&headers),
                payload: chunk.inputs.encode(record.fitting, &mut encoder)?,
            })?;
            run.records += 1;
        }
        run.rows += chunk.carried.num_rows() as u64;
        progress.show(done);
    }
    progress.finish();
    Ok(())
}

/// Rows of a chunk that travel together.
struct OneRecord {
    /// The first row that fits, by its number in the chunk.
    first: usize,
    /// Places among the rows that fit.
    fitting: Range<usize>,
}

/// The records of a chunk: rows that stand together in the file stay together.
fn records(chunk: &Chunk, rows_per_record: usize) -> Vec<OneRecord> {
    let fitting = chunk.fitting();
    let mut records = Vec::new();
    let mut begin = 0;
    while let Some(&first) = fitting.get(begin) {
        let next = (first / rows_per_record + 1) * rows_per_record;
        let end = fitting.partition_point(|row| *row < next);
        let fitting = begin..end;
        records.push(OneRecord { first, fitting });
        begin = end;
    }
    records
}

fn id(
    args: &Args,
    rows_before: u64,
    (chunk, row): (&Chunk, usize),
) -> anyhow::Result<Option<String>> {
    match (&args.id_column, &args.id_prefix) {
        (Some(column), _) => text_at(&chunk.carried, column, row).map(Some),
        (None, Some(prefix)) => Ok(Some(format!("{prefix}{}", rows_before + row as u64))),
        (None, None) => Ok(None),
    }
}

fn key(args: &Args, chunk: &Chunk, row: usize) -> anyhow::Result<Option<Vec<u8>>> {
    let Some(column) = &args.key_column else {
        return Ok(None);
    };
    Ok(Some(text_at(&chunk.carried, column, row)?.into_bytes()))
}

impl Run {
    /// Counts and tells the rows that do not fit.
    fn report(&mut self, chunk: &Chunk) {
        for (_, sentence) in &chunk.failed {
            self.failed_rows += 1;
            if self.failed_rows <= MAX_SENTENCES {
                // Whoever closed standard error does not want them.
                let _ = writeln!(io::stderr(), "not sent: {sentence}");
            }
        }
    }
}

fn summary(topic: &str, run: &Run, counts: &Counts) -> Summary {
    Summary {
        topic: topic.to_owned(),
        rows: run.rows,
        records: run.records,
        acknowledged: counts.acknowledged,
        failed_rows: run.failed_rows,
    }
}

fn print(summary: &Summary, output: Output) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match output {
        Output::Json => {
            serde_json::to_writer_pretty(&mut out, summary)?;
            writeln!(out)?;
        }
        Output::Text => writeln!(
            out,
            "{} rows in {} records to {}: {} acknowledged",
            grouped(summary.rows - summary.failed_rows),
            grouped(summary.records),
            summary.topic,
            grouped(summary.acknowledged),
        )?,
    }
    Ok(())
}
