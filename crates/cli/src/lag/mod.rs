//! `millrace lag`: how far infer and sink are behind, and when they will be done.

pub(crate) mod drain;
pub(crate) mod oldest;
pub(crate) mod readers;
mod table;

use std::thread;
use std::time::{Duration, Instant};

use crate::connection::Connection;
use crate::output::Output;
use crate::when;

use readers::Place;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only of these models [default: all]
    #[arg(value_name = "MODEL")]
    models: Vec<String>,
    /// A line per partition instead of one per reader and topic
    #[arg(long)]
    partitions: bool,
    /// How long to measure what comes in and goes out; 0s does not measure.
    /// Offsets are committed every second or so: much less tells little
    #[arg(long, value_name = "SPAN", default_value = "5s", value_parser = when::parse_span)]
    over: Duration,
}

pub(crate) fn run(args: &Args, connection: &Connection, output: Output) -> anyhow::Result<()> {
    let readers = readers::find(connection, &args.models)?;
    let first = Looked::take(connection, &readers)?;
    let second = match args.over.is_zero() {
        true => None,
        false => {
            thread::sleep(args.over.saturating_sub(first.at.elapsed()));
            Some(Looked::take(connection, &readers)?)
        }
    };
    let ages = oldest::Ages::open(connection)?;
    let lines = table::lines(&first, second.as_ref(), &ages)?;
    table::print(args.partitions, &lines, output)
}

/// Where all readers were at one time.
pub(crate) struct Looked {
    pub(crate) at: Instant,
    pub(crate) places: Vec<Place>,
}

impl Looked {
    pub(crate) fn take(
        connection: &Connection,
        readers: &[readers::Reader],
    ) -> anyhow::Result<Self> {
        let at = Instant::now();
        let mut places = Vec::new();
        for reader in readers {
            places.extend(reader.places(connection)?);
        }
        Ok(Self { at, places })
    }
}
