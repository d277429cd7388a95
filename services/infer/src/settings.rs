//! The settings of `millrace-infer`, as they stand in its file, the environment and its flags.

use std::time::Duration;

use millrace_boot::{AdminSettings, InvalidSetting, TelemetrySettings, Validate};
use millrace_claims::ClaimSettings;
use millrace_kafka::Cluster;
use serde::{Deserialize, Serialize};

mod batch;
mod bulk;
mod dead_letters;
mod delivery;
mod engine;
mod images;
mod models;
mod state;

pub use batch::BatchSettings;
pub use bulk::BulkSettings;
pub use dead_letters::DeadLetterSettings;
pub use delivery::{Delivery, TransactionSettings};
pub use engine::{
    EngineSettings, OnnxSettings, OpenVinoHint, OpenVinoSettings, Optimization, Provider,
};
pub use images::ImageSettings;
pub use models::ModelSettings;
pub use state::StateSettings;

/// Everything that can be set.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The cluster and librdkafka's options.
    pub kafka: Cluster,
    /// Topic names.
    pub topics: TopicSettings,
    /// Which models to serve.
    pub models: ModelSettings,
    /// How engines compute; a model's own `model.toml` goes before it.
    pub engine: EngineSettings,
    /// When a batch is full; a model's own `model.toml` goes before it.
    pub batch: BatchSettings,
    /// How encoded images are decoded.
    pub images: ImageSettings,
    /// What is remembered of processes that died.
    pub state: StateSettings,
    /// How much is read ahead.
    pub consumer: ConsumerSettings,
    /// How results are sent.
    pub producer: ProducerSettings,
    /// Where values go that are too large for their records.
    pub claims: ClaimSettings,
    /// `at_least_once` or `exactly_once`; a model's own `model.toml` goes before it.
    pub delivery: Delivery,
    /// How `exactly_once` commits.
    pub transactions: TransactionSettings,
    /// A second requests topic per model; a model's own `model.toml` goes before it.
    pub bulk: BulkSettings,
    /// When dead letters have become the rule, and reading ends.
    pub dead_letters: DeadLetterSettings,
    /// Name of this replica in the models topic and of its transactions; random when empty. A replica that keeps its
    /// name over a restart ends at once what it left open.
    pub replica: String,
    /// How long a stop may take: unfinished records are then left for the next process.
    #[serde(with = "humantime_serde")]
    pub drain_deadline: Duration,
    /// Logs and traces.
    pub telemetry: TelemetrySettings,
    /// `/live`, `/ready`, `/metrics`.
    pub admin: AdminSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            kafka: Cluster::default(),
            topics: TopicSettings::default(),
            models: ModelSettings::default(),
            engine: EngineSettings::default(),
            batch: BatchSettings::default(),
            images: ImageSettings::default(),
            state: StateSettings::default(),
            consumer: ConsumerSettings::default(),
            producer: ProducerSettings::default(),
            claims: ClaimSettings::default(),
            delivery: Delivery::default(),
            transactions: TransactionSettings::default(),
            bulk: BulkSettings::default(),
            dead_letters: DeadLetterSettings::default(),
            replica: String::new(),
            drain_deadline: Duration::from_secs(20),
            telemetry: TelemetrySettings::default(),
            admin: AdminSettings::on_port(9101),
        }
    }
}

/// Topic names.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TopicSettings {
    /// First part of every topic and group name.
    pub prefix: String,
    /// How long to wait at start for the broker and for topics that do not exist yet, before giving up.
    #[serde(with = "humantime_serde")]
    pub wait: Duration,
}

impl Default for TopicSettings {
    fn default() -> Self {
        Self {
            prefix: "millrace".to_owned(),
            wait: Duration::from_secs(60),
        }
    }
}

/// How much is read ahead of the engines, per model.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConsumerSettings {
    /// Reading pauses when unfinished records hold this many bytes.
    pub max_in_flight_bytes: usize,
    /// Reading pauses when this many records are unfinished.
    pub max_in_flight_records: usize,
    /// Larger records are refused.
    pub max_record_bytes: usize,
    /// How often finished offsets are committed.
    #[serde(with = "humantime_serde")]
    pub commit_interval: Duration,
    /// Static membership of the consumer group; only with a name that no other replica has.
    pub instance_id: Option<String>,
}

