//! `millrace replay`: a stretch of requests through another version of their model, and how its answers differ from
//! those that were given.
//!
//! The requests are read again and copies of them sent to the version, which replies to this command alone. The answers
//! and how far the replay has come are one transaction after another, so a replay that was killed goes on where it was.
//! The report is made of what the topics hold, in a second step, so it is the same however often that happened.

mod book;
mod compare;
mod copy;
mod differences;
mod flow;
mod keeper;
mod original;
mod pace;
mod plan;
mod printed;
mod report;
mod run;
mod stretch;
mod tally;
mod window;

use std::path::PathBuf;
use std::time::Duration;

use crate::connection::Connection;
use crate::output::Output;
use crate::seconds::seconds;
use crate::served::ModelRef;
use crate::when;

use stretch::Edge;

#[derive(clap::Args)]
#[command(
    after_help = "PLACE is beginning, end, an offset in every partition, a span such as 2h
(so long ago), or a time in UTC such as 2026-11-22T21:30:00Z.

  millrace replay --model digits@2 --from 2h --to results.shadow
  millrace replay --model digits:canary --follow --for 10m --to results.shadow"
)]
pub(crate) struct Args {
    /// The version that answers again: MODEL@VERSION or MODEL:LABEL
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: ModelRef,
    /// The topic of its results; made if it is not there
    #[arg(long, value_name = "TOPIC")]
    pub(crate) to: String,
    /// Where the stretch begins [default: beginning; with --follow end]
    #[arg(long, value_name = "PLACE", value_parser = Edge::parse)]
    pub(crate) from: Option<Edge>,
    /// Where it ends, that place not included [default: end]
    #[arg(long, value_name = "PLACE", value_parser = Edge::parse, conflicts_with = "follow")]
    pub(crate) until: Option<Edge>,
    /// Go on with the requests that come, until Ctrl-C or --for
    #[arg(long)]
    pub(crate) follow: bool,
    /// How long to follow, such as 10m
    #[arg(long = "for", value_name = "SPAN", value_parser = when::parse_span, requires = "follow")]
    pub(crate) span: Option<Duration>,
    /// Requests per second at most [default: as fast as it answers]
    #[arg(long, value_name = "COUNT", value_parser = pace::rate)]
    pub(crate) rate: Option<f64>,
    /// Copies that may be on their way to the version
    #[arg(long, value_name = "COUNT", default_value = "64", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) in_flight: u32,
    /// Numbers are equal when they differ by this much, absolutely or as a part
    #[arg(long, value_name = "NUMBER", default_value = "0.00001", value_parser = compare::tolerance)]
    pub(crate) tolerance: f64,
    /// Exit code 1 when a smaller part of the answers agrees, such as 0.99
    #[arg(long, value_name = "PART", value_parser = compare::part)]
    pub(crate) require: Option<f64>,
    /// Write the report to this file too, as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Stop when no answer came for so long; what is done is kept
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub(crate) timeout: Duration,
    /// Begin anew, even if an earlier replay of these was not finished
    #[arg(long)]
    pub(crate) restart: bool,
}

/// Replays, or goes on with a replay that was not finished, and reports.
///
/// # Errors
/// Nothing could be done, or not all: then the same command goes on. `Exit::No` when less agrees than `--require` asks.
pub(crate) fn run(args: &Args, connection: &Connection, output: Output) -> anyhow::Result<()> {
    run::run(args, connection, output)
}
