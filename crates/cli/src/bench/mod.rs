//! `millrace bench`: a bounded load on a running line, sent on schedule whatever it answers.

mod body;
mod http;
mod kafka;
mod report;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::ValueEnum;
use millrace_openloop::{Load, Outcome};
use serde::Serialize;

use crate::connection::ConnectionArgs;
use crate::output::Output;
use crate::when;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The model
    #[arg(long, value_name = "NAME")]
    model: String,
    /// Requests per second, over all callers
    #[arg(long, value_name = "PER_SECOND", default_value_t = 100,
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: u32,
    /// How long to measure
    #[arg(long = "for", value_name = "SPAN", default_value = "10s", value_parser = when::parse_span)]
    measured: Duration,
    /// How long to send before that without measuring
    #[arg(long, value_name = "SPAN", default_value = "2s", value_parser = when::parse_span)]
    warm_up: Duration,
    /// Requests that wait for their answers at once, at most
    #[arg(long, value_name = "COUNT", default_value_t = 16,
          value_parser = clap::value_parser!(u16).range(1..=1024))]
    callers: u16,
    /// Which way requests go
    #[arg(long, value_enum, default_value_t = Way::Http)]
    over: Way,
    /// Where ingest answers HTTP
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// API key or token for ingest
    #[arg(
        long,
        value_name = "KEY",
        env = "MILLRACE_API_KEY",
        hide_env_values = true
    )]
    key: Option<String>,
    /// Body of the requests, as for :predict [default: one row of zeros]
    #[arg(long, value_name = "FILE")]
    body: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Way {
    /// To ingest, and back.
    Http,
    /// Arrow records to the topic of requests, and back from that of results.
    Kafka,
}

/// # Errors
/// Nobody answers, the first request fails, or a later one did.
pub(crate) fn run(args: &Args, connection: &ConnectionArgs, output: Output) -> anyhow::Result<()> {
    let load = Load {
        rate_per_s: args.rate,
        warm_up: args.warm_up,
        measured: args.measured,
    };
    let body = args.body.as_ref().map(|file| {
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
    });
    let body = body.transpose()?;
    let outcome: Outcome = match args.over {
        Way::Http => http::run(args, body, load)?,
        Way::Kafka => kafka::run(args, (&connection.open()?, body), load)?,
    };
    report::print(args, &outcome, output)
}
