//! The way of a job: what is left of it, through the model into parts, and the output at the end.

use std::io::{self, Write};
use std::time::Instant;

use anyhow::{Context, bail};
use serde::Serialize;

use super::Args;
use super::answers::{Columns as OutputColumns, Naming};
use super::finish::finish;
use super::flow::{Ended, Flow, Interrupted};
use super::job::Job;
use super::outlet::OutputFormat;
use super::parts::Parts;
use super::reader::Reader;
use super::window::{Bounds, Window};
use crate::connection::{Connection, ConnectionArgs};
use crate::conversation::{Asking, Opening};
use crate::exit::Exit;
use crate::output::Output;
use crate::progress::grouped;
use crate::rows::{self, Carry, Columns, Format, Reading, Source};
use crate::served::{self, Choice, ModelRef, Served};

/// Rows of a record where nothing else is said.
const DEFAULT_ROWS: usize = 256;
/// Bytes of inputs that a record should not be above.
const RECORD_BYTES: usize = 1 << 20;

/// What was done, for people and for programs.
#[derive(Serialize)]
struct Summary {
    output: String,
    model: String,
    version: i64,
    rows: u64,
    failed_rows: u64,
    /// Rows that earlier runs had done.
    earlier_rows: u64,
    seconds: f64,
}

pub(super) fn run(
    args: &Args,
    connection: &ConnectionArgs,
    (format, output): (OutputFormat, Output),
) -> anyhow::Result<()> {
    let begun = Instant::now();
    let is_new = !Parts::folder_of(&args.out).exists();
    if is_new && args.out.exists() && !args.overwrite {
        bail!(
            "{} is there already; replace it with --overwrite",
            args.out.display()
        );
    }
    let parts = Parts::open(&args.out)?;
    let earlier = match args.restart {
        true => None,
        false => parts.job()?,
    };
    let scored = score(args, connection, (&parts, earlier, format));
    let (job, earlier_rows) = match scored {
        Ok(scored) => scored,
        Err(error) => {
            if parts.rows().is_ok_and(|rows| rows == 0) {
                // It holds nothing but the job; the next run makes it again.
                let _ = std::fs::remove_dir_all(parts.folder());
            }
            return Err(error);
        }
    };
    let made = finish(&parts, format, &args.error_column)?;
    parts.publish(&args.out)?;
    let summary = Summary {
        output: args.out.display().to_string(),
        model: job.model,
        version: job.version,
        rows: made.rows,
        failed_rows: made.failed_rows,
        earlier_rows,
        seconds: begun.elapsed().as_secs_f64(),
    };
    print(&summary, output)?;
    match summary.failed_rows {
        0 => Ok(()),
        failed => Err(Exit::Partly.error(format!(
            "{} of {} rows failed; column {} of {} says why",
            grouped(failed),
            grouped(summary.rows),
            args.error_column,
            summary.output
        ))),
    }
}

/// The error of a run that had begun, with what to do about the rows that are done.
fn interrupted(error: anyhow::Error, parts: &Parts) -> anyhow::Error {
    match parts.rows() {
        Ok(rows @ 1..) => error.context(format!(
            "stopped with {} rows done and kept in {}; the same command goes on from there",
            grouped(rows),
            parts.folder().display()
        )),
        Ok(0) | Err(_) => error,
    }
}

/// A job and what is left of it.
struct Task {
    connection: Connection,
    served: Served,
    job: Job,
    /// Rows that are in parts.
    done: u64,
}

/// Brings all rows into parts; gives the job and how many rows were there before.
fn score(
    args: &Args,
    connection: &ConnectionArgs,
    (parts, earlier, format): (&Parts, Option<Job>, OutputFormat),
) -> anyhow::Result<(Job, u64)> {
    if let Some(job) = earlier.clone().filter(|_| parts.is_complete()) {
        job.check_meant(args, parts.folder())?;
        let rows = parts.rows()?;
        return Ok((job, rows));
    }
    let task = task(args, connection.open()?, (parts, earlier))?;
    let (source, columns) = source(args, &task, format)?;
    let opening = Opening {
        served: &task.served,
        lane: args.lane,
        id_prefix: format!("{}-", task.job.id),
        max_queue_bytes: args.in_flight_mib << 20,
        deadline: Instant::now() + args.timeout,
    };
    let asking = Asking::open(&task.connection, opening)?;
    let bounds = Bounds {
        max_bytes: args.in_flight_mib << 20,
        patience: args.timeout,
    };
    let flow = Flow::new(
        Window::new(asking, &task.job.id, &bounds),
        columns,
        (parts, args.checkpoint),
        (source.total(), task.done),
    )?;
    let Ended {
        outcome,
        is_broker_down,
    } = flow.run(Reader::start(source)?);
    let brokers = &task.connection.cluster.brokers;
    let outcome = outcome.map_err(|error| match is_broker_down {
        true => error.context(format!("no broker answers at {brokers}")),
        false => explained(error, &task.connection, &task.served),
    });
    outcome.map_err(|error| interrupted(error, parts))?;
    parts.set_complete()?;
    Ok((task.job, task.done))
}

