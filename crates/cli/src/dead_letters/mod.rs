//! `millrace dead-letters`: records that could never succeed: see them, write them back, delete them.

mod filter;
mod list;
mod marker;
mod original;
mod pile;
mod place;
mod purge;
mod requeue;
mod show;

use clap::Subcommand;

use crate::connection::Connection;
use crate::output::Output;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List the newest ones that were not written back
    List(list::Args),
    /// Show one whole: where it came from, why it failed, its headers and bytes
    Show(show::Args),
    /// Write records back to the topics they came from; asks first
    ///
    /// A record gets its key, its partition and its headers back, without
    /// mr-deadline and mr-reply-to (nobody waits any more), and with mr-attempts.
    /// That it was written back is noted beside the dead letter, in the same
    /// transaction: it is not written back again unless --again says so.
    Requeue(requeue::Args),
    /// Delete the oldest ones for good; asks first
    ///
    /// Kafka deletes from the beginning of a partition only, so dead letters
    /// cannot be picked out of the middle.
    #[command(override_usage = "millrace dead-letters purge --older-than <SPAN>
       millrace dead-letters purge --up-to <LETTER>
       millrace dead-letters purge --all")]
    Purge(purge::Args),
}

pub(crate) fn run(
    command: &Command,
    connection: &Connection,
    output: Output,
) -> anyhow::Result<()> {
    match command {
        Command::List(args) => list::run(args, connection, output),
        Command::Show(args) => show::run(args, connection, output),
        Command::Requeue(args) => requeue::run(args, connection, output),
        Command::Purge(args) => purge::run(args, connection, output),
    }
}
