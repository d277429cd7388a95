//! `millrace`: the operator's and newcomer's tool.

mod access;
mod check;
mod connection;
mod dead_letters;
mod lag;
mod models;
mod output;
mod tail;
mod topics;
mod whole_topic;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use connection::ConnectionArgs;
use output::Output;

/// Looks after a Millrace line: its topics, models, dead letters and lag
#[derive(Parser)]
#[command(name = "millrace", version, max_term_width = 80)]
struct Args {
    #[command(flatten)]
    connection: ConnectionArgs,
    /// How to print answers
    #[arg(long, global = true, value_enum, default_value_t = Output::Text)]
    output: Output,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Create and list topics
    #[command(subcommand)]
    Topics(topics::Command),
    /// See which models are served, and by whom
    #[command(subcommand)]
    Models(models::Command),
    /// See records that could never succeed
    #[command(subcommand)]
    DeadLetters(dead_letters::Command),
    /// Make API keys for ingest
    #[command(subcommand)]
    Access(access::Command),
    /// See how far infer and sink are behind
    Lag(lag::Args),
    /// See results as they arrive
    Tail(tail::Args),
    /// Look whether everything is there that the line needs; exit code 1 if not
    ///
    /// With the settings of a sink (--config sink.toml) its destinations, too.
    Check,
}

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // If nobody can be told, the exit code still says it.
            let _ = writeln!(io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> anyhow::Result<()> {
    let (output, connection) = (args.output, args.connection);
    let open = || connection.open();
    match args.command {
        Command::Access(command) => access::run(&command, output),
        Command::Topics(command) => topics::run(&command, &open()?, output),
        Command::Models(command) => models::run(&command, &open()?, output),
        Command::DeadLetters(command) => dead_letters::run(&command, &open()?, output),
        Command::Lag(command) => lag::run(&command, &open()?, output),
        Command::Tail(command) => tail::run(&command, &open()?, output),
        // It wants to know of a connection that fails, too.
        Command::Check => check::run(&connection, output),
    }
}
