//! The settings of ingest: sections, defaults and the rules between them.

use std::path::PathBuf;
use std::time::Duration;

use millrace_boot::{InvalidSetting, TelemetrySettings, Validate};
use millrace_kafka::Cluster;
use serde::{Deserialize, Serialize};

/// All settings of an ingest process.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How to reach Kafka.
    pub kafka: Cluster,
    /// How the topics are called.
    pub topics: TopicSettings,
    /// The HTTP server.
    pub http: HttpSettings,
    /// What is too much.
    pub limits: LimitSettings,
    /// Where replies come back.
    pub replies: RepliesSettings,
    /// The model that `/predict` means, when several are served.
    pub default_model: Option<String>,
    /// From a request's head to its answer; past it the caller gets 504.
    #[serde(with = "humantime_serde")]
    pub request_timeout: Duration,
    /// How long requests in flight may take to finish when the process stops.
    #[serde(with = "humantime_serde")]
    pub drain_deadline: Duration,
    /// Logs and traces.
    pub telemetry: TelemetrySettings,
}

/// The section `topics`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TopicSettings {
    /// Every topic's name begins with it and a dot.
    pub prefix: String,
}

/// The section `http`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpSettings {
    /// Where to listen; port 0 takes any free one.
    pub listen: String,
    /// Where to write the bound `host:port`, for whoever asked for port 0.
    pub port_file: Option<PathBuf>,
    /// Threads that read, parse and write; 0 means one per core.
    pub workers: usize,
    /// The longest silence of a caller who has not sent all of a request; past it he gets 408.
    #[serde(with = "humantime_serde")]
    pub read_timeout: Duration,
    /// How long an idle connection stays open.
    #[serde(with = "humantime_serde")]
    pub keep_alive: Duration,
    /// Open connections, over all workers; more wait to be accepted.
    pub max_connections: usize,
}

/// The section `limits`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitSettings {
    /// The largest request body; past it the caller gets 413.
    pub body_bytes: usize,
    /// Requests being answered at once; past it callers get 503.
    pub in_flight_requests: usize,
    /// Bytes of bodies and records held at once; past it callers get 503.
    pub in_flight_bytes: usize,
    /// The largest request or reply record, not above the topics'
    /// `max.message.bytes`; a larger request gets 413, a larger reply 502.
    pub record_bytes: usize,
}

/// The section `replies`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RepliesSettings {
    /// The partition of the replies topic to read: the ordinal of this
    /// replica, if it has one. One at random otherwise.
    pub partition: Option<i32>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            kafka: Cluster::default(),
            topics: TopicSettings::default(),
            http: HttpSettings::default(),
            limits: LimitSettings::default(),
            replies: RepliesSettings::default(),
            default_model: None,
            request_timeout: Duration::from_secs(30),
            drain_deadline: Duration::from_secs(20),
            telemetry: TelemetrySettings::default(),
        }
    }
}

impl Default for TopicSettings {
    fn default() -> Self {
        Self {
            prefix: "millrace".to_owned(),
        }
    }
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            listen: "0.0.0.0:8080".to_owned(),
            port_file: None,
            workers: 0,
            read_timeout: Duration::from_secs(10),
            keep_alive: Duration::from_secs(75),
            max_connections: 10_000,
        }
    }
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self {
            body_bytes: 10 << 20,
            in_flight_requests: 1024,
            in_flight_bytes: 256 << 20,
            // The topics take 16 MiB; the difference is for what surrounds a record.
            record_bytes: 16_000_000,
        }
    }
}

impl Validate for Settings {
    fn validate(&self) -> Result<(), InvalidSetting> {
        self.telemetry.validate()?;
        at_least_one("limits.body_bytes", self.limits.body_bytes)?;
        at_least_one("limits.in_flight_requests", self.limits.in_flight_requests)?;
        at_least_one("limits.record_bytes", self.limits.record_bytes)?;
        at_least_one("http.max_connections", self.http.max_connections)?;
        if self.limits.in_flight_bytes < self.limits.body_bytes {
            let problem = format!(
                "is {}; it must be at least limits.body_bytes, {}",
                self.limits.in_flight_bytes, self.limits.body_bytes
            );
            return Err(InvalidSetting::new("limits.in_flight_bytes", problem));
        }
        not_zero("request_timeout", self.request_timeout)?;
        not_zero("http.read_timeout", self.http.read_timeout)?;
        not_zero("http.keep_alive", self.http.keep_alive)?;
        if self
            .replies
            .partition
            .is_some_and(|partition| partition < 0)
        {
            return Err(InvalidSetting::new("replies.partition", "is negative"));
        }
        check_prefix(&self.topics.prefix)?;
        let unusable = |error| InvalidSetting::new("kafka", format!("is not usable: {error}"));
        self.kafka.check().map_err(unusable)
    }
}

fn at_least_one(key: &str, value: usize) -> Result<(), InvalidSetting> {
    match value {
        0 => Err(InvalidSetting::new(key, "is 0; it must be at least 1")),
        _ => Ok(()),
    }
}

fn not_zero(key: &str, value: Duration) -> Result<(), InvalidSetting> {
    match value {
        Duration::ZERO => Err(InvalidSetting::new(
            key,
            "is zero; write a time such as 30s",
        )),
        _ => Ok(()),
    }
}

/// What may stand in a topic's name, and short enough to leave room for the rest.
fn check_prefix(prefix: &str) -> Result<(), InvalidSetting> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if prefix.is_empty() || prefix.len() > 80 || !prefix.bytes().all(allowed) {
        let problem = format!("is {prefix:?}; write 1 to 80 letters, digits, '.', '_' or '-'");
        return Err(InvalidSetting::new("topics.prefix", problem));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(change: impl FnOnce(&mut Settings), key: Option<&str>) {
        let mut settings = Settings::default();
        change(&mut settings);
        let refused = settings.validate().err().map(|error| error.key);
        assert_eq!(refused.as_deref(), key);
    }

    #[test]
    fn the_defaults_are_valid() {
        check(|_| {}, None);
    }

    #[test]
    fn a_setting_that_would_refuse_everything_is_named() {
        check(|it| it.limits.body_bytes = 0, Some("limits.body_bytes"));
        check(
            |it| it.limits.in_flight_requests = 0,
            Some("limits.in_flight_requests"),
        );
        check(
            |it| it.limits.in_flight_bytes = 1,
            Some("limits.in_flight_bytes"),
        );
        check(
            |it| it.request_timeout = Duration::ZERO,
            Some("request_timeout"),
        );
        check(
            |it| it.replies.partition = Some(-1),
            Some("replies.partition"),
        );
        check(|it| it.topics.prefix = "a/b".into(), Some("topics.prefix"));
    }
}
