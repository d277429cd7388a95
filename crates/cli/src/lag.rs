//! `millrace lag`: how many records infer and sink have not finished yet.

use serde::Serialize;

use crate::connection::Connection;
use crate::output::{self, Line, Output};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Show this pipeline of a sink too; may be repeated
    #[arg(long = "pipeline", value_name = "NAME")]
    pipelines: Vec<String>,
}

#[derive(Serialize)]
struct Behind {
    group: String,
    topic: String,
    partition: i32,
    committed: Option<i64>,
    end: i64,
    lag: i64,
}

impl Line for Behind {
    const HEADINGS: &'static [&'static str] = &["LAG", "COMMITTED", "END", "GROUP", "PARTITION"];

    fn cells(&self) -> Vec<String> {
        let committed = self.committed.map(|offset| offset.to_string());
        vec![
            self.lag.to_string(),
            committed.unwrap_or_else(|| "none".to_owned()),
            self.end.to_string(),
            self.group.clone(),
            format!("{}/{}", self.topic, self.partition),
        ]
    }
}

pub(crate) fn run(args: &Args, connection: &Connection, output: Output) -> anyhow::Result<()> {
    let prefix = &connection.prefix;
    let (requests, results) = (format!("{prefix}.requests."), format!("{prefix}.results."));
    let mut lines = Vec::new();
    let mut topics = connection.admin.topics()?;
    topics.sort();
    for topic in &topics {
        if let Some(model) = topic.strip_prefix(&requests) {
            lines.extend(behind(
                connection,
                format!("{prefix}.infer.{model}"),
                topic,
            )?);
        } else if topic.starts_with(&results) {
            for pipeline in &args.pipelines {
                lines.extend(behind(
                    connection,
                    format!("{prefix}.sink.{pipeline}"),
                    topic,
                )?);
            }
        }
    }
    let nothing =
        format!("no topic begins with {requests}; create some: millrace topics apply --model NAME");
    output::print(output, &lines, &nothing)
}

fn behind(connection: &Connection, group: String, topic: &str) -> anyhow::Result<Vec<Behind>> {
    let mut lines = Vec::new();
    for partition in connection.admin.lag(&group, topic)? {
        lines.push(Behind {
            group: group.clone(),
            topic: topic.to_owned(),
            partition: partition.partition,
            committed: partition.committed,
            end: partition.end,
            lag: partition.lag,
        });
    }
    Ok(lines)
}
