//! `millrace tail`: results as they arrive, a line per row.

use std::io::{self, Write};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use anyhow::bail;
use millrace_kafka::{FollowFrom, Follower, FollowerSettings, Metrics, Record};
use millrace_wire::headers::ResultHeaders;
use millrace_wire::{Decoder, Limits, Status};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::claims::Large;
use crate::connection::Connection;
use crate::exit::Exit;
use crate::output::{self, Output};
use crate::predictions::{outputs, short};

const STOP_DEADLINE: Duration = Duration::from_secs(5);
const GLANCE: Duration = Duration::from_millis(50);

/// How long reading to the end of the topics may take.
const END_DEADLINE: Duration = Duration::from_secs(60);

/// A result is at most a dead letter without its wrapping.
const MAX_RECORD_BYTES: usize = 20 << 20;

/// Records on their way from the followers' threads to ours.
const IN_FLIGHT: usize = 64;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Models whose results are shown
    #[arg(required = true, value_name = "MODEL")]
    models: Vec<String>,
    /// Where to begin: `end`, `beginning`, or an offset in every partition
    #[arg(long, default_value = "end", value_parser = From::parse)]
    from: From,
    /// Stop at the end of the topics instead of waiting for more
    #[arg(long)]
    once: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    End,
    Offset(i64),
}

impl From {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "end" => Ok(Self::End),
            "beginning" => Ok(Self::Offset(0)),
            number => match number.parse() {
                Ok(offset @ 0..) => Ok(Self::Offset(offset)),
                _ => Err("use end, beginning, or an offset".to_owned()),
            },
        }
    }
}

/// One row of a result.
#[derive(Serialize)]
struct Row {
    model: String,
    version: Option<i64>,
    partition: i32,
    offset: i64,
    row: usize,
    id: String,
    status: String,
    error: Option<String>,
    outputs: Map<String, Value>,
}

pub(crate) fn run(args: &Args, connection: &Connection, output: Output) -> anyhow::Result<()> {
    let (sender, records) = mpsc::sync_channel(IN_FLIGHT);
    let mut followers = Vec::new();
    for model in &args.models {
        let topic = format!("{}.results.{model}", connection.prefix);
        if connection.admin.partition_count(&topic)?.is_none() {
            return Err(Exit::Missing.error(format!(
                "topic {topic} does not exist; create it: millrace topics apply --model {model}"
            )));
        }
        let settings = FollowerSettings {
            max_record_bytes: MAX_RECORD_BYTES,
            from: match args.from {
                From::End => FollowFrom::End,
                From::Offset(_) => FollowFrom::Beginning,
            },
            ..FollowerSettings::whole_topic(connection.cluster.clone(), topic)
        };
        let sender = sender.clone();
        let hand_over = move |record| {
            // After an interruption nobody takes it.
            let _ = sender.send(record);
        };
        followers.push(Follower::start(settings, hand_over, &Metrics::default())?);
    }
    let reading = Reading {
        followers: &followers,
        records: &records,
        large: &connection.large,
    };
    let printed = print(args, &reading, output);
    drop(records);
    for follower in followers {
        follower.stop(STOP_DEADLINE)?;
    }
    printed
}

/// Where records come from.
struct Reading<'a> {
    followers: &'a [Follower],
    records: &'a mpsc::Receiver<Record>,
    large: &'a Large,
}

