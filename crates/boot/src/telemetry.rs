//! Logs to standard error as text or JSON; traces and metrics over OTLP when an endpoint is set, and at no cost when
//! none is.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry as Metrics;
use serde::{Deserialize, Serialize};
use tracing_subscriber::filter::{FilterExt, LevelFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::otlp::{Address, Exporter, MetricExport, totals};
use crate::settings::{InvalidSetting, Validate};
use crate::trace::Tracer;

/// How long a stopping process waits for its last traces to be taken.
const FLUSH_DEADLINE: Duration = Duration::from_secs(3);

/// The section `telemetry` of a service's settings.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetrySettings {
    /// What goes to standard error.
    pub log: LogSettings,
    /// Base URL of an OTLP/HTTP collector such as `http://collector:4318`; no traces without it.
    pub otlp_endpoint: Option<String>,
    /// Share of the traces begun here that are recorded, 0.0 to 1.0. A caller's own decision is followed.
    pub trace_ratio: f64,
    /// How often the collector gets the metrics as well; never with 0s.
    #[serde(with = "humantime_serde")]
    pub metrics_interval: Duration,
}

impl Default for TelemetrySettings {
    fn default() -> Self {
        Self {
            log: LogSettings::default(),
            otlp_endpoint: None,
            trace_ratio: 1.0,
            metrics_interval: Duration::ZERO,
        }
    }
}

/// What goes to standard error, and how.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSettings {
    /// `error`, `warn`, `info`, `debug`, `trace`, or directives per module such as `info,millrace_kafka=debug`.
    pub level: String,
    /// One line of text or one JSON object per event.
    pub format: LogFormat,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            level: "info".to_owned(),
            format: LogFormat::Text,
        }
    }
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines: one object per line.
    Json,
}

impl Validate for TelemetrySettings {
    fn validate(&self) -> Result<(), InvalidSetting> {
        self.filter()?;
        if !(0.0..=1.0).contains(&self.trace_ratio) {
            let problem = format!("is {}; it must be between 0 and 1", self.trace_ratio);
            return Err(InvalidSetting::new("telemetry.trace_ratio", problem));
        }
        let Some(endpoint) = &self.otlp_endpoint else {
            if self.metrics_interval.is_zero() {
                return Ok(());
            }
            let problem = "needs telemetry.otlp_endpoint, or be 0s";
            return Err(InvalidSetting::new("telemetry.metrics_interval", problem));
        };
        if endpoint.starts_with("http://") {
            return Ok(());
        }
        let problem =
            format!("is {endpoint:?}; it must be an http:// URL such as http://collector:4318");
        Err(InvalidSetting::new("telemetry.otlp_endpoint", problem))
    }
}

impl TelemetrySettings {
    fn filter(&self) -> Result<EnvFilter, InvalidSetting> {
        let level = &self.log.level;
        let wrong = |why: &str| {
            let problem = format!("is {level:?} ({why}); write error, warn, info, debug or trace");
            InvalidSetting::new("telemetry.log.level", problem)
        };
        // EnvFilter takes a misspelt level for the name of a module, and then logs nothing.
        let is_plain = |directive: &&str| !directive.contains(['=', '[']);
        for directive in level.split(',').filter(is_plain) {
            if directive.is_empty() || directive.parse::<LevelFilter>().is_err() {
                return Err(wrong(&format!("{directive:?} is no level")));
            }
        }
        let parsed = EnvFilter::builder().parse(level);
        parsed.map_err(|error| wrong(&error.to_string()))
    }
}

/// Keeps telemetry running; dropping it sends the last traces, waiting a few seconds at most.
#[derive(Debug)]
#[must_use = "dropping it ends the export of traces"]
pub struct Telemetry {
    spans: Option<Exporter>,
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        if let Some(spans) = self.spans.take()
            && !spans.stop(FLUSH_DEADLINE)
        {
            tracing::warn!("the last traces were not delivered");
        }
    }
}

