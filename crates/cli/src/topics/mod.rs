//! `millrace topics`: create what `schemas/topics.yaml` describes, and list what is there.

mod apply;
mod file;
mod list;

use clap::Subcommand;

use crate::connection::Connection;
use crate::output::Output;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Create the topics that are missing; change none that exists
    Apply(apply::Args),
    /// List the topics of this line
    List,
}

pub(crate) fn run(
    command: &Command,
    connection: &Connection,
    output: Output,
) -> anyhow::Result<()> {
    match command {
        Command::Apply(args) => apply::run(args, connection, output),
        Command::List => list::run(connection, output),
    }
}
