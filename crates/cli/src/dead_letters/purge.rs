//! `millrace dead-letters purge`: deletes the oldest letters of each partition, for good.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::ask::{self, Yes};
use crate::connection::Connection;
use crate::exit::Exit;
use crate::output::{self, Line, Output};
use crate::when;

use super::pile::{Letter, Pile};
use super::place::{Coordinates, Place};

#[derive(clap::Args)]
#[group(required = true, multiple = false, id = "which", args = ["older_than", "up_to", "all"])]
pub(crate) struct Args {
    /// Those that failed longer ago than this, such as 7days
    #[arg(long, value_name = "SPAN", value_parser = when::parse_span)]
    older_than: Option<Duration>,
    /// This one and all older ones of its partition; may be repeated
    #[arg(long, value_name = "LETTER", value_parser = Coordinates::parse)]
    up_to: Vec<Coordinates>,
    /// All
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    yes: Yes,
}

#[derive(Serialize)]
struct Purged {
    partition: i32,
    deleted: usize,
    /// Offset of the first record that is left.
    first_offset: i64,
}

impl Line for Purged {
    const HEADINGS: &'static [&'static str] = &["PARTITION", "DELETED", "BEGINS AT"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.partition.to_string(),
            self.deleted.to_string(),
            self.first_offset.to_string(),
        ]
    }
}

pub(super) fn run(args: &Args, connection: &Connection, output: Output) -> anyhow::Result<()> {
    let pile = Pile::read(connection)?;
    let spans = connection.admin.spans(&pile.topic)?;
    let ends: BTreeMap<i32, i64> = spans
        .iter()
        .map(|(&partition, span)| (partition, span.end))
        .collect();
    let mut bounds = bounds(args, &pile, &ends, when::now_unix_ms())?;
    // Where nothing would go, nothing is asked of the broker.
    bounds.retain(|partition, bound| spans.get(partition).is_some_and(|it| *bound > it.start));
    let doomed = |letter: &&Letter| {
        let bound = bounds.get(&letter.letter.partition);
        bound.is_some_and(|&bound| letter.letter.offset < bound)
    };
    let doomed: Vec<&Letter> = pile.letters.values().filter(doomed).collect();
    if doomed.is_empty() {
        return output::print::<Purged>(
            output,
            &[],
            "no dead letter is meant; nothing was deleted",
        );
    }
    let kept = doomed.iter().filter(|letter| !letter.requeued).count();
    let question = format!(
        "Delete {} of {} dead letters for good? {kept} of them were never written back.",
        doomed.len(),
        pile.letters.len()
    );
    ask::confirm(&args.yes, &question)?;
    let firsts = connection
        .admin
        .delete_records_before(&pile.topic, &bounds)?;
    let deleted = |partition: i32| {
        let of_it = doomed
            .iter()
            .filter(|letter| letter.letter.partition == partition);
        of_it.count()
    };
    let lines: Vec<Purged> = firsts
        .into_iter()
        .map(|(partition, first_offset)| Purged {
            partition,
            deleted: deleted(partition),
            first_offset,
        })
        .collect();
    output::print(output, &lines, "nothing was deleted")
}

/// The offset up to which each partition loses its records.
fn bounds(
    args: &Args,
    pile: &Pile,
    ends: &BTreeMap<i32, i64>,
    now_unix_ms: i64,
) -> anyhow::Result<BTreeMap<i32, i64>> {
    let mut bounds = BTreeMap::new();
    for coordinates in &args.up_to {
        let Place { partition, offset } = pile.find(coordinates)?.letter;
        let bound = bounds.entry(partition).or_insert(0);
        *bound = (offset + 1).max(*bound);
    }
    if args.all {
        return Ok(ends.clone());
    }
    if let Some(age) = args.older_than {
        // A partition is deleted up to its first letter that is young enough.
        bounds.clone_from(ends);
        for letter in pile.letters.values().rev() {
            if when::ago(letter.failed_at_unix_ms, now_unix_ms) <= age {
                bounds.insert(letter.letter.partition, letter.letter.offset);
            }
        }
    }
    if bounds.keys().any(|partition| !ends.contains_key(partition)) {
        return Err(Exit::Failed.error("the topic's partitions have changed; try again"));
    }
    Ok(bounds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dead_letters::pile::tests::pile;

    #[derive(clap::Parser)]
    struct Parsed {
        #[command(flatten)]
        args: Args,
    }

    fn bound(arguments: &[&str]) -> Option<i64> {
        let words = ["test"].iter().chain(arguments);
        let parsed = <Parsed as clap::Parser>::parse_from(words);
        // Letters 0 to 9 failed at as many seconds; now is 9 s, and a note lies at the end.
        let bounds = bounds(&parsed.args, &pile(0..10), &BTreeMap::from([(0, 11)]), 9000);
        bounds.unwrap().get(&0).copied()
    }

    #[test]
    fn a_partition_is_deleted_from_its_beginning() {
        assert_eq!(bound(&["--all"]), Some(11));
        assert_eq!(bound(&["--up-to", "0@4"]), Some(5));
        assert_eq!(bound(&["--up-to", "0@4", "--up-to", "0@2"]), Some(5));
        assert_eq!(bound(&["--older-than", "3s"]), Some(6));
        assert_eq!(bound(&["--older-than", "1h"]), Some(0));
        assert_eq!(bound(&["--older-than", "0s"]), Some(9));
    }

    #[test]
    fn one_way_of_choosing_must_be_named() {
        for arguments in [&["test"][..], &["test", "--all", "--older-than", "1h"]] {
            assert!(<Parsed as clap::Parser>::try_parse_from(arguments).is_err());
        }
    }
}
