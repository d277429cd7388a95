//! `millrace`: the operator's and newcomer's tool.

mod access;
mod ask;
mod bench;
mod board;
mod check;
mod claims;
mod completions;
mod connection;
mod conversation;
mod dead_letters;
mod exit;
mod findings;
mod followed;
mod interrupt;
mod lag;
mod lane;
mod man;
mod models;
mod output;
mod predict;
mod predictions;
mod produce;
mod progress;
mod replay;
mod rows;
mod score;
mod seconds;
mod served;
mod status;
mod tail;
mod topics;
mod up;
mod when;
mod whole_topic;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use connection::ConnectionArgs;
use output::Output;

/// Looks after a Millrace line: its topics, models, dead letters and lag
///
/// Exit codes: 0 done; 1 the answer is no; 2 the command line is wrong;
/// 3 the settings are wrong; 4 nobody answers; 5 what was named is not there;
/// 6 it failed; 7 it is done but for some rows.
#[derive(Parser)]
#[command(name = "millrace", version, max_term_width = 80)]
struct Args {
    #[command(flatten)]
    connection: ConnectionArgs,
    /// Print JSON instead of text
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a whole line on this machine: ingest, infer, sink, and Kafka if there is none
    Up(up::Args),
    /// See the whole line on one screen, every second anew
    Status(status::Args),
    /// Look whether everything is there that the line needs; exit code 1 if not
    ///
    /// With the settings of a sink (--config sink.toml) its destinations, too.
    Check,
    /// Create and list topics, and compare them with their description
    #[command(subcommand)]
    Topics(topics::Command),
    /// See which models are served, and by whom; say which versions shall be
    #[command(subcommand)]
    Models(models::Command),
    /// See how far infer and sink are behind, and when they will be done
    Lag(lag::Args),
    /// See results as they arrive
    Tail(tail::Args),
    /// Ask a model about a file and print its answer
    Predict(Box<predict::Args>),
    /// Put a whole file through a model into a new file; goes on after a kill
    ///
    /// Exit code 7 says that everything is done and some rows have an error
    /// instead of outputs.
    Score(Box<score::Args>),
    /// Run past or live requests through another version, and compare the answers
    ///
    /// The version must be loaded (its model.toml says versions, or a label names
    /// it). It answers this command alone: what the line has answered, or is to
    /// answer, stays as it is. The results go to the topic --to. After a kill the
    /// same command goes on.
    Replay(Box<replay::Args>),
    /// Put the rows of files on a model's request topic
    Produce(Box<produce::Args>),
    /// See records that could never succeed, write them back, delete them
    #[command(subcommand)]
    DeadLetters(dead_letters::Command),
    /// Look after values that are too large for their records
    #[command(subcommand)]
    Claims(claims::Command),
    /// Ask a running line so many times a second, and see how fast it answers
    Bench(bench::Args),
    /// Make API keys for ingest
    #[command(subcommand)]
    Access(access::Command),
    /// Print the script with which a shell completes commands and flags
    Completions(completions::Args),
    /// Print the manual, or write a page for each command
    Man(man::Args),
}

fn main() -> ExitCode {
    let args = Args::parse();
    let output = if args.json {
        Output::Json
    } else {
        Output::Text
    };
    exit::report(run(args, output), output)
}

fn run(args: Args, output: Output) -> anyhow::Result<()> {
    let connection = args.connection;
    let open = || connection.open();
    match args.command {
        Command::Access(command) => access::run(&command, output),
        Command::Bench(command) => bench::run(&command, &connection, output),
        // It wants to know of a connection that fails, too.
        Command::Check => check::run(&connection, output),
        Command::Claims(command) => claims::run(&command, &connection, output),
        Command::Completions(command) => completions::run(&command, Args::command()),
        Command::DeadLetters(command) => dead_letters::run(&command, &open()?, output),
        Command::Lag(command) => lag::run(&command, &open()?, output),
        Command::Man(command) => man::run(&command, Args::command()),
        Command::Models(command) => models::run(&command, open, output),
        Command::Predict(command) => predict::run(&command, &connection, output),
        Command::Produce(command) => produce::run(&command, &connection, output),
        Command::Replay(command) => replay::run(&command, &connection.open()?, output),
        Command::Score(command) => score::run(&command, &connection, output),
        Command::Status(command) => status::run(&command, &open()?, output),
        Command::Tail(command) => tail::run(&command, &open()?, output),
        Command::Topics(command) => topics::run(&command, &open()?, output),
        Command::Up(command) => up::run(&command, &connection, output),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every command with its subcommands, as `--help` shows it.
    fn helps(command: &mut clap::Command, pages: &mut Vec<(String, String)>) {
        let name = command.get_name().to_owned();
        pages.push((name.clone(), command.render_help().to_string()));
        pages.push((name, command.render_long_help().to_string()));
        for inner in command.get_subcommands_mut() {
            helps(inner, pages);
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn help_fits_80_columns() {
        let (mut command, mut pages) = (Args::command().term_width(80), Vec::new());
        command.build();
        helps(&mut command, &mut pages);
        for (name, page) in pages {
            for line in page.lines() {
                assert!(line.chars().count() <= 80, "{name}: {line}");
            }
        }
    }
}
