//! `millrace man`: the manual, a page per command.

use std::path::PathBuf;

use anyhow::Context;
use clap::Command;
use clap_mangen::Man;

use crate::output;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Write a page for each command into this folder, such as
    /// /usr/local/share/man/man1, instead of the first page to standard output
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

pub(crate) fn run(args: &Args, command: Command) -> anyhow::Result<()> {
    let Some(folder) = &args.out else {
        let mut page = Vec::new();
        Man::new(command).render(&mut page)?;
        return output::write(&page);
    };
    let place = || format!("cannot write the pages into {}", folder.display());
    std::fs::create_dir_all(folder).with_context(place)?;
    clap_mangen::generate_to(command, folder).with_context(place)?;
    Ok(())
}
