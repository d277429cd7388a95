//! Who may ask ingest: makes API keys. It needs no broker.

mod new_key;

use clap::Subcommand;

use crate::output::Output;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make an API key: prints it once, and its entry for the file of access.api_keys
    NewKey(new_key::Args),
}

pub(crate) fn run(command: &Command, output: Output) -> anyhow::Result<()> {
    match command {
        Command::NewKey(args) => new_key::run(args, output),
    }
}
