//! `millrace claims purge`: deletes values that no record of the line names any more.

use std::time::Duration;

use anyhow::bail;
use serde::Serialize;

use crate::ask::{self, Yes};
use crate::connection::{Connection, ConnectionArgs};
use crate::lane::Lane;
use crate::output::{self, Line, Output};
use crate::when;

/// Kafka's name for how long a topic keeps a record; -1 is for ever.
const RETENTION: &str = "retention.ms";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Values that were written longer ago than this, such as 40days
    #[arg(long, value_name = "SPAN", value_parser = when::parse_span)]
    older_than: Duration,
    /// Only say how much it would be
    #[arg(long)]
    dry_run: bool,
    /// Even values that a record may still name: it will become a dead letter
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    yes: Yes,
}

#[derive(Serialize)]
struct Deleted {
    objects: u64,
    bytes: u64,
    deleted: bool,
}

impl Line for Deleted {
    const HEADINGS: &'static [&'static str] = &["VALUES", "BYTES", "DELETED"];

    fn cells(&self) -> Vec<String> {
        let deleted = if self.deleted { "yes" } else { "no" };
        vec![
            self.objects.to_string(),
            self.bytes.to_string(),
            deleted.to_owned(),
        ]
    }
}

pub(super) fn run(args: &Args, connection: &ConnectionArgs, output: Output) -> anyhow::Result<()> {
    let store = super::needed(&connection.claims()?)?;
    if !args.force {
        check_kept(args.older_than, &connection.open()?)?;
    }
    let found = store.purge(args.older_than, true)?;
    let mut line = Deleted {
        objects: found.objects,
        bytes: found.bytes,
        deleted: false,
    };
    if !args.dry_run && found.objects > 0 {
        let question = format!(
            "Delete {} values of {} bytes for good?",
            found.objects, found.bytes
        );
        ask::confirm(&args.yes, &question)?;
        let gone = store.purge(args.older_than, false)?;
        (line.objects, line.bytes, line.deleted) = (gone.objects, gone.bytes, true);
    }
    output::print(output, &[line], "")
}

/// A value is named by its request or result for as long as that is kept, and after that by a dead letter that may have
/// been written at the last moment.
///
/// # Errors
/// A younger value than `age` may be named by a record.
fn check_kept(age: Duration, connection: &Connection) -> anyhow::Result<()> {
    let mut topics = vec![connection.topic("replies")];
    for model in connection.models()? {
        for lane in Lane::ALL {
            let topic = connection.topic(&lane.requests(&model));
            if connection.admin.partition_count(&topic)?.is_some() {
                topics.push(topic);
            }
        }
        topics.push(connection.topic(&format!("results.{model}")));
    }
    let mut records = Some(Duration::ZERO);
    for topic in &topics {
        records = longer(records, kept(connection, topic)?);
    }
    let letters = kept(connection, &connection.topic("dead-letters"))?;
    let (Some(records), Some(letters)) = (records, letters) else {
        bail!(
            "a topic of the line keeps its records for ever, and with them what they name; --force deletes all the same"
        );
    };
    let needed = records.saturating_add(letters);
    if age < needed {
        bail!(
            "records may name values that are {} old: requests and results are kept for {}, dead letters for {} more; \
             give --older-than {}s or more, or --force",
            when::span(needed),
            when::span(records),
            when::span(letters),
            needed.as_secs()
        );
    }
    Ok(())
}

/// The longer of two retentions; `None` is for ever.
fn longer(left: Option<Duration>, right: Option<Duration>) -> Option<Duration> {
    Some(left?.max(right?))
}

/// How long a topic keeps a record; `None` for ever.
fn kept(connection: &Connection, topic: &str) -> anyhow::Result<Option<Duration>> {
    let config = connection.admin.topic_config(topic)?;
    let millis = config.get(RETENTION).and_then(|text| text.parse().ok());
    Ok(millis.map(Duration::from_millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn for_ever_is_longer_than_anything() {
        let day = Duration::from_secs(86_400);
        assert_eq!(longer(Some(day), Some(Duration::ZERO)), Some(day));
        assert_eq!(longer(Some(day), None), None);
    }
}
