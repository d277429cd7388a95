//! `millrace topics`: create what `schemas/topics.yaml` describes, compare it with what is there.

mod apply;
mod check;
pub(crate) mod compare;
mod description;
mod file;
mod list;

use clap::Subcommand;

use crate::connection::Connection;
use crate::output::Output;

pub(crate) use apply::create;
pub(crate) use description::Description;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Create the topics that are missing; change none that exists
    Apply(apply::Args),
    /// Compare the topics with their description; exit code 1 if they differ
    ///
    /// Partitions, replicas, those in sync, retention and whatever else the
    /// file says, of all models that have topics.
    Check(check::Args),
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
        Command::Check(args) => check::run(args, connection, output),
        Command::List => list::run(connection, output),
    }
}
