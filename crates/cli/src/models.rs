//! `millrace models`: what `<prefix>.models` says is served, and by whom.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Subcommand;
use millrace_wire::avro::{ModelDescriptor, ModelState};
use serde::Serialize;

use crate::connection::Connection;
use crate::output::{self, Line, Output};
use crate::whole_topic;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List models, versions and the replicas that serve them
    List,
}

#[derive(Serialize)]
struct Served {
    model: String,
    version: i64,
    state: String,
    replica: String,
    labels: Vec<String>,
    engine: String,
    backlog_records: i64,
    /// Negative once the lease has run out.
    lease_left_ms: i64,
    reason: String,
}

impl Line for Served {
    const HEADINGS: &'static [&'static str] =
        &["MODEL", "VERSION", "STATE", "LEASE", "BACKLOG", "REPLICA"];

    fn cells(&self) -> Vec<String> {
        let replica = match self.reason.as_str() {
            "" => self.replica.clone(),
            reason => format!("{} ({reason})", self.replica),
        };
        vec![
            self.model.clone(),
            self.version.to_string(),
            self.state.clone(),
            lease(self.lease_left_ms),
            self.backlog_records.to_string(),
            replica,
        ]
    }
}

pub(crate) fn run(
    command: &Command,
    connection: &Connection,
    output: Output,
) -> anyhow::Result<()> {
    let Command::List = command;
    let topic = format!("{}.models", connection.prefix);
    let mut newest = BTreeMap::new();
    let mut undecodable = 0usize;
    whole_topic::read(connection, &topic, |record| match record.value {
        None => {
            newest.remove(&record.key);
        }
        Some(value) => match ModelDescriptor::decode(&value) {
            Ok(descriptor) => {
                newest.insert(record.key, descriptor);
            }
            Err(_) => undecodable += 1,
        },
    })?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let now_unix_ms = i64::try_from(now.as_millis())?;
    let lines: Vec<Served> = newest
        .into_values()
        .map(|descriptor| served(descriptor, now_unix_ms))
        .collect();
    let nothing = "no model is served; start millrace-infer with the same topics.prefix";
    output::print(output, &lines, nothing)?;
    if undecodable > 0 {
        anyhow::bail!(
            "{undecodable} records of topic {topic} are no model descriptors; is this tool older than the line?"
        );
    }
    Ok(())
}

fn served(descriptor: ModelDescriptor, now_unix_ms: i64) -> Served {
    Served {
        model: descriptor.model,
        version: descriptor.version,
        state: state(descriptor.state).to_owned(),
        replica: descriptor.replica,
        labels: descriptor.labels,
        engine: descriptor.engine,
        backlog_records: descriptor.backlog_records,
        lease_left_ms: descriptor.lease_until_unix_ms.saturating_sub(now_unix_ms),
        reason: descriptor.reason,
    }
}

fn state(state: ModelState) -> &'static str {
    match state {
        ModelState::Loading => "LOADING",
        ModelState::Available => "AVAILABLE",
        ModelState::Unloading => "UNLOADING",
        ModelState::End => "END",
        ModelState::Failed => "FAILED",
    }
}

fn lease(left_ms: i64) -> String {
    if left_ms > 0 {
        format!("{} s left", left_ms / 1000)
    } else {
        format!("gone {} s", left_ms.saturating_neg() / 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lease_says_how_long_it_lasts_or_since_when_it_is_gone() {
        assert_eq!(lease(8_900), "8 s left");
        assert_eq!(lease(-30_500), "gone 30 s");
        assert_eq!(lease(i64::MIN), "gone 9223372036854775 s");
    }
}
