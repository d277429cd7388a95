//! `millrace dead-letters`: records that could never succeed. This view only reads.

use std::collections::BTreeMap;

use clap::Subcommand;
use millrace_wire::avro::DeadLetter;
use serde::Serialize;

use crate::connection::Connection;
use crate::output::{self, Line, Output};
use crate::whole_topic;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List the newest ones
    List(ListArgs),
}

#[derive(clap::Args)]
pub(crate) struct ListArgs {
    /// How many
    #[arg(long, default_value_t = 20)]
    limit: usize,
}

#[derive(Serialize)]
struct Letter {
    failed_at_unix_ms: i64,
    stage: String,
    code: String,
    record: String,
    model: String,
    attempts: i32,
    value_bytes: Option<usize>,
    reason: String,
}

impl Line for Letter {
    const HEADINGS: &'static [&'static str] = &["STAGE", "CODE", "RECORD", "REASON"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.stage.clone(),
            self.code.clone(),
            self.record.clone(),
            self.reason.clone(),
        ]
    }
}

pub(crate) fn run(
    command: &Command,
    connection: &Connection,
    output: Output,
) -> anyhow::Result<()> {
    let Command::List(ListArgs { limit }) = command;
    let topic = format!("{}.dead-letters", connection.prefix);
    let mut newest = BTreeMap::new();
    let mut undecodable = 0usize;
    whole_topic::read(connection, &topic, |record| {
        let place = (record.partition, record.offset);
        let Some(Ok(letter)) = record.value.as_deref().map(DeadLetter::decode) else {
            undecodable += 1;
            return;
        };
        newest.insert((letter.failed_at_unix_ms, place), line(letter));
        if newest.len() > *limit {
            newest.pop_first();
        }
    })?;
    let lines: Vec<Letter> = newest.into_values().collect();
    output::print(output, &lines, "there are no dead letters")?;
    if undecodable > 0 {
        anyhow::bail!(
            "{undecodable} records of topic {topic} are no dead letters; is this tool older than the line?"
        );
    }
    Ok(())
}

fn line(letter: DeadLetter) -> Letter {
    Letter {
        failed_at_unix_ms: letter.failed_at_unix_ms,
        stage: letter.stage,
        code: letter.code,
        record: format!("{}/{}/{}", letter.topic, letter.partition, letter.offset),
        model: letter.model,
        attempts: letter.attempts,
        value_bytes: letter.value.as_ref().map(Vec::len),
        reason: letter.reason,
    }
}
