//! `millrace topics apply`.

use anyhow::Context;
use millrace_kafka::{TopicOutcome, TopicSpec};
use serde::Serialize;

use crate::connection::Connection;
use crate::exit::Exit;
use crate::output::{self, Line, Output};

use super::description::Description;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    description: Description,
}

/// A topic that is there now.
#[derive(Serialize)]
pub(crate) struct Applied {
    topic: String,
    outcome: &'static str,
    partitions: usize,
    #[serde(skip)]
    described: i32,
}

impl Line for Applied {
    const HEADINGS: &'static [&'static str] = &["OUTCOME", "PARTITIONS", "TOPIC"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.outcome.to_owned(),
            self.partitions.to_string(),
            self.topic.clone(),
        ]
    }
}

pub(super) fn run(args: &Args, connection: &Connection, output: Output) -> anyhow::Result<()> {
    let applied = create(&args.description, connection)?;
    output::print(output, &applied, "the file describes no topics")?;
    let differing: Vec<String> = applied.iter().filter_map(difference).collect();
    if !differing.is_empty() {
        return Err(Exit::No.error(format!(
            "{}; change the number in a file of your own (--file), or add partitions with Kafka's tools (keys then move to other partitions), or delete the topic and apply again",
            differing.join("; ")
        )));
    }
    Ok(())
}

/// Creates what is missing of what is described.
pub(crate) fn create(
    description: &Description,
    connection: &Connection,
) -> anyhow::Result<Vec<Applied>> {
    let specs = description.specs(&connection.prefix)?;
    specs.iter().map(|spec| apply(spec, connection)).collect()
}

fn difference(applied: &Applied) -> Option<String> {
    let is_same = Ok(applied.partitions) == usize::try_from(applied.described);
    (!is_same).then(|| {
        format!(
            "topic {} has {} partitions, the description says {}",
            applied.topic, applied.partitions, applied.described
        )
    })
}

fn apply(spec: &TopicSpec, connection: &Connection) -> anyhow::Result<Applied> {
    let admin = &connection.admin;
    let mut outcome = TopicOutcome::Exists;
    let mut partitions = admin.partition_count(&spec.name)?;
    if partitions.is_none() {
        let created = admin
            .create_topics(std::slice::from_ref(spec))
            .with_context(|| format!("topic {} cannot be created", spec.name))?;
        outcome = created.first().map_or(outcome, |(_, outcome)| *outcome);
        partitions = Some(admin.wait_for_topic(&spec.name)?);
    }
    Ok(Applied {
        topic: spec.name.clone(),
        outcome: match outcome {
            TopicOutcome::Created => "created",
            TopicOutcome::Exists => "exists",
        },
        partitions: partitions.unwrap_or(0),
        described: spec.partitions,
    })
}
