//! `millrace dead-letters list`.

use crate::connection::Connection;
use crate::output::{self, Line, Output};
use crate::when;

use super::filter::Filter;
use super::pile::{Letter, Pile};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    filter: Filter,
    /// How many at most, the newest
    #[arg(long, default_value_t = 20, value_name = "COUNT")]
    limit: usize,
    /// Those that were written back, too
    #[arg(long)]
    all: bool,
}

impl Line for Letter {
    const HEADINGS: &'static [&'static str] =
        &["LETTER", "AGE", "MODEL", "STAGE", "CODE", "REASON"];

    fn cells(&self) -> Vec<String> {
        let requeued = if self.requeued { "(written back) " } else { "" };
        vec![
            self.letter.to_string(),
            when::span(when::ago(self.failed_at_unix_ms, when::now_unix_ms())),
            self.model.clone(),
            self.stage.clone(),
            self.code.clone(),
            format!("{requeued}{}", self.reason),
        ]
    }
}

pub(super) fn run(args: &Args, connection: &Connection, output: Output) -> anyhow::Result<()> {
    let pile = Pile::read(connection)?;
    let now = when::now_unix_ms();
    let is_wanted =
        |letter: &&Letter| (args.all || !letter.requeued) && args.filter.takes(letter, now);
    let mut letters: Vec<&Letter> = pile.letters.values().filter(is_wanted).collect();
    letters.sort_by_key(|letter| (letter.failed_at_unix_ms, letter.letter));
    let newest = letters.split_off(letters.len().saturating_sub(args.limit));
    let older = letters.len();
    let newest: Vec<Letter> = newest.into_iter().cloned().collect();
    let nothing = match pile.letters.len() {
        0 => "there are no dead letters".to_owned(),
        all => format!("none of {all} dead letters is meant; --all shows those written back, too"),
    };
    output::print(output, &newest, &nothing)?;
    if output == Output::Text && older > 0 {
        let hint = format!("… and {older} older ones; --limit shows more\n");
        output::write(hint.as_bytes())?;
    }
    pile.check_readable()
}
