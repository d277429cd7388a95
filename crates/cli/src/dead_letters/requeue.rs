//! `millrace dead-letters requeue`: records go back to the topics they came from, each once.
//!
//! The record and the note that it was written back are one Kafka transaction. Its name is the
//! line's, so a second requeue at the same time fences the first one off, and what is read after
//! the start holds the notes of all that were before.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use millrace_kafka::{
    Metrics, ProducerSettings, TransactionError, TransactionSettings, Transactions,
};
use serde::Serialize;

use crate::ask::{self, Yes};
use crate::connection::Connection;
use crate::exit::Exit;
use crate::output::{self, Line, Output};
use crate::when;
use crate::whole_topic::MAX_RECORD_BYTES;

use super::filter::Filter;
use super::marker;
use super::original;
use super::pile::{Letter, Letters, Pile};
use super::place::Coordinates;

const TIMEOUT: Duration = Duration::from_secs(60);
const MAX_QUEUE_BYTES: usize = 64 << 20;
/// Values of one transaction; a single one may be larger.
const CHUNK_BYTES: usize = 8 << 20;
const CHUNK_RECORDS: usize = 500;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// partition@offset of letters, or topic/partition@offset of their sources
    #[arg(value_parser = Coordinates::parse, value_name = "LETTER")]
    letters: Vec<Coordinates>,
    #[command(flatten)]
    filter: Filter,
    /// All that were not written back
    #[arg(long)]
    all: bool,
    /// Those that were written back, too
    #[arg(long)]
    again: bool,
    #[command(flatten)]
    yes: Yes,
}

#[derive(Serialize)]
struct Requeued {
    letter: String,
    source: String,
    to: String,
}

impl Line for Requeued {
    const HEADINGS: &'static [&'static str] = &["LETTER", "WRITTEN BACK TO"];

    fn cells(&self) -> Vec<String> {
        vec![self.letter.clone(), self.to.clone()]
    }
}

pub(super) fn run(args: &Args, connection: &Connection, output: Output) -> anyhow::Result<()> {
    if args.letters.is_empty() && args.filter.is_empty() && !args.all {
        let hint = "say which: LETTER as `millrace dead-letters list` shows it, or --model, --code, \
                    --stage, --since, or --all";
        return Err(Exit::Usage.error(hint));
    }
    let mut transactions = open(connection)?;
    transactions
        .prepare()
        .context("no transaction can be begun")?;
    let pile = Pile::read(connection)?;
    let chosen = choose(args, &pile)?;
    if chosen.is_empty() {
        return output::print::<Requeued>(
            output,
            &[],
            "no dead letter is meant; nothing was written",
        );
    }
    ask::confirm(&args.yes, &question(&chosen, connection))?;
    let letters = Letters::open(connection)?;
    let mut written = Vec::new();
    for chunk in chunks(&chosen) {
        let done = write(chunk, (&letters, &mut transactions), &pile.topic);
        match done {
            Ok(lines) => written.extend(lines),
            Err(error) => {
                output::print(output, &written, "nothing was written back")?;
                return Err(error);
            }
        }
    }
    output::print(output, &written, "")
}

fn open(connection: &Connection) -> anyhow::Result<Transactions> {
    let settings = TransactionSettings {
        producer: ProducerSettings {
            cluster: connection.cluster.clone(),
            max_queue_bytes: MAX_QUEUE_BYTES,
            max_record_bytes: MAX_RECORD_BYTES,
            ..ProducerSettings::default()
        },
        transactional_id: format!("{}.requeue", connection.prefix),
        timeout: TIMEOUT,
    };
    Ok(Transactions::open(&settings, &Metrics::default())?)
}

/// The letters that are meant, oldest first.
fn choose<'p>(args: &Args, pile: &'p Pile) -> anyhow::Result<Vec<&'p Letter>> {
    let mut chosen = Vec::new();
    for coordinates in &args.letters {
        let letter = pile.find(coordinates)?;
        if letter.requeued && !args.again {
            return Err(Exit::No.error(format!(
                "dead letter {} was written back before; --again writes it once more",
                letter.letter
            )));
        }
        if letter.value_bytes.is_none() {
            return Err(Exit::No.error(format!(
                "dead letter {} has no value to write back; its record may still be at {}",
                letter.letter, letter.source
            )));
        }
        chosen.push(letter);
    }
    if args.all || !args.filter.is_empty() {
        let now = when::now_unix_ms();
        chosen.extend(pile.letters.values().filter(|letter| {
            (args.again || !letter.requeued)
                && letter.value_bytes.is_some()
                && args.filter.takes(letter, now)
        }));
    }
    chosen.sort_by_key(|letter| (letter.failed_at_unix_ms, letter.letter));
    chosen.dedup_by_key(|letter| letter.letter);
    Ok(chosen)
}

