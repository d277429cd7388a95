//! The settings of ingest: sections, defaults and the rules between them.

mod access;
mod console;
mod grpc;
mod http;
mod json;
mod limits;
mod rate;
mod replies;
mod results;
mod rules;
mod tls;
mod topics;

use std::time::Duration;

use millrace_boot::{InvalidSetting, TelemetrySettings, Validate};
use millrace_claims::ClaimSettings;
use millrace_kafka::Cluster;
use serde::{Deserialize, Serialize};

use rules::not_zero;

pub use access::{AccessSettings, ControlSettings, JwtSettings};
pub use console::ConsoleSettings;
pub use grpc::GrpcSettings;
pub use http::{CorsSettings, HttpSettings};
pub use json::JsonSettings;
pub use limits::LimitSettings;
pub use rate::RateSettings;
pub use replies::RepliesSettings;
pub use results::ResultSettings;
pub use tls::TlsSettings;
pub use topics::TopicSettings;

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
    /// The gRPC server; what it shares with HTTP, such as the limit of connections, stands there.
    pub grpc: GrpcSettings,
    /// Certificates of the listeners.
    pub tls: TlsSettings,
    /// Who may ask.
    pub access: AccessSettings,
    /// What may be changed from outside.
    pub control: ControlSettings,
    /// The page for people.
    pub console: ConsoleSettings,
    /// How JSON is read and written.
    pub json: JsonSettings,
    /// What is too much.
    pub limits: LimitSettings,
    /// Where values go that are too large for their records.
    pub claims: ClaimSettings,
    /// Where replies come back.
    pub replies: RepliesSettings,
    /// Answers that are fetched later.
    pub results: ResultSettings,
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

impl Default for Settings {
    fn default() -> Self {
        Self {
            kafka: Cluster::default(),
            topics: TopicSettings::default(),
            http: HttpSettings::default(),
            grpc: GrpcSettings::default(),
            tls: TlsSettings::default(),
            access: AccessSettings::default(),
            control: ControlSettings::default(),
            console: ConsoleSettings::default(),
            json: JsonSettings::default(),
            limits: LimitSettings::default(),
            claims: ClaimSettings::default(),
            replies: RepliesSettings::default(),
            results: ResultSettings::default(),
            default_model: None,
            request_timeout: Duration::from_secs(30),
            drain_deadline: Duration::from_secs(20),
            telemetry: TelemetrySettings::default(),
        }
    }
}

impl Validate for Settings {
    fn validate(&self) -> Result<(), InvalidSetting> {
        self.telemetry.validate()?;
        self.http.validate()?;
        self.tls.validate()?;
        self.access.validate()?;
        self.control.validate()?;
        self.limits.validate()?;
        let wrong = |(key, problem): (&str, String)| InvalidSetting::new(key, problem);
        self.claims.check().map_err(wrong)?;
        self.replies.validate()?;
        self.results.validate()?;
        self.topics.validate()?;
        not_zero("request_timeout", self.request_timeout)?;
        let unusable = |error| InvalidSetting::new("kafka", format!("is not usable: {error}"));
        self.kafka.check().map_err(unusable)
    }
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
        check(
            |it| it.limits.rate.per_second = f64::NAN,
            Some("limits.rate.per_second"),
        );
        check(
            |it| it.limits.rate.address_header = Some(String::new()),
            Some("limits.rate.address_header"),
        );
        check(
            |it| it.results.retention = Duration::ZERO,
            Some("results.retention"),
        );
        check(|it| it.topics.prefix = "a/b".into(), Some("topics.prefix"));
    }
}
