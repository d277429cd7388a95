//! Which cluster and which line: from flags, the environment and the settings file of any service.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use millrace_boot::{CommonArgs, InvalidSetting, Validate};
use millrace_claims::ClaimSettings;
use millrace_kafka::{Admin, Cluster};
use serde::{Deserialize, Serialize};

use crate::claims::Large;
use crate::lane::BULK_END;

const BROKER_DEADLINE: Duration = Duration::from_secs(10);

/// Flags that every command has.
#[derive(clap::Args, Clone)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct ConnectionArgs {
    /// Kafka brokers, `host:port`, separated by commas [default: 127.0.0.1:9092]
    #[arg(long, global = true, value_name = "BROKERS")]
    brokers: Option<String>,
    /// First part of all topic names [default: millrace]
    #[arg(long, global = true, value_name = "PREFIX")]
    prefix: Option<String>,
    /// Settings file of any Millrace service; its kafka, topics and claims are read
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Change one setting, such as kafka.options.security.protocol=ssl
    #[arg(long, global = true, value_name = "KEY.PATH=VALUE")]
    set: Vec<String>,
}

/// A line on a cluster whose broker has answered.
pub(crate) struct Connection {
    pub(crate) cluster: Cluster,
    pub(crate) prefix: String,
    pub(crate) admin: Admin,
    /// Where values are that are too large for their records.
    pub(crate) large: Large,
}

/// The part of a service's settings that this tool reads; it leaves the rest to the service.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Settings {
    kafka: Cluster,
    topics: Topics,
    claims: ClaimSettings,
    /// Of a sink; this tool only asks whether there are any.
    pipelines: Vec<serde_json::Value>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(default)]
struct Topics {
    prefix: String,
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
        if self.topics.prefix.is_empty() {
            let problem = "is empty; topics are called <prefix>.requests.<model> and so on";
            return Err(InvalidSetting::new("topics.prefix", problem));
        }
        let wrong = |(key, problem): (&str, String)| InvalidSetting::new(key, problem);
        self.claims.check().map_err(wrong)
    }
}

impl Connection {
    /// The full name of one of the line's topics, such as `requests.digits`.
    pub(crate) fn topic(&self, name: &str) -> String {
        format!("{}.{name}", self.prefix)
    }

    /// Models that have a topic of requests, by name.
    pub(crate) fn models(&self) -> anyhow::Result<Vec<String>> {
        let start = self.topic("requests.");
        let topics = self.admin.topics()?;
        let mut models: Vec<String> = topics
            .iter()
            .filter_map(|topic| Some(topic.strip_prefix(&start)?.to_owned()))
            .filter(|model| !model.ends_with(BULK_END))
            .collect();
        models.sort();
        Ok(models)
    }
}

impl ConnectionArgs {
    /// Reads the settings and waits for a broker.
    pub(crate) fn open(&self) -> anyhow::Result<Connection> {
        self.open_within(BROKER_DEADLINE)
    }

    /// The same for a command that may take only so long.
    pub(crate) fn open_within(&self, patience: Duration) -> anyhow::Result<Connection> {
        let settings = self.settings()?;
        let brokers = &settings.kafka.brokers;
        let admin = Admin::connect(&settings.kafka)?;
        let patience = patience.min(BROKER_DEADLINE);
        admin.wait_for_broker(patience).with_context(|| {
            format!(
                "no Kafka broker answers at {brokers}; start one, or name yours with --brokers or MILLRACE_KAFKA__BROKERS"
            )
        })?;
        Ok(Connection {
            cluster: settings.kafka,
            prefix: settings.topics.prefix,
            large: Large::open(&settings.claims)?,
            admin,
        })
    }

    /// The same with the brokers at this address, if one is given.
    pub(crate) fn open_at(&self, brokers: Option<&str>) -> anyhow::Result<Connection> {
        match brokers {
            None => self.open(),
            Some(brokers) => Self {
                brokers: Some(brokers.to_owned()),
                ..self.clone()
            }
            .open(),
        }
    }

    /// Whether a flag, the environment or a file says where the brokers are.
    pub(crate) fn names_brokers(&self) -> anyhow::Result<bool> {
        let (cluster, _) = self.cluster()?;
        Ok(self.brokers.is_some() || cluster.brokers != Cluster::default().brokers)
    }

    /// Whether the settings are those of a sink.
    pub(crate) fn has_pipelines(&self) -> anyhow::Result<bool> {
        Ok(!self.settings()?.pipelines.is_empty())
    }

    /// The same settings as flags of a service.
    pub(crate) fn to_flags(&self) -> Vec<OsString> {
        let mut flags = Vec::new();
        if let Some(file) = &self.config {
            flags.extend(["--config".into(), file.clone().into_os_string()]);
        }
        for assignment in self.assignments() {
            flags.extend(["--set".into(), assignment.into()]);
        }
        flags
    }

    fn assignments(&self) -> Vec<String> {
        let mut set = self.set.clone();
        let flags = [
            ("kafka.brokers", &self.brokers),
            ("topics.prefix", &self.prefix),
        ];
        for (key, value) in flags {
            set.extend(value.iter().map(|value| format!("{key}={value}")));
        }
        set
    }

    /// The cluster and the first part of all topic names, without asking any broker.
    pub(crate) fn cluster(&self) -> anyhow::Result<(Cluster, String)> {
        let settings = self.settings()?;
        Ok((settings.kafka, settings.topics.prefix))
    }

    /// Where values are that are too large for their records.
    pub(crate) fn claims(&self) -> anyhow::Result<ClaimSettings> {
        Ok(self.settings()?.claims)
    }

    fn settings(&self) -> anyhow::Result<Settings> {
        let args = CommonArgs {
            config: self.config.clone(),
            set: self.assignments(),
            check_config: false,
            ready: false,
        };
        Ok(millrace_boot::load(&args)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_name_the_cluster_and_the_line() {
        let args = ConnectionArgs {
            brokers: Some("a:1,b:2".to_owned()),
            prefix: Some("mill".to_owned()),
            config: None,
            set: vec!["kafka.client_id=me".to_owned()],
        };
        let settings = args.settings().unwrap();
        assert_eq!(settings.kafka.brokers, "a:1,b:2");
        assert_eq!(settings.kafka.client_id, "me");
        assert_eq!(settings.topics.prefix, "mill");
    }
}
