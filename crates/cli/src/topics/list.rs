//! `millrace topics list`.

use serde::Serialize;

use crate::connection::Connection;
use crate::output::{self, Line, Output};

#[derive(Serialize)]
struct Topic {
    topic: String,
    partitions: usize,
    records: i64,
}

impl Line for Topic {
    const HEADINGS: &'static [&'static str] = &["PARTITIONS", "RECORDS", "TOPIC"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.partitions.to_string(),
            self.records.to_string(),
            self.topic.clone(),
        ]
    }
}

pub(super) fn run(connection: &Connection, output: Output) -> anyhow::Result<()> {
    let admin = &connection.admin;
    let start = format!("{}.", connection.prefix);
    let mut names = admin.topics()?;
    names.retain(|name| name.starts_with(&start));
    names.sort();
    let mut topics = Vec::with_capacity(names.len());
    for topic in names {
        let ends = admin.end_offsets(&topic)?;
        topics.push(Topic {
            partitions: ends.len(),
            records: ends.values().sum(),
            topic,
        });
    }
    let nothing = format!("no topic begins with {start}; create some: millrace topics apply");
    output::print(output, &topics, &nothing)
}
