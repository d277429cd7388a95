//! `millrace models`: what `<prefix>.models` says is served, and by whom.

mod list;
mod show;

use clap::Subcommand;

use crate::board::Board;
use crate::connection::Connection;
use crate::output::Output;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List the models with their versions and states
    List,
    /// Show one model: inputs, outputs, replicas, why it failed
    Show(show::Args),
}

pub(crate) fn run(
    command: &Command,
    connection: &Connection,
    output: Output,
) -> anyhow::Result<()> {
    let board = Board::read(connection)?;
    match command {
        Command::List => list::run(&board, output),
        Command::Show(args) => show::run(args, &board, output),
    }?;
    if board.undecodable > 0 {
        anyhow::bail!(
            "{} records of topic {} are no model descriptors; is this tool older than the line?",
            board.undecodable,
            connection.topic("models")
        );
    }
    Ok(())
}