/// Finds the model, and goes on with the earlier run's job if it is the same one.
fn task(
    args: &Args,
    connection: Connection,
    (parts, earlier): (&Parts, Option<Job>),
) -> anyhow::Result<Task> {
    let served = served(args, &connection, earlier.as_ref())?;
    let rows_per_record = args
        .rows_per_record
        .map_or_else(|| default_rows(&served), usize::from);
    let job = Job::new(args, &served, rows_per_record)?;
    let (job, done) = match earlier {
        Some(earlier) => {
            earlier.check_same(&job, parts.folder())?;
            (earlier, parts.rows()?)
        }
        None => {
            parts.begin(&job)?;
            (job, 0)
        }
    };
    Ok(Task {
        connection,
        served,
        job,
        done,
    })
}

/// The rows that are left, and the columns of the output.
fn source(
    args: &Args,
    task: &Task,
    format: OutputFormat,
) -> anyhow::Result<(Box<dyn Source>, OutputColumns)> {
    let signature = &task.served.signature;
    let reading = Reading {
        signature,
        args: &args.rows,
        carry: carry(args, format)?,
        chunk_rows: task.job.rows_per_record,
        first_row: task.done,
    };
    let source = rows::open(&args.input, reading)?;
    let taken = source.names();
    let naming = Naming {
        taken: &taken,
        output_prefix: &args.output_prefix,
        error_column: &args.error_column,
    };
    let columns = OutputColumns::new(&source.carried(), signature, &naming)?;
    Ok((source, columns))
}

/// The version that an earlier run has begun with goes on, whatever is newest now.
fn served(args: &Args, connection: &Connection, earlier: Option<&Job>) -> anyhow::Result<Served> {
    let pinned = match (&args.model.choice, earlier) {
        (Choice::Newest | Choice::Label(_), Some(job)) if job.model == args.model.name => {
            ModelRef {
                name: job.model.clone(),
                choice: Choice::Version(job.version),
            }
        }
        _ => return served::find(connection, &args.model),
    };
    served::find(connection, &pinned).with_context(|| {
        format!("an earlier run has begun with {pinned}: serve it, or throw its rows away with --restart")
    })
}

/// Whether silence has a better reason: nobody serves the version any more.
fn explained(error: anyhow::Error, connection: &Connection, served: &Served) -> anyhow::Error {
    let version = ModelRef {
        name: served.model.clone(),
        choice: Choice::Version(served.version),
    };
    if error.is::<Interrupted>() {
        return error;
    }
    match served::find(connection, &version) {
        Ok(_) => error,
        Err(why) => error.context(why),
    }
}

/// As many rows as make a record of moderate size.
fn default_rows(served: &Served) -> usize {
    let mut row_bytes = 0usize;
    for input in &served.signature.inputs {
        let element = input.dtype.element_size_bytes().unwrap_or(256);
        // An open dimension is most often a text's or a picture's.
        let sizes = input.shape.iter().skip(1).map(|size| size.unwrap_or(256));
        let elements = sizes.fold(1usize, usize::saturating_mul);
        row_bytes = row_bytes.saturating_add(elements.saturating_mul(element));
    }
    (RECORD_BYTES / row_bytes.max(1)).clamp(1, DEFAULT_ROWS)
}

/// What of the input goes into the output; text stays as it stands where both are of one kind.
fn carry(args: &Args, format: OutputFormat) -> anyhow::Result<Carry> {
    let columns = match args.keep.as_slice() {
        [all] if all == "all" => Columns::All,
        [none] if none == "none" => Columns::Named(Vec::new()),
        names => Columns::Named(names.to_vec()),
    };
    let input = match args.rows.input_format {
        Some(format) => format,
        None => Format::of(&args.input)?,
    };
    Ok(match (input, format) {
        (Format::JsonLines, OutputFormat::JsonLines) if columns == Columns::All => Carry::Lines,
        (_, OutputFormat::Csv) => Carry::Text(columns),
        _ => Carry::Typed(columns),
    })
}

fn print(summary: &Summary, output: Output) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    if output == Output::Json {
        serde_json::to_writer_pretty(&mut out, summary)?;
        return Ok(writeln!(out)?);
    }
    let earlier = match summary.earlier_rows {
        0 => String::new(),
        rows => format!(", {} of them by an earlier run", grouped(rows)),
    };
    writeln!(
        out,
        "{}: {} rows by {} version {} in {:.1} s{earlier}",
        summary.output,
        grouped(summary.rows),
        summary.model,
        summary.version,
        summary.seconds,
    )?;
    Ok(())
}