fn question(chosen: &[&Letter], connection: &Connection) -> String {
    let mut topics: BTreeMap<&str, usize> = BTreeMap::new();
    for letter in chosen {
        *topics.entry(&letter.topic).or_default() += 1;
    }
    let results = connection.topic("results.");
    let is_read_by_all = topics.keys().any(|topic| topic.starts_with(&results));
    let counts: Vec<String> = topics
        .iter()
        .map(|(topic, count)| format!("{count} to {topic}"))
        .collect();
    let warning = match is_read_by_all {
        true => " Results go to every pipeline and every reader of their topic again.",
        false => "",
    };
    format!("Write back {}?{warning}", counts.join(", "))
}

/// Runs of letters that one transaction takes.
fn chunks<'c, 'p>(chosen: &'c [&'p Letter]) -> Vec<&'c [&'p Letter]> {
    let (mut chunks, mut begin, mut bytes) = (Vec::new(), 0, 0);
    for (index, letter) in chosen.iter().enumerate() {
        let size = letter.value_bytes.unwrap_or_default();
        if index > begin && (bytes + size > CHUNK_BYTES || index - begin == CHUNK_RECORDS) {
            chunks.push(&chosen[begin..index]);
            (begin, bytes) = (index, 0);
        }
        bytes += size;
    }
    chunks.push(&chosen[begin..]);
    chunks
}

fn write(
    chunk: &[&Letter],
    (letters, transactions): (&Letters, &mut Transactions),
    topic: &str,
) -> anyhow::Result<Vec<Requeued>> {
    let topic: Arc<str> = topic.into();
    let (mut records, mut lines) = (Vec::new(), Vec::new());
    for letter in chunk {
        let record = original::of(letters.read(letter.letter)?);
        lines.push(Requeued {
            letter: letter.letter.to_string(),
            source: letter.source.clone(),
            to: format!("{}/{}", record.topic, record.partition.unwrap_or_default()),
        });
        records.push(record);
        records.push(marker::of(&topic, letter.letter));
    }
    match transactions.write(&records) {
        Ok(()) => Ok(lines),
        Err(TransactionError::Unknown(cause)) => {
            // Ends what may be open, so that the list is right.
            let settled = transactions.renew();
            let sentence = format!(
                "nobody knows whether the last {} were written back: {cause}; \
                 millrace dead-letters list no longer shows them if they were",
                lines.len()
            );
            settled.context(sentence.clone())?;
            Err(anyhow::anyhow!(sentence))
        }
        Err(TransactionError::Refused { index, source }) => {
            let place = chunk.get(index / 2).map(|letter| letter.source.clone());
            let beside = match lines.len() {
                1 => String::new(),
                several => format!(", nor were the {} beside it", several - 1),
            };
            let sentence = format!(
                "{} was not written back{beside}: {source}; do its topic and partition still exist?",
                place.unwrap_or_default()
            );
            Err(anyhow::anyhow!(sentence))
        }
        Err(error) => Err(anyhow::Error::new(error).context(format!(
            "{} were not written back; is another requeue at work?",
            lines.len()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dead_letters::pile::tests::pile;

    #[test]
    fn a_transaction_takes_so_many_bytes_and_records() {
        let mut pile = pile(0..1200);
        let bytes: Vec<usize> = vec![CHUNK_BYTES + 1, 3 << 20, 3 << 20, 3 << 20];
        for (letter, bytes) in pile.letters.values_mut().zip(bytes) {
            letter.value_bytes = Some(bytes);
        }
        let letters: Vec<&Letter> = pile.letters.values().collect();
        let sizes: Vec<usize> = chunks(&letters).iter().map(|chunk| chunk.len()).collect();
        assert_eq!(sizes, [1, 2, 500, 500, 197]);
    }

    #[test]
    fn what_was_written_back_is_not_chosen_again_by_accident() {
        let mut pile = pile(0..3);
        pile.letters.values_mut().next().unwrap().requeued = true;
        let mut args = Args {
            letters: Vec::new(),
            filter: clap_filter(),
            all: true,
            again: false,
            yes: yes(),
        };
        assert_eq!(choose(&args, &pile).unwrap().len(), 2);
        args.letters = vec![Coordinates::parse("0@0").unwrap()];
        let error = choose(&args, &pile).unwrap_err();
        assert!(error.to_string().contains("--again"), "{error}");
        args.again = true;
        assert_eq!(choose(&args, &pile).unwrap().len(), 3);
    }

    #[derive(clap::Parser)]
    struct Parsed {
        #[command(flatten)]
        filter: Filter,
        #[command(flatten)]
        yes: Yes,
    }

    fn clap_filter() -> Filter {
        <Parsed as clap::Parser>::parse_from(["test"]).filter
    }

    fn yes() -> Yes {
        <Parsed as clap::Parser>::parse_from(["test"]).yes
    }
}
