//! `millrace models`: what `<prefix>.models` says is served, and by whom; and what is wanted instead.

mod change;
mod labels;
mod list;
mod serving;
mod show;

use clap::Subcommand;

use crate::board::Board;
use crate::connection::Connection;
use crate::output::Output;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List the models with their versions, states and labels
    List,
    /// Show one model: inputs, outputs, replicas, why it failed
    Show(show::Args),
    /// Give versions names such as stable, and ask what has which
    #[command(subcommand)]
    Labels(labels::Command),
    /// Serve a model that was unloaded, and try again what failed to load
    Load(serving::ModelArgs),
    /// Let all infer processes let go of a model; its files stay
    Unload(serving::ModelArgs),
    /// Send a share of the requests to a label, or stop that
    Canary(serving::CanaryArgs),
}

pub(crate) fn run(
    command: &Command,
    connection: &Connection,
    output: Output,
) -> anyhow::Result<()> {
    match command {
        Command::List => look(connection, |board| list::run(board, output)),
        Command::Show(args) => look(connection, |board| show::run(args, board, output)),
        Command::Labels(command) => labels::run(command, connection, output),
        Command::Load(args) => serving::load(args, connection, output),
        Command::Unload(args) => serving::unload(args, connection, output),
        Command::Canary(args) => serving::canary(args, connection, output),
    }
}

fn look(
    connection: &Connection,
    show: impl FnOnce(&Board) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let board = Board::read(connection)?;
    show(&board)?;
    if board.undecodable > 0 {
        anyhow::bail!(
            "{} records of topic {} are no model descriptors; is this tool older than the line?",
            board.undecodable,
            connection.topic("models")
        );
    }
    Ok(())
}