fn print(args: &Args, reading: &Reading<'_>, output: Output) -> anyhow::Result<()> {
    let Reading {
        followers,
        records,
        large,
    } = reading;
    let mut out = io::stdout().lock();
    let mut decoder = Decoder::new(Limits::default());
    let begun = std::time::Instant::now();
    if output == Output::Text {
        writeln!(out, "{}", output::columns(&HEADINGS))?;
    }
    loop {
        let record = match records.recv_timeout(GLANCE) {
            Ok(record) => record,
            Err(RecvTimeoutError::Timeout) => {
                if args.once && followers.iter().all(Follower::is_caught_up) {
                    return Ok(());
                }
                if args.once && begun.elapsed() > END_DEADLINE {
                    bail!("the topics were not read to their end within {END_DEADLINE:?}");
                }
                for follower in *followers {
                    if let Some(complaint) = follower.state().borrow().complaint() {
                        tracing::debug!(complaint, "waiting");
                    }
                }
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => bail!("reading the topics has ended"),
        };
        if matches!(args.from, From::Offset(first) if record.offset < first) {
            continue;
        }
        for row in rows(record, (large, &mut decoder)) {
            let written = match output {
                Output::Text => writeln!(out, "{}", output::columns(&row.cells())),
                Output::Json => serde_json::to_string(&row)
                    .map_or_else(|error| Err(error.into()), |line| writeln!(out, "{line}")),
            };
            // `millrace tail | head` is no failure.
            match written.and_then(|()| out.flush()) {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                other => other?,
            }
        }
    }
}

/// The first five are padded to these widths; the outputs get what is left.
const HEADINGS: [&str; 5] = ["PLACE", "ID", "VERSION", "STATUS", "OUTPUTS"];

impl Row {
    fn cells(&self) -> [String; 5] {
        let outputs = match &self.error {
            Some(error) => error.clone(),
            None => {
                let output = |(name, value): (&String, &Value)| format!("{name}={}", short(value));
                let all: Vec<String> = self.outputs.iter().map(output).collect();
                all.join(" ")
            }
        };
        let version = self.version.map(|version| version.to_string());
        [
            format!("{}/{}", self.partition, self.offset),
            self.id.clone(),
            version.unwrap_or_default(),
            self.status.clone(),
            outputs,
        ]
    }
}

/// A row per instance; a single one for a failure, or for a record that is no result.
fn rows(mut record: Record, (large, decoder): (&Large, &mut Decoder)) -> Vec<Row> {
    let mut row = Row {
        model: String::new(),
        version: None,
        partition: record.partition,
        offset: record.offset,
        row: 0,
        id: String::new(),
        status: "UNREADABLE".to_owned(),
        error: None,
        outputs: Map::new(),
    };
    let headers = match ResultHeaders::parse(record.headers.iter()) {
        Ok(headers) => headers,
        Err(error) => {
            row.error = Some(error.to_string());
            return vec![row];
        }
    };
    row.model = headers.model;
    row.version = headers.version;
    row.id = headers.id;
    row.error = headers.error;
    if headers.status != Status::Ok {
        row.status = headers.status.name().to_owned();
        return vec![row];
    }
    let decoded = large
        .value_of(&mut record)
        .and_then(|value| Ok(decoder.decode(value)?));
    match decoded.and_then(|it| outputs(&it)) {
        Ok(all) => all
            .into_iter()
            .enumerate()
            .map(|(number, outputs)| Row {
                row: number,
                outputs,
                status: Status::Ok.name().to_owned(),
                model: row.model.clone(),
                id: row.id.clone(),
                error: None,
                ..row
            })
            .collect(),
        Err(error) => {
            row.error = Some(format!("{error:#}"));
            vec![row]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_at_80_columns() {
        let row = Row {
            model: "digits".to_owned(),
            version: Some(1),
            partition: 2,
            offset: 1_234,
            row: 0,
            id: "0123456789abcdef0123456789abcdef".to_owned(),
            status: "OK".to_owned(),
            error: None,
            outputs: Map::from_iter([("scores".to_owned(), vec![0.123_456; 40].into())]),
        };
        let line = output::columns(&row.cells());
        assert_eq!(line.chars().count(), 80, "{line}");
        assert!(line.contains("scores=[0.1235,"), "{line}");
    }

    #[test]
    fn beginning_end_and_offsets_are_places_to_begin() {
        assert_eq!(From::parse("end"), Ok(From::End));
        assert_eq!(From::parse("beginning"), Ok(From::Offset(0)));
        assert_eq!(From::parse("17"), Ok(From::Offset(17)));
        assert!(From::parse("-1").is_err() && From::parse("yesterday").is_err());
    }
}
