//! `millrace predict`: one question to a model through Kafka, and its answer.

mod body;
mod table;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use millrace_wire::json::{Format as JsonFormat, write_predictions};
use millrace_wire::{Decoder, Encoder, Limits, Record};

use crate::connection::{Connection, ConnectionArgs};
use crate::conversation::{Asking, MAX_RECORD_BYTES, Opening, Question, Refusal};
use crate::exit::Exit;
use crate::lane::Lane;
use crate::output::Output;
use crate::predictions::STRICT;
use crate::rows::{self, Carry, Columns, Format, Reading, RowsArgs};
use crate::seconds::seconds;
use crate::served::{self, ModelRef, Served};

/// Standard input.
const STDIN: &str = "-";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// MODEL, MODEL@VERSION or MODEL:LABEL
    #[arg(value_name = "MODEL")]
    model: ModelRef,
    /// JSON, CSV, an image, .npy, Parquet or Arrow; `-` is JSON from standard input
    #[arg(default_value = STDIN, value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    rows: RowsArgs,
    /// How long the whole command may take
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    timeout: Duration,
}

/// A record of the rows, and how its answer is written.
struct Asked {
    payload: Vec<u8>,
    format: JsonFormat,
}

/// Asks and prints.
///
/// # Errors
/// The input does not fit, nobody serves the model, or no answer came in time.
pub(crate) fn run(args: &Args, connection: &ConnectionArgs, output: Output) -> anyhow::Result<()> {
    let deadline = Instant::now() + args.timeout;
    let input = Input::read(args)?;
    let connection = connection.open_within(left(deadline))?;
    let served = served::find(&connection, &args.model)?;
    let most_bytes = connection.large.largest(MAX_RECORD_BYTES);
    let asked = input.asked(args, &served, most_bytes)?;
    let outputs = ask(
        &connection,
        &served,
        (asked.payload, args.timeout),
        deadline,
    )?;
    print(&outputs, asked.format, output)
}

/// What is asked about: a body that was read, or a file that the rows are read from.
enum Input<'a> {
    Json(Vec<u8>, String),
    File(&'a Path),
}

impl<'a> Input<'a> {
    /// A file that is not there is told at once, before anybody is asked.
    fn read(args: &'a Args) -> anyhow::Result<Self> {
        let is_stdin = args.file.as_os_str() == STDIN;
        let format = match args.rows.input_format {
            Some(format) => format,
            None if is_stdin => Format::Json,
            None => Format::of(&args.file)?,
        };
        match (format, is_stdin) {
            (Format::Json, true) => {
                let body = body::read_stdin().context("cannot read standard input")?;
                Ok(Self::Json(body, "standard input".to_owned()))
            }
            (Format::Json, false) => {
                let shown = args.file.display().to_string();
                let body = std::fs::read(&args.file);
                let body = body.with_context(|| format!("cannot read {shown}"))?;
                Ok(Self::Json(body, shown))
            }
            (_, true) => bail!("only JSON is read from standard input; name a file for others"),
            (_, false) => Ok(Self::File(&args.file)),
        }
    }

    /// `most_bytes`: of the record.
    fn asked(&self, args: &Args, served: &Served, most_bytes: usize) -> anyhow::Result<Asked> {
        match self {
            Self::Json(body, shown) => {
                let request = body::parse(body, &served.signature)
                    .with_context(|| format!("{shown} does not fit model {}", served.model))?;
                Ok(Asked {
                    payload: request.encode()?,
                    format: request.format,
                })
            }
            Self::File(path) => Ok(Asked {
                payload: payload(path, &args.rows, (served, most_bytes))?,
                format: JsonFormat::Row,
            }),
        }
    }
}

/// All rows of a file as one record.
fn payload(
    path: &Path,
    args: &RowsArgs,
    (served, most_bytes): (&Served, usize),
) -> anyhow::Result<Vec<u8>> {
    let reading = Reading {
        signature: &served.signature,
        args,
        carry: Carry::Text(Columns::Named(Vec::new())),
        chunk_rows: Limits::default().max_rows,
        first_row: 0,
    };
    let mut source = rows::open(path, reading)?;
    let shown = path.display();
    let Some(chunk) = source.next()? else {
        bail!("{shown} has no rows");
    };
    if let Some((_, sentence)) = chunk.failed.first() {
        let more = match chunk.failed.len() - 1 {
            0 => String::new(),
            more => format!("; {more} more rows do not fit either"),
        };
        bail!("{shown}, {sentence}{more}");
    }
    let payload = chunk
        .inputs
        .encode(0..chunk.inputs.rows(), &mut Encoder::default())?;
    if payload.len() > most_bytes || source.next()?.is_some() {
        bail!("{shown} is too large for one question; use millrace score");
    }
    Ok(payload)
}

fn ask(
    connection: &Connection,
    served: &Served,
    (payload, timeout): (Vec<u8>, Duration),
    deadline: Instant,
) -> anyhow::Result<Record> {
    let id = format!("{:032x}", rand::random::<u128>());
    let opening = Opening {
        lane: Lane::Interactive,
        served,
        id_prefix: id.clone(),
        max_queue_bytes: MAX_RECORD_BYTES,
        deadline,
    };
    let asking = Asking::open(connection, opening)?;
    let answer = wait(
        &asking,
        Question {
            id,
            payload,
            deadline_unix_ms: Some(unix_ms_in(left(deadline))?),
        },
        deadline,
    );
    let broker = asking.is_broker_down();
    asking.close();
    let Some(answer) = answer? else {
        let why = match broker {
            true => "; no broker answers any more",
            false => "; infer is busy, or died: see millrace models list and millrace lag",
        };
        return Err(Exit::Unreachable.error(format!("no answer within {timeout:?}{why}")));
    };
    answer.with_context(|| format!("model {} version {} refused", served.model, served.version))
}

/// The reply; `None` when the deadline has passed.
fn wait(
    asking: &Asking,
    question: Question,
    deadline: Instant,
) -> anyhow::Result<Option<Result<Record, Refusal>>> {
    let mut decoder = Decoder::new(Limits::default());
    asking.send(question, deadline)?;
    loop {
        let patience = left(deadline).min(Duration::from_millis(100));
        if let Some(reply) = asking.next(patience, &mut decoder)? {
            return Ok(Some(reply.answer));
        }
        if left(deadline).is_zero() {
            return Ok(None);
        }
    }
}

fn print(outputs: &Record, format: JsonFormat, output: Output) -> anyhow::Result<()> {
    let mut out = Vec::new();
    match output {
        Output::Json => {
            write_predictions(format, outputs, &STRICT, &mut out)?;
            out.push(b'\n');
        }
        Output::Text => table::write(outputs, &mut out)?,
    }
    Ok(io::stdout().lock().write_all(&out)?)
}

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

fn unix_ms_in(time: Duration) -> anyhow::Result<u64> {
    let at = SystemTime::now().duration_since(UNIX_EPOCH)? + time;
    Ok(u64::try_from(at.as_millis())?)
}
