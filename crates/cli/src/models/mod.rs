//! `millrace models`: what `<prefix>.models` says is served, and by whom; what is wanted instead;
//! and models in other formats.

mod change;
mod convert;
mod crypt;
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
    /// Make an ONNX model of a folder with a model of Caffe or BigDL
    ///
    /// Infer does the same when it loads such a folder. Exit code 1 says that
    /// a layer cannot be converted, and the error names it.
    Convert(convert::Args),
    /// Encrypt a model's file with AES-256-GCM, for a repository that others read
    Encrypt(crypt::Args),
    /// Decrypt such a file
    Decrypt(crypt::Args),
}

/// `open` connects to the line, which is not asked where none is needed.
pub(crate) fn run(
    command: &Command,
    open: impl Fn() -> anyhow::Result<Connection>,
    output: Output,
) -> anyhow::Result<()> {
    match command {
        // These need no broker.
        Command::Encrypt(args) => crypt::encrypt(args, output),
        Command::Decrypt(args) => crypt::decrypt(args, output),
        Command::List => look(&open()?, |board| list::run(board, output)),
        Command::Show(args) => look(&open()?, |board| show::run(args, board, output)),
        Command::Labels(command) => labels::run(command, &open()?, output),
        Command::Load(args) => serving::load(args, &open()?, output),
        Command::Unload(args) => serving::unload(args, &open()?, output),
        Command::Canary(args) => serving::canary(args, &open()?, output),
        Command::Convert(args) => convert::run(args, output),
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
