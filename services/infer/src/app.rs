//! The whole service: built from settings, run until it is stopped.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use millrace_boot::{AdminServer, Gate, Health, MetricsOverOtlp, Shutdown};
use millrace_claims::Store;
use prometheus_client::registry::Registry;

use crate::engine::Libraries;
use crate::fatal::Fatal;
use crate::metrics::Metrics;
use crate::repository::Repository;
use crate::safety::{Safety, TimeLimits, TrialCommand};
use crate::settings::Settings;
use crate::startup::{PRODUCER_DEADLINE, Startup};

/// Names the process in traces and metrics.
const SERVICE: &str = "millrace-infer";

/// What a stop may take beside its drain: engines that end, the last results and tombstones.
const GRACE: Duration = Duration::from_secs(10);

/// A process that has to end gets this long beyond its drain.
const END_GRACE: Duration = Duration::from_secs(20);

/// The service before it runs.
#[derive(Debug)]
pub struct App {
    settings: Settings,
    shutdown: Shutdown,
    admin: AdminServer,
    gate: Gate,
    fatal: Fatal,
    startup: Startup,
    safety: Safety,
    /// Ends with the app.
    _metrics: MetricsOverOtlp,
}

impl App {
    /// Finds the models and binds the admin address. Brokers are contacted and models loaded later,
    /// by [`run_until_stopped`](Self::run_until_stopped).
    ///
    /// # Errors
    /// A sentence for the operator: no models, an address in use.
    pub fn build(settings: Settings, shutdown: Shutdown) -> anyhow::Result<Self> {
        let libraries = Libraries::new(&settings.engine);
        let repository = Repository::open(&settings)?;
        let found = repository.scan()?;
        settings.kafka.check().context("the kafka settings")?;
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        let kafka_metrics = millrace_kafka::Metrics::register(&mut registry);
        let claim_metrics = millrace_claims::Metrics::register(&mut registry);
        let store = Store::open(&settings.claims, claim_metrics)?.map(Arc::new);
        let health = Health::new();
        let gate = health.gate("models");
        gate.close("waiting for the broker and its topics");
        millrace_boot::register_metrics(&mut registry);
        let registry = Arc::new(registry);
        let metrics_over_otlp =
            millrace_boot::export_metrics(&settings.telemetry, SERVICE, &registry)?;
        let admin = AdminServer::start(&settings.admin, health, registry)?;
        let fatal = Fatal::new(shutdown.clone());
        let safety = Safety::start(
            settings.state.path.as_deref(),
            trial_command(&settings),
            fatal.clone(),
        )?;
        let replica = replica_name(&settings);
        let startup = Startup {
            settings: settings.clone(),
            replica,
            libraries,
            repository,
            found,
            shutdown: shutdown.clone(),
            metrics,
            kafka_metrics,
            fatal: fatal.clone(),
            gate: gate.clone(),
            safety: safety.clone(),
            store,
        };
        Ok(Self {
            settings,
            shutdown,
            admin,
            gate,
            fatal,
            startup,
            safety,
            _metrics: metrics_over_otlp,
        })
    }

    /// Where `/live`, `/ready` and `/metrics` are served.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin.address()
    }

    /// Serves until the shutdown begins, then drains: records that were taken are answered and committed, the
    /// descriptors are taken back.
    ///
    /// # Errors
    /// What made the process stop, or what could not be finished within `drain_deadline`.
    pub async fn run_until_stopped(self) -> anyhow::Result<()> {
        let lifecycle = self.startup.spawn()?;
        self.shutdown.begun().await;
        self.gate.close("stopping");
        let until = Instant::now() + self.settings.drain_deadline + PRODUCER_DEADLINE + GRACE;
        // There is no join with a deadline; a broker that does not answer must not keep the process.
        while !lifecycle.is_finished() && Instant::now() < until {
            thread::sleep(Duration::from_millis(10));
        }
        let stopped = if lifecycle.is_finished() {
            let panicked = |_| Err(anyhow::anyhow!("the lifecycle panicked"));
            lifecycle.join().unwrap_or_else(panicked)
        } else {
            Err(anyhow::anyhow!("the service did not stop in time"))
        };
        self.safety.close();
        drop(self.admin);
        match self.fatal.take() {
            Some(error) => Err(error),
            None => stopped,
        }
    }
}

/// This program, with the arguments that it was started with.
fn trial_command(settings: &Settings) -> TrialCommand {
    let engine = &settings.engine;
    TrialCommand {
        // Also right when the file has been replaced meanwhile.
        program: "/proc/self/exe".into(),
        arguments: std::env::args_os().skip(1).collect(),
        limits: TimeLimits {
            run: engine.max_run_time,
            load: engine.max_load_time,
            end: settings.drain_deadline + END_GRACE,
        },
        memory_bytes: engine.max_trial_bytes,
    }
}

fn replica_name(settings: &Settings) -> String {
    if settings.replica.is_empty() {
        uuid::Uuid::new_v4().simple().to_string()
    } else {
        settings.replica.clone()
    }
}
