//! `millrace score`: a whole file through a model, into another file, however often it is killed.
//!
//! What is answered is kept in finished parts in a folder beside the output. A run that finds parts
//! of the same job goes on behind them; the output is made of all parts at the end, so that its
//! bytes do not depend on where runs ended.

mod answers;
mod finish;
mod flow;
mod input;
mod job;
mod outlet;
mod parts;
mod reader;
mod run;
mod window;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::connection::ConnectionArgs;
use crate::lane::Lane;
use crate::output::Output;
use crate::rows::RowsArgs;
use crate::seconds::seconds;
use crate::served::ModelRef;

use outlet::OutputFormat;

#[derive(clap::Args, Clone)]
pub(crate) struct Args {
    /// Parquet, CSV, JSON Lines, Arrow, .npy, or a folder of images
    #[arg(value_name = "INPUT")]
    input: PathBuf,
    /// MODEL, MODEL@VERSION or MODEL:LABEL
    #[arg(long, value_name = "MODEL")]
    model: ModelRef,
    /// A new .parquet, .csv or .jsonl file
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    rows: RowsArgs,
    /// Columns of the input that the output has, too: all, none, or names
    #[arg(
        long,
        value_name = "COLUMN,…",
        value_delimiter = ',',
        default_value = "all"
    )]
    keep: Vec<String>,
    /// Put before the names of outputs, where the input has columns of these names
    #[arg(long, value_name = "TEXT", default_value = "")]
    output_prefix: String,
    /// The column that says why a row has no outputs
    #[arg(long, value_name = "COLUMN", default_value = "error")]
    error_column: String,
    /// Rows that travel together [default: 256, fewer if they are large]
    #[arg(long, value_name = "ROWS")]
    rows_per_record: Option<std::num::NonZeroUsize>,
    /// Which records go first; `bulk` leaves the way to callers who wait
    #[arg(long, value_enum, default_value_t)]
    lane: Lane,
    /// Bytes of rows on their way to the model
    #[arg(long, value_name = "MIB", default_value_t = 32)]
    in_flight_mib: usize,
    /// Keep what is answered at least so often
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    checkpoint: Duration,
    /// Stop when no answer came for so long; what is done is kept
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    timeout: Duration,
    /// Replace the output if it is there
    #[arg(long)]
    overwrite: bool,
    /// Throw away what an earlier run kept
    #[arg(long)]
    restart: bool,
}

/// Scores all rows, or those that earlier runs have left.
///
/// # Errors
/// Nothing could be done, or not all: then the same command goes on. `Exit::Partly` when everything
/// is done and some rows have an error instead of outputs.
pub(crate) fn run(args: &Args, connection: &ConnectionArgs, output: Output) -> anyhow::Result<()> {
    let format = OutputFormat::of(&args.out)?;
    let input = args.input.display();
    args.input
        .metadata()
        .with_context(|| format!("cannot read {input}"))?;
    let folder = args
        .out
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        bail!("there is no folder {}", folder.display());
    }
    run::run(args, connection, (format, output))
}
