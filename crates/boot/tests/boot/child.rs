//! Signals and subscribers belong to a whole process: this module starts the test binary again as that process.

use std::process::{Child, Command, Stdio};

use std::sync::Arc;
use std::time::Duration;

use millrace_boot::trace::{Kind, Place, Span};
use millrace_boot::{
    LogFormat, Shutdown, TelemetrySettings, export_metrics, install, register_metrics,
};
use prometheus_client::registry::Registry;

const ROLE: &str = "BOOT_TEST_ROLE";
const ENDPOINT: &str = "BOOT_TEST_ENDPOINT";

/// What the child writes once it is ready.
pub(crate) const READY: &str = "ready";
/// What it writes after a clean stop.
pub(crate) const STOPPED: &str = "stopped";
/// The caller's trace that the tracing child joins.
pub(crate) const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Starts this binary as a process that plays `role`; its output is piped.
pub(crate) fn start(role: &str, endpoint: Option<&str>) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "child::plays_its_role", "--nocapture"])
        .env(ROLE, role)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if let Some(endpoint) = endpoint {
        command.env(ENDPOINT, endpoint);
    }
    command.spawn().unwrap()
}

/// Does nothing unless this process was started by [`start`].
#[test]
fn plays_its_role() {
    match std::env::var(ROLE).as_deref() {
        Ok("stops") => stop_cleanly(),
        Ok("hangs") => hang(),
        Ok("logs as text") => log(LogFormat::Text),
        Ok("logs as JSON") => log(LogFormat::Json),
        Ok("traces") => trace(),
        Ok("decides against traces") => trace_nothing(),
        Ok("sends metrics") => send_metrics(),
        Ok(other) => panic!("unknown role {other}"),
        Err(_) => {}
    }
}

fn stop_cleanly() {
    let shutdown = Shutdown::on_signals().unwrap();
    println!("\n{READY}");
    shutdown.wait();
    println!("{STOPPED}");
}

fn hang() {
    let shutdown = Shutdown::on_signals().unwrap();
    println!("\n{READY}");
    shutdown.wait();
    println!("{STOPPED}");
    loop {
        std::thread::park();
    }
}

fn log(format: LogFormat) {
    let mut settings = TelemetrySettings::default();
    settings.log.format = format;
    let _telemetry = install(&settings, "boot-test").unwrap();
    tracing::info!(partition = 3, "record rejected");
    tracing::debug!("not at this level");
    let span = Span::enter(None, Kind::Internal, || "work".to_owned());
    assert_eq!(span.place(), None, "no endpoint, no trace");
}

fn settings() -> TelemetrySettings {
    TelemetrySettings {
        otlp_endpoint: Some(std::env::var(ENDPOINT).unwrap()),
        ..TelemetrySettings::default()
    }
}

fn trace() {
    let _telemetry = install(&settings(), "boot-test").unwrap();
    let caller = Place::parse(CALLER.as_bytes());
    let span = Span::enter(caller, Kind::Server, || "work of the child".to_owned());
    println!("\n{}", span.place().unwrap().traceparent());
    // Decided by the caller, and so for all that follows.
    let quiet = CALLER.replace("-01", "-00");
    let quiet = Span::enter(Place::parse(quiet.as_bytes()), Kind::Server, || {
        unreachable!("it is not recorded")
    });
    assert!(!quiet.is_live());
    assert!(quiet.place().is_some_and(|place| !place.is_sampled()));
}

fn trace_nothing() {
    let settings = TelemetrySettings {
        trace_ratio: 0.0,
        ..settings()
    };
    let _telemetry = install(&settings, "boot-test").unwrap();
    for _ in 0..1000 {
        let span = Span::enter(None, Kind::Server, || unreachable!("none is recorded"));
        let place = span.place().unwrap();
        let next = Place::parse(place.traceparent().as_bytes());
        assert!(next.is_some_and(|next| !next.is_sampled()));
    }
    let caller = Place::parse(CALLER.as_bytes());
    let span = Span::enter(caller, Kind::Server, || "the caller decides".to_owned());
    assert!(span.is_live());
}

fn send_metrics() {
    let settings = TelemetrySettings {
        metrics_interval: Duration::from_secs(60),
        ..settings()
    };
    let mut registry = Registry::default();
    register_metrics(&mut registry);
    let _last = export_metrics(&settings, "boot-test", &Arc::new(registry)).unwrap();
}