/// Keeps sending metrics, if they are sent at all; a last time when it is dropped.
#[derive(Debug)]
#[must_use = "dropping it ends the export of metrics"]
pub struct MetricsOverOtlp(
    #[expect(dead_code, reason = "its drop ends the thread")] Option<MetricExport>,
);

/// Why telemetry could not be installed.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// A setting of the section is wrong.
    #[error(transparent)]
    Setting(#[from] InvalidSetting),
    /// The thread of an exporter could not start.
    #[error("cannot start a thread that sends to telemetry.otlp_endpoint")]
    Thread(#[from] io::Error),
    /// Another subscriber is there already.
    #[error("telemetry is installed already in this process")]
    InstalledTwice(#[from] tracing::subscriber::SetGlobalDefaultError),
}

/// Installs the subscriber of this process; `service` names it in traces.
///
/// # Errors
/// A wrong setting, or a second call in one process.
pub fn install(
    settings: &TelemetrySettings,
    service: &'static str,
) -> Result<Telemetry, TelemetryError> {
    settings.validate()?;
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let lines = match settings.log.format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    // Lines carry their fields themselves. A span that only lines would see is one per request for nothing.
    let events = filter_fn(|metadata| metadata.is_event());
    let lines = lines.with_filter(settings.filter()?.and(events));
    tracing::subscriber::set_global_default(Registry::default().with(lines))?;
    let Some(endpoint) = &settings.otlp_endpoint else {
        return Ok(Telemetry { spans: None });
    };
    let spans = Exporter::start(Address::new(endpoint, service))?;
    Tracer::install(spans.queue(), settings.trace_ratio);
    Ok(Telemetry { spans: Some(spans) })
}

/// Adds what telemetry counts about itself to the metrics of a service; call it once per process.
pub fn register_metrics(registry: &mut Metrics) {
    totals().register(registry);
}

/// Sends the metrics of `service` to the collector from now on, where the settings say so.
///
/// # Errors
/// When the thread cannot start.
pub fn export_metrics(
    settings: &TelemetrySettings,
    service: &'static str,
    registry: &Arc<Metrics>,
) -> Result<MetricsOverOtlp, TelemetryError> {
    let every = settings.metrics_interval;
    let Some(endpoint) = settings.otlp_endpoint.as_ref().filter(|_| !every.is_zero()) else {
        return Ok(MetricsOverOtlp(None));
    };
    let address = Address::new(endpoint, service);
    let export = MetricExport::start(address, Arc::clone(registry), every)?;
    Ok(MetricsOverOtlp(Some(export)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(level: &str, is_valid: bool) {
        let mut settings = TelemetrySettings::default();
        settings.log.level = level.to_owned();
        let result = settings.validate();
        assert_eq!(result.is_ok(), is_valid, "{level}: {result:?}");
    }

    #[test]
    fn misspelt_level_is_refused() {
        for level in [
            "info",
            "WARN",
            "off",
            "info,millrace_kafka=debug",
            "warn,millrace_infer[batch]=trace",
        ] {
            check(level, true);
        }
        for level in ["inof", "", "info,debgu", "info,millrace_kafka=loud"] {
            check(level, false);
        }
    }

    #[test]
    fn endpoint_and_ratio_out_of_range_name_their_keys() {
        let mut settings = TelemetrySettings {
            otlp_endpoint: Some("collector:4318".to_owned()),
            ..TelemetrySettings::default()
        };
        let error = settings.validate().unwrap_err();
        assert_eq!(error.key, "telemetry.otlp_endpoint");
        settings.otlp_endpoint = Some("http://collector:4318".to_owned());
        settings.validate().unwrap();
        settings.trace_ratio = f64::NAN;
        assert_eq!(
            settings.validate().unwrap_err().key,
            "telemetry.trace_ratio"
        );
        let mut settings = TelemetrySettings {
            metrics_interval: Duration::from_secs(5),
            ..TelemetrySettings::default()
        };
        let error = settings.validate().unwrap_err();
        assert_eq!(error.key, "telemetry.metrics_interval");
        settings.otlp_endpoint = Some("http://collector:4318".to_owned());
        settings.validate().unwrap();
    }
}
