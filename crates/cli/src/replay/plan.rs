//! What a replay is: which requests, by which version, to which topic. Written down before the first of them is sent.

use std::collections::BTreeMap;

use anyhow::bail;
use millrace_kafka::TopicSpec;
use serde::{Deserialize, Serialize};

use super::Args;
use super::stretch::{Edge, Offsets};
use crate::connection::Connection;
use crate::exit::Exit;
use crate::served::Served;
use crate::when;

/// A replay, as it stands in the topic `<prefix>.replays`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Plan {
    /// 64 random bits; the group is named after it, and its results are marked with it.
    pub(super) id: String,
    pub(super) model: String,
    pub(super) version: i64,
    /// The topic of the requests.
    pub(super) requests: String,
    /// The topic of the results that these requests were answered with.
    pub(super) originals: String,
    /// The topic of the results of the replay.
    pub(super) to: String,
    pub(super) begun_unix_ms: i64,
    /// Where the stretch begins.
    pub(super) from: Offsets,
    /// Where it ends; `None` as long as live requests are followed.
    pub(super) until: Option<Offsets>,
    /// Where `to` ended before the first result was written.
    pub(super) to_from: Offsets,
}

/// The topics of a replay.
pub(super) struct Topics {
    pub(super) requests: String,
    pub(super) originals: String,
    pub(super) to: String,
}

impl Topics {
    /// The topics, all of them there in the end.
    ///
    /// # Errors
    /// `--to` is a topic that the line has for something else, or cannot be made.
    pub(super) fn prepare(args: &Args, connection: &Connection) -> anyhow::Result<Self> {
        let model = &args.model.name;
        let own = connection.topic("");
        let to = match args.to.starts_with(&own) {
            true => args.to.clone(),
            false => connection.topic(&args.to),
        };
        let topics = Self {
            requests: connection.topic(&format!("requests.{model}")),
            originals: connection.topic(&format!("results.{model}")),
            to,
        };
        topics.check(connection)?;
        topics.create(connection)?;
        Ok(topics)
    }

    fn check(&self, connection: &Connection) -> anyhow::Result<()> {
        let name = self.to.strip_prefix(&connection.topic(""));
        let name = name.unwrap_or(&self.to);
        let of_model = connection
            .models()?
            .into_iter()
            .any(|model| name == format!("results.{model}"));
        let is_ours = [
            "replies",
            "models",
            "control",
            "idempotency",
            "dead-letters",
            "replays",
        ]
        .contains(&name)
            || name.starts_with("requests.");
        if of_model || is_ours {
            return Err(Exit::Usage.error(format!(
                "topic {} is one of the line's own; results of a replay need another, such as \
                 --to results.shadow",
                self.to
            )));
        }
        Ok(())
    }

    fn create(&self, connection: &Connection) -> anyhow::Result<()> {
        let admin = &connection.admin;
        if admin.partition_count(&self.to)?.is_some() {
            return Ok(());
        }
        let layouts = admin.layouts()?;
        let Some(layout) = layouts.iter().find(|it| it.name == self.originals) else {
            return Err(Exit::Missing.error(format!(
                "topic {} does not exist; create it: millrace topics apply",
                self.originals
            )));
        };
        let replicas = layout.partitions.first().map_or(1, |it| it.replicas);
        let mut config = BTreeMap::new();
        for key in ["retention.ms", "max.message.bytes", "min.insync.replicas"] {
            if let Some(value) = admin.topic_config(&self.originals)?.remove(key) {
                config.insert(key.to_owned(), value);
            }
        }
        admin.create_topics(&[TopicSpec {
            name: self.to.clone(),
            partitions: i32::try_from(layout.partitions.len())?,
            replication: i32::try_from(replicas)?,
            config,
        }])?;
        Ok(())
    }
}

impl Plan {
    /// A new replay of this stretch.
    ///
    /// # Errors
    /// The stretch is empty, or the topics cannot be read.
    pub(super) fn new(
        args: &Args,
        connection: &Connection,
        (topics, served): (&Topics, &Served),
    ) -> anyhow::Result<Self> {
        let default = if args.follow {
            Edge::End
        } else {
            Edge::Beginning
        };
        let from = args.from.unwrap_or(default);
        let from = from.offsets(connection, &topics.requests)?;
        let until = match args.follow {
            true => None,
            false => {
                let until = args.until.unwrap_or(Edge::End);
                Some(until.offsets(connection, &topics.requests)?)
            }
        };
        let plan = Self {
            id: format!("{:016x}", rand::random::<u64>()),
            model: served.model.clone(),
            version: served.version,
            requests: topics.requests.clone(),
            originals: topics.originals.clone(),
            to: topics.to.clone(),
            begun_unix_ms: when::now_unix_ms(),
            from,
            until,
            to_from: Edge::End.offsets(connection, &topics.to)?,
        };
        if plan.until.is_some() && plan.places() == 0 {
            bail!(
                "there is no request in topic {} between --from and --until",
                plan.requests
            );
        }
        Ok(plan)
    }

    /// Under which name it stands in the topic of replays: one at a time for these three.
    pub(super) fn key(model: &str, version: i64, to: &str) -> String {
        format!("{model}@{version} {to}")
    }

    /// The group whose offsets say how far it has come.
    pub(super) fn group(&self, prefix: &str) -> String {
        format!("{prefix}.replay.{}", self.id)
    }

    /// Offsets of the stretch; not every one of them need hold a request.
    pub(super) fn places(&self) -> u64 {
        let Some(until) = &self.until else {
            return 0;
        };
        let spans = self.from.iter().map(|(partition, from)| {
            let until = until.get(partition).unwrap_or(from);
            u64::try_from(until - from).unwrap_or(0)
        });
        spans.sum()
    }
}
