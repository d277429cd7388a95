//! The lanes of a model: topics of requests that somebody waits for, and of those that may wait.

use clap::ValueEnum;
use serde::Serialize;

use crate::connection::Connection;
use crate::exit::Exit;
use crate::served::Served;

/// The end of the name of a bulk lane's topic.
pub(crate) const BULK_END: &str = ".bulk";

/// Which of a model's topics of requests is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Lane {
    /// Goes first
    #[default]
    Interactive,
    /// Gets what the other leaves, and a share while both have work
    Bulk,
}

impl Lane {
    pub(crate) const ALL: [Self; 2] = [Self::Interactive, Self::Bulk];

    /// The name of the lane's topic, without the line's prefix.
    pub(crate) fn requests(self, model: &str) -> String {
        format!("requests.{model}{}", self.end())
    }

    /// What stands behind a model's name in topics and groups.
    pub(crate) fn end(self) -> &'static str {
        match self {
            Self::Interactive => "",
            Self::Bulk => BULK_END,
        }
    }

    /// Makes sure that somebody reads the lane.
    ///
    /// # Errors
    /// A sentence that says what to do.
    pub(crate) fn check(self, served: &Served, connection: &Connection) -> anyhow::Result<()> {
        let model = &served.model;
        if self == Self::Bulk && !served.has_bulk {
            return Err(Exit::Missing.error(format!(
                "nobody reads the bulk lane of model {model}: set `bulk.enabled = true` in infer's settings, or `enabled = \
                 true` under [bulk] in its model.toml, and restart infer"
            )));
        }
        let topic = connection.topic(&self.requests(model));
        if connection.admin.partition_count(&topic)?.is_none() {
            return Err(Exit::Missing.error(format!(
                "topic {topic} does not exist; create it: millrace topics apply --model {model}"
            )));
        }
        Ok(())
    }
}
