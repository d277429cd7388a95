//! What can be set of a topic as a destination.

use std::path::PathBuf;
use std::time::Duration;

use millrace_boot::InvalidSetting;
use serde::{Deserialize, Serialize};

use crate::settings::{invalid, is_topic_part};

/// A Kafka topic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopicSettings {
    /// Its full name; it must not be one that the pipeline reads.
    pub topic: String,
    /// The form of its values.
    #[serde(default)]
    pub format: TopicFormat,
    /// Where Avro schemas are registered.
    pub registry: Option<RegistrySettings>,
    /// Makes the topic with so many partitions if it is not there, with the
    /// broker's default replication; without it a missing topic is an error.
    pub partitions: Option<i32>,
    /// After how long the broker ends the transaction of a sink that is gone;
    /// until then readers of committed records wait.
    #[serde(default = "default_timeout", with = "humantime_serde")]
    pub transaction_timeout: Duration,
}

/// The form of a topic's values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TopicFormat {
    /// One JSON object per row.
    #[default]
    Json,
    /// One Avro message per row, in Confluent's wire format: a zero byte, the
    /// schema's id in four bytes, the Avro data.
    Avro,
    /// One Arrow stream per result, with all of its rows.
    Arrow,
}

/// A schema registry that speaks Confluent's protocol.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegistrySettings {
    /// Its address, such as `http://registry:8081`, with the path that some
    /// registries want (Apicurio: `/apis/ccompat/v7`).
    pub url: String,
    /// The name that schemas are registered under; `<topic>-value` if not set.
    pub subject: Option<String>,
    /// For registries that ask for one.
    pub username: Option<String>,
    /// A file that holds the password and nothing else.
    pub password_file: Option<PathBuf>,
}

fn default_timeout() -> Duration {
    Duration::from_secs(15)
}

impl TopicSettings {
    pub(crate) fn place(&self) -> String {
        format!("the topic {}", self.topic)
    }

    pub(crate) fn validate(&self, key: &str) -> Result<(), InvalidSetting> {
        if !is_topic_part(&self.topic) {
            let problem = format!("is {:?}; use letters, digits, '.', '-' and '_'", self.topic);
            return invalid(key, "topic", problem);
        }
        match (self.format, &self.registry) {
            (TopicFormat::Avro, None) => {
                let problem = "is missing; format = \"avro\" needs registry = { url = … }";
                return invalid(key, "registry", problem);
            }
            (TopicFormat::Json | TopicFormat::Arrow, Some(_)) => {
                return invalid(key, "registry", "is of no use without format = \"avro\"");
            }
            _ => {}
        }
        if let Some(registry) = &self.registry {
            registry.validate(&format!("{key}.registry"))?;
        }
        if self.partitions.is_some_and(|partitions| partitions < 1) {
            return invalid(key, "partitions", "must be at least 1");
        }
        let legal = Duration::from_secs(1)..=Duration::from_mins(15);
        if !legal.contains(&self.transaction_timeout) {
            return invalid(key, "transaction_timeout", "must be from 1s to 15min");
        }
        Ok(())
    }
}

impl RegistrySettings {
    fn validate(&self, key: &str) -> Result<(), InvalidSetting> {
        let web = ["http://", "https://"];
        if !web.iter().any(|scheme| self.url.starts_with(scheme)) {
            let problem = format!("is {:?}; it must begin with http:// or https://", self.url);
            return invalid(key, "url", problem);
        }
        if self.username.is_some() != self.password_file.is_some() {
            let problem = "and password_file are only of use together";
            return invalid(key, "username", problem);
        }
        Ok(())
    }
}
