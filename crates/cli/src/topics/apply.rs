//! `millrace topics apply`.

use std::path::PathBuf;

use anyhow::{Context, bail};
use millrace_kafka::{TopicOutcome, TopicSpec};
use serde::Serialize;

use super::file::TopicsFile;
use crate::connection::Connection;
use crate::output::{self, Line, Output};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Create the topics of this model too; may be repeated
    #[arg(long = "model", value_name = "NAME")]
    models: Vec<String>,
    /// Describe topics in this file instead of the built-in schemas/topics.yaml
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Partitions of the models' requests and results, instead of what the file says
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
    /// Replicas of every topic, instead of what the file says
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(i32).range(1..))]
    replication: Option<i32>,
}

#[derive(Serialize)]
struct Applied {
    topic: String,
    outcome: &'static str,
    partitions: usize,
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
    let mut file = TopicsFile::read(args.file.as_deref())?;
    if let Some(partitions) = args.partitions {
        file.set_partitions_of_models(partitions);
    }
    let mut specs = file.expand(&connection.prefix, &args.models)?;
    for spec in &mut specs {
        spec.replication = args.replication.unwrap_or(spec.replication);
    }
    let mut applied = Vec::with_capacity(specs.len());
    let mut differing = Vec::new();
    for spec in &specs {
        let line = apply(spec, connection)?;
        if Ok(line.partitions) != usize::try_from(spec.partitions) {
            differing.push(format!(
                "topic {} has {} partitions, the description says {}",
                spec.name, line.partitions, spec.partitions
            ));
        }
        applied.push(line);
    }
    output::print(output, &applied, "the file describes no topics")?;
    if !differing.is_empty() {
        bail!(
            "{}; change the number in a file of your own (--file), or add partitions with Kafka's tools (keys then move to other partitions), or delete the topic and apply again",
            differing.join("; ")
        );
    }
    Ok(())
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
        partitions = admin.partition_count(&spec.name)?;
    }
    Ok(Applied {
        topic: spec.name.clone(),
        outcome: match outcome {
            TopicOutcome::Created => "created",
            TopicOutcome::Exists => "exists",
        },
        partitions: partitions.unwrap_or(0),
    })
}
