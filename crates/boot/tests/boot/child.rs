//! Signals and subscribers belong to a whole process: this module starts the test binary again as that process.

use std::process::{Child, Command, Stdio};

use millrace_boot::trace::TraceContext;
use millrace_boot::{LogFormat, Shutdown, TelemetrySettings, install};

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
    let span = tracing::info_span!("work");
    assert_eq!(TraceContext::of(&span), None, "no endpoint, no trace");
}

fn trace() {
    let settings = TelemetrySettings {
        otlp_endpoint: Some(std::env::var(ENDPOINT).unwrap()),
        ..TelemetrySettings::default()
    };
    let _telemetry = install(&settings, "boot-test").unwrap();
    let span = tracing::info_span!("work of the child");
    let caller = TraceContext {
        traceparent: CALLER.to_owned(),
        tracestate: None,
    };
    caller.adopt(&span);
    let here = TraceContext::of(&span).unwrap();
    println!("\n{}", here.traceparent);
}
