//! What an operator can set.

mod pipeline;

use std::collections::BTreeSet;
use std::time::Duration;

use millrace_boot::{AdminSettings, InvalidSetting, TelemetrySettings, Validate};
use millrace_claims::ClaimSettings;
use millrace_kafka::Cluster;
use serde::{Deserialize, Serialize};

pub use pipeline::{
    ColumnSettings, PipelineSettings, Renamed, RollSettings, TensorForm, TopForm, TopSettings,
};

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
    /// Where values are that are too large for their records.
    pub claims: ClaimSettings,
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

impl Default for Settings {
    fn default() -> Self {
        Self {
            kafka: Cluster::default(),
            topics: Topics::default(),
            telemetry: TelemetrySettings::default(),
            admin: AdminSettings::on_port(9102),
            claims: ClaimSettings::default(),
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
        let wrong = |(key, problem): (&str, String)| InvalidSetting::new(key, problem);
        self.claims.check().map_err(wrong)?;
        if self.pipelines.is_empty() {
            let problem = "has no entry; add [[pipelines]] with name, models and destination";
            return Err(InvalidSetting::new("pipelines", problem));
        }
        let (mut names, mut places) = (BTreeSet::new(), BTreeSet::new());
        for (index, pipeline) in self.pipelines.iter().enumerate() {
            let key = format!("pipelines[{index}]");
            pipeline.validate(&key)?;
            if !names.insert(&pipeline.name) {
                let problem = format!("is {:?} twice; names must differ", pipeline.name);
                return invalid(&key, "name", problem);
            }
            if let Some(topic) = pipeline.destination.topic()
                && pipeline.reads(topic, &self.topics.prefix)
            {
                let problem = format!("is {topic}, which the pipeline reads itself");
                return invalid(&key, "destination.topic", problem);
            }
            let place = pipeline.destination.place();
            if places.contains(&place) {
                let problem =
                    format!("is {place} twice; every pipeline needs a destination of its own");
                return invalid(&key, "destination", problem);
            }
            places.insert(place);
        }
        Ok(())
    }
}

/// A broken rule of a field of `key`; `problem` continues the key to a sentence.
pub(crate) fn invalid(
    key: &str,
    field: &str,
    problem: impl Into<String>,
) -> Result<(), InvalidSetting> {
    Err(InvalidSetting::new(format!("{key}.{field}"), problem))
}

pub(crate) fn is_topic_part(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !name.is_empty() && name.len() <= 249 && name.bytes().all(legal)
}

#[cfg(test)]
mod tests;
