//! What every Millrace process does around its work: read settings, install telemetry, shut down, answer the operator.
//!
//! This crate is the only reader of the environment and of settings files, and the only installer of a `tracing`
//! subscriber. It knows nothing about Kafka, tensors or models. A `main` reads:
//!
//! ```no_run
//! # use millrace_boot as boot;
//! # #[derive(Default, serde::Serialize, serde::Deserialize)]
//! # #[serde(default, deny_unknown_fields)]
//! # struct Settings { telemetry: boot::TelemetrySettings }
//! # impl boot::Validate for Settings {
//! #     fn validate(&self) -> Result<(), boot::InvalidSetting> { self.telemetry.validate() }
//! # }
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let args = boot::CommonArgs::default();
//! let settings: Settings = boot::load(&args)?;
//! if args.check_config {
//!     return Ok(boot::confirm_valid("millrace-infer")?);
//! }
//! let _telemetry = boot::install(&settings.telemetry, "millrace-infer")?;
//! let shutdown = boot::Shutdown::on_signals()?;
//! // Build the app, then run it until `shutdown.begun()`.
//! # Ok(())
//! # }
//! ```

mod admin;
mod exposition;
mod health;
mod latency;
mod otlp;
mod probe;
mod reload;
mod settings;
mod shutdown;
mod telemetry;
pub mod trace;

pub use admin::{AdminError, AdminServer, AdminSettings, admin_routes, write_port_file};
pub use health::{Gate, Health};
pub use latency::{Latency, TraceLabel, TracedLatency, traced_latency};
pub use probe::{ProbeError, ask_ready, ask_ready_over, connect};
pub use reload::Reload;
pub use settings::{CommonArgs, InvalidSetting, SettingsError, Validate, confirm_valid, load};
pub use shutdown::Shutdown;
pub use telemetry::{
    LogFormat, LogSettings, MetricsOverOtlp, Telemetry, TelemetryError, TelemetrySettings,
    export_metrics, install, register_metrics,
};
