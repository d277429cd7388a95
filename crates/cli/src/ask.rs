//! Asks before something is done that cannot be taken back.

use std::io::{self, BufRead, IsTerminal, Write};

use crate::exit::Exit;

/// The flag that answers beforehand.
#[derive(clap::Args)]
pub(crate) struct Yes {
    /// Do it without asking
    #[arg(long, short)]
    yes: bool,
}

/// Returns when the answer is yes; the question goes to standard error, so that answers for
/// programs stay whole.
///
/// # Errors
/// The answer is no, or there is nobody to ask.
pub(crate) fn confirm(yes: &Yes, question: &str) -> anyhow::Result<()> {
    if yes.yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        let hint = format!("{question} There is nobody to ask; say --yes to do it");
        return Err(Exit::Usage.error(hint));
    }
    write!(io::stderr(), "{question} [y/N] ")?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Exit::No.error("called off; nothing was changed")),
    }
}