impl Default for ConsumerSettings {
    fn default() -> Self {
        Self {
            max_in_flight_bytes: 64 << 20,
            max_in_flight_records: 20_000,
            max_record_bytes: 64 << 20,
            commit_interval: Duration::from_secs(1),
            instance_id: None,
        }
    }
}

/// How results are sent.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProducerSettings {
    /// How long the producer waits for more records for one request to the broker.
    #[serde(with = "humantime_serde")]
    pub linger: Duration,
    /// Bytes of results that wait for the broker before the engines have to wait.
    pub max_queue_bytes: usize,
    /// The largest result or dead letter that is given to the broker, whose topics may allow less.
    pub max_record_bytes: usize,
}

impl Default for ProducerSettings {
    fn default() -> Self {
        Self {
            linger: Duration::from_millis(1),
            max_queue_bytes: 64 << 20,
            max_record_bytes: 20 << 20,
        }
    }
}

impl Validate for Settings {
    fn validate(&self) -> Result<(), InvalidSetting> {
        self.telemetry.validate()?;
        self.topics.validate()?;
        self.engine.validate("engine")?;
        self.batch.validate("batch")?;
        self.images.validate()?;
        self.transactions.validate()?;
        let wrong = |(key, problem): (&str, String)| InvalidSetting::new(key, problem);
        self.claims.check().map_err(wrong)?;
        self.bulk.validate()?;
        self.dead_letters.validate()?;
        at_least(
            "consumer.max_in_flight_bytes",
            self.consumer.max_in_flight_bytes,
            1,
        )?;
        at_least(
            "consumer.max_in_flight_records",
            self.consumer.max_in_flight_records,
            1,
        )?;
        at_least(
            "consumer.max_record_bytes",
            self.consumer.max_record_bytes,
            1,
        )?;
        let max_queue_bytes = self.producer.max_queue_bytes;
        at_least(
            "producer.max_record_bytes",
            self.producer.max_record_bytes,
            1,
        )?;
        at_least(
            "producer.max_queue_bytes",
            max_queue_bytes,
            self.producer.max_record_bytes,
        )?;
        self.models.validate()?;
        if self.replica.contains('/') {
            return Err(InvalidSetting::new(
                "replica",
                format!("is {:?}; it must not contain `/`", self.replica),
            ));
        }
        Ok(())
    }
}

impl TopicSettings {
    fn validate(&self) -> Result<(), InvalidSetting> {
        if is_topic_name(&self.prefix) {
            return Ok(());
        }
        let problem = format!(
            "is {:?}; it must be letters, digits, `.`, `_` or `-`, at most 150",
            self.prefix
        );
        Err(InvalidSetting::new("topics.prefix", problem))
    }
}

fn at_least(key: &str, value: usize, least: usize) -> Result<(), InvalidSetting> {
    if value >= least {
        return Ok(());
    }
    Err(InvalidSetting::new(
        key,
        format!("is {value}; it must be at least {least}"),
    ))
}

/// Whether Kafka takes this as (part of) a topic name. The whole name is limited to 249 bytes.
pub(crate) fn is_topic_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=150).contains(&name.len()) && name.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(change: impl FnOnce(&mut Settings)) -> String {
        let mut settings = Settings::default();
        change(&mut settings);
        settings
            .validate()
            .expect_err("the setting is wrong")
            .to_string()
    }

    #[test]
    fn the_defaults_are_valid() {
        Settings::default().validate().unwrap();
    }

    #[test]
    fn impossible_values_are_named_by_their_key() {
        assert!(problem(|s| s.batch.max_rows = Some(0)).contains("batch.max_rows"));
        assert!(problem(|s| s.images.threads = 0).contains("images.threads"));
        assert!(problem(|s| s.engine.threads = 0).contains("engine.threads"));
        assert!(problem(|s| s.bulk.weight = 91).contains("bulk.weight"));
        assert!(problem(|s| s.dead_letters.max_share = 1.5).contains("dead_letters.max_share"));
        assert!(problem(|s| s.topics.prefix = "a b".to_owned()).contains("topics.prefix"));
        assert!(problem(|s| s.replica = "a/b".to_owned()).contains("replica"));
        assert!(
            problem(|s| s.models.poll_interval = Duration::ZERO).contains("models.poll_interval")
        );
        assert!(problem(|s| s.models.lease = Duration::ZERO).contains("models.lease"));
    }
}
