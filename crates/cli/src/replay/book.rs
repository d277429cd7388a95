//! The topic `<prefix>.replays`: what each replay is, and its report once it is finished.

use std::sync::Arc;

use anyhow::Context;
use millrace_kafka::{Headers, OutRecord, TopicSpec};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::plan::{Plan, Topics};
use crate::connection::Connection;
use crate::whole_topic;

/// What is written about a replay; the newest says all.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Page {
    pub(super) plan: Plan,
    /// `None` until it is finished.
    pub(super) report: Option<Value>,
}

/// The topic's name; made if it is not there.
pub(super) fn prepare(connection: &Connection, topics: &Topics) -> anyhow::Result<String> {
    let name = connection.topic("replays");
    let admin = &connection.admin;
    if admin.partition_count(&name)?.is_none() {
        let layouts = admin.layouts()?;
        let beside = layouts.iter().find(|it| it.name == topics.originals);
        let replicas = beside
            .and_then(|it| it.partitions.first())
            .map_or(1, |it| it.replicas);
        let config = [("cleanup.policy".to_owned(), "compact".to_owned())];
        admin.create_topics(&[TopicSpec {
            name: name.clone(),
            partitions: 1,
            replication: i32::try_from(replicas)?,
            config: config.into(),
        }])?;
    }
    Ok(name)
}

/// The newest page of this key.
pub(super) fn read(
    connection: &Connection,
    topic: &str,
    key: &str,
) -> anyhow::Result<Option<Page>> {
    let mut newest = None;
    whole_topic::read(connection, topic, |record| {
        if record.key.as_deref() == Some(key.as_bytes()) {
            newest = record.value;
        }
    })?;
    newest
        .map(|value| serde_json::from_slice(&value))
        .transpose()
        .with_context(|| format!("topic {topic} says of {key} what this tool does not understand"))
}

/// A page as a record.
pub(super) fn record(topic: &str, key: &str, page: &Page) -> anyhow::Result<OutRecord> {
    Ok(OutRecord {
        topic: Arc::from(topic),
        partition: Some(0),
        key: Some(key.as_bytes().to_vec()),
        value: Some(serde_json::to_vec(page)?),
        headers: Headers::new(),
    })
}
