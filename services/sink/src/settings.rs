//! What an operator can set.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use millrace_boot::{AdminSettings, InvalidSetting, TelemetrySettings, Validate};
use millrace_kafka::Cluster;
use serde::{Deserialize, Serialize};

use crate::batch::{Roll, Schemas};

const LONGEST_OUTAGE: Duration = Duration::from_secs(120);

/// Settings of a sink process.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The Kafka cluster.
    pub kafka: Cluster,
    /// Names of topics and groups.
    pub topics: Topics,
    /// Logs and traces.
    pub telemetry: TelemetrySettings,
    /// Where `/live`, `/ready` and `/metrics` are served.
    pub admin: AdminSettings,
    /// The name of this process among its replicas, if it has a lasting one, such as the ordinal
    /// of a stateful set: it keeps its partitions over a quick restart.
    pub instance: Option<String>,
    /// How long a stop or a rebalance waits for open batches to be written.
    #[serde(with = "humantime_serde")]
    pub drain_deadline: Duration,
    /// What to read and where to write it.
    pub pipelines: Vec<PipelineSettings>,
}

/// Names of topics and groups.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Topics {
    /// The first part of every topic and group of one line.
    pub prefix: String,
}

/// One pipeline: topics of results in, one destination out.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PipelineSettings {
    /// Names the consumer group, the progress in a database, and the metrics.
    pub name: String,
    /// Models whose results are read.
    #[serde(default)]
    pub models: Vec<String>,
    /// Further topics of results, by their full names.
    #[serde(default)]
    pub topics: Vec<String>,
    /// The kind of destination.
    pub writer: WriterKind,
    /// The folder of Parquet files, or the SQLite database file.
    pub path: PathBuf,
    /// When a file or a transaction is closed.
    #[serde(default)]
    pub roll: RollSettings,
    /// Bytes of records read and not yet written; also bounds the size of a file.
    #[serde(default = "default_in_flight_bytes")]
    pub max_in_flight_bytes: usize,
    /// Records read and not yet written.
    #[serde(default = "default_in_flight_records")]
    pub max_in_flight_records: usize,
    /// How long a full disk or a locked database is waited for before the process gives up.
    #[serde(default = "default_outage", with = "humantime_serde")]
    pub max_outage: Duration,
}

/// The kinds of destinations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WriterKind {
    /// A folder of Parquet files.
    Parquet,
    /// A SQLite database.
    Sqlite,
}

/// A batch is closed at the first of these; what is left out follows the kind of writer.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RollSettings {
    /// Rows in a file or transaction; 100,000 or 5,000.
    pub rows: Option<usize>,
    /// Bytes of records, as they came from Kafka, in a file or transaction; 64 MiB or 16 MiB.
    pub bytes: Option<usize>,
    /// Age of the oldest record that is waiting; 30 s or 200 ms.
    #[serde(with = "humantime_serde")]
    pub age: Option<Duration>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            kafka: Cluster::default(),
            topics: Topics::default(),
            telemetry: TelemetrySettings::default(),
            admin: AdminSettings::on_port(9102),
            instance: None,
            drain_deadline: Duration::from_secs(20),
            pipelines: Vec::new(),
        }
    }
}

impl Default for Topics {
    fn default() -> Self {
        Self {
            prefix: "millrace".to_owned(),
        }
    }
}

fn default_in_flight_bytes() -> usize {
    128 << 20
}

fn default_in_flight_records() -> usize {
    200_000
}

fn default_outage() -> Duration {
    Duration::from_secs(60)
}

impl PipelineSettings {
    /// All topics that the pipeline reads.
    pub(crate) fn all_topics(&self, prefix: &str) -> Vec<String> {
        let results = |model: &String| format!("{prefix}.results.{model}");
        let mut topics: BTreeSet<String> = self.models.iter().map(results).collect();
        topics.extend(self.topics.iter().cloned());
        topics.into_iter().collect()
    }

    pub(crate) fn roll(&self) -> Roll {
        let (rows, size_bytes, age, schemas) = match self.writer {
            WriterKind::Parquet => (100_000, 64 << 20, Duration::from_secs(30), Schemas::One),
            WriterKind::Sqlite => (5_000, 16 << 20, Duration::from_millis(200), Schemas::Any),
        };
        Roll {
            rows: self.roll.rows.unwrap_or(rows),
            size_bytes: self.roll.bytes.unwrap_or(size_bytes),
            age: self.roll.age.unwrap_or(age),
            schemas,
        }
    }

    fn validate(&self, key: &str) -> Result<(), InvalidSetting> {
        let invalid = |field: &str, problem: String| {
            Err(InvalidSetting::new(format!("{key}.{field}"), problem))
        };
        if !is_plain(&self.name) {
            let problem = format!("is {:?}; use letters, digits, '-' and '_'", self.name);
            return invalid("name", problem);
        }
        for (field, names) in [("models", &self.models), ("topics", &self.topics)] {
            if let Some(name) = names.iter().find(|name| !is_topic_part(name)) {
                let problem = format!("has {name:?}; use letters, digits, '.', '-' and '_'");
                return invalid(field, problem);
            }
        }
        if self.models.is_empty() && self.topics.is_empty() {
            return invalid(
                "models",
                "is empty; name a model, or a topic in `topics`".into(),
            );
        }
        if self.path.as_os_str().is_empty() {
            return invalid("path", "is empty; name a folder or a database file".into());
        }
        let roll = self.roll();
        for (field, value) in [
            ("roll.rows", roll.rows),
            ("roll.bytes", roll.size_bytes),
            ("max_in_flight_bytes", self.max_in_flight_bytes),
            ("max_in_flight_records", self.max_in_flight_records),
        ] {
            if value == 0 {
                return invalid(field, "is 0; it must be at least 1".into());
            }
        }
        if self.max_outage > LONGEST_OUTAGE {
            return invalid(
                "max_outage",
                "is more than 2min; the broker would expel us".into(),
            );
        }
        Ok(())
    }
}

impl Validate for Settings {
    fn validate(&self) -> Result<(), InvalidSetting> {
        self.telemetry.validate()?;
        if !is_topic_part(&self.topics.prefix) {
            let problem = format!(
                "is {:?}; use letters, digits, '.', '-' and '_'",
                self.topics.prefix
            );
            return Err(InvalidSetting::new("topics.prefix", problem));
        }
        if self.pipelines.is_empty() {
            let problem = "has no entry; add [[pipelines]] with name, models, writer and path";
            return Err(InvalidSetting::new("pipelines", problem));
        }
        let (mut names, mut paths) = (BTreeSet::new(), BTreeSet::new());
        for (index, pipeline) in self.pipelines.iter().enumerate() {
            let key = format!("pipelines[{index}]");
            pipeline.validate(&key)?;
            if !names.insert(&pipeline.name) {
                let problem = format!("is {:?} twice; names must differ", pipeline.name);
                return Err(InvalidSetting::new(format!("{key}.name"), problem));
            }
            if !paths.insert(&pipeline.path) {
                let problem = format!(
                    "is {} twice; every pipeline needs a destination of its own",
                    pipeline.path.display()
                );
                return Err(InvalidSetting::new(format!("{key}.path"), problem));
            }
        }
        Ok(())
    }
}

fn is_plain(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    !name.is_empty() && name.len() <= 64 && name.bytes().all(plain)
}

fn is_topic_part(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !name.is_empty() && name.len() <= 249 && name.bytes().all(legal)
}

#[cfg(test)]
mod tests;
