//! The whole process: settings in, pipelines running, one way to stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use millrace_boot::{AdminServer, Health, MetricsOverOtlp, Reload, Shutdown};
use millrace_claims::Store;
use millrace_kafka::{Producer, ProducerSettings};
use prometheus_client::registry::Registry;
use tokio::time::{MissedTickBehavior, interval};

use crate::letters::Letters;
use crate::metrics::Metrics;
use crate::pipeline::{Pipeline, Shared};
use crate::reloading;
use crate::settings::Settings;

/// A dead letter is the record and its wrapping; the topic takes more than a results topic.
const MAX_LETTER_BYTES: usize = 20 << 20;

/// Names the process in traces and metrics.
const SERVICE: &str = "millrace-sink";

const HEALTH_INTERVAL: Duration = Duration::from_millis(200);

/// A running sink.
pub struct App {
    pipelines: Vec<Pipeline>,
    shared: Shared,
    producer: Producer,
    admin: AdminServer,
    /// Ends with the app.
    _metrics: MetricsOverOtlp,
}

/// What ends the wait of a running sink.
enum Event {
    Stop,
    Failed(anyhow::Error),
    Reload,
}

impl App {
    /// Opens the destinations and starts the pipelines.
    ///
    /// # Errors
    /// A destination that cannot be used, an address that is taken, settings that Kafka refuses.
    pub fn build(settings: &Settings) -> anyhow::Result<Self> {
        let mut registry = Registry::default();
        let health = Health::new();
        let kafka_metrics = millrace_kafka::Metrics::register(&mut registry);
        let metrics = Metrics::register(&mut registry);
        millrace_boot::register_metrics(&mut registry);
        let producer = Producer::start(
            &ProducerSettings {
                cluster: settings.kafka.clone(),
                max_record_bytes: MAX_LETTER_BYTES,
                ..ProducerSettings::default()
            },
            &kafka_metrics,
        )?;
        let claim_metrics = millrace_claims::Metrics::register(&mut registry);
        let store = Store::open(&settings.claims, claim_metrics)?;
        let shared = Shared {
            store: store.map(Arc::new),
            settings: settings.clone(),
            letters: Letters::new(producer.clone(), &settings.topics.prefix),
            metrics,
            kafka_metrics,
            health: health.clone(),
        };
        let mut pipelines = Vec::with_capacity(settings.pipelines.len());
        for pipeline in &settings.pipelines {
            pipelines.push(Pipeline::start(
                Pipeline::prepare(pipeline, &shared)?,
                &shared,
            )?);
        }
        let registry = Arc::new(registry);
        let metrics_over_otlp =
            millrace_boot::export_metrics(&settings.telemetry, SERVICE, &registry)?;
        let admin = AdminServer::start(&settings.admin, health, registry)?;
        Ok(Self {
            pipelines,
            shared,
            producer,
            admin,
            _metrics: metrics_over_otlp,
        })
    }

    /// Where `/live`, `/ready` and `/metrics` are served.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin.address()
    }

    /// Works until the shutdown begins or a pipeline fails, then writes what is open and stops.
    /// When `reload` wants it, the settings are read again and the pipelines follow them.
    ///
    /// # Errors
    /// What made a pipeline fail, or kept it from stopping well; what it had not written is read
    /// again after the next start.
    pub fn run_until_stopped(
        mut self,
        shutdown: &Shutdown,
        mut reload: Reload,
        read: impl Fn() -> anyhow::Result<Settings>,
    ) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .context("cannot start the runtime")?;
        let ended = loop {
            let event = runtime.block_on(async {
                tokio::select! {
                    () = shutdown.begun() => Event::Stop,
                    error = watch(&mut self.pipelines) => Event::Failed(error),
                    error = self.producer.failed() => Event::Failed(error.into()),
                    () = reload.wanted() => Event::Reload,
                }
            });
            let changed = match event {
                Event::Stop => break Ok(()),
                Event::Failed(error) => break Err(error),
                // Outside of the runtime: pipelines are stopped and started by blocking calls.
                Event::Reload => reloading::follow(&mut self.pipelines, &mut self.shared, &read),
            };
            if let Err(error) = changed {
                break Err(error);
            }
        };
        ended.and(self.stop())
    }

    fn stop(self) -> anyhow::Result<()> {
        let deadline = self.shared.settings.drain_deadline;
        let mut stopped = Ok(());
        std::thread::scope(|scope| {
            let stopping: Vec<_> = self
                .pipelines
                .into_iter()
                .map(|pipeline| scope.spawn(move || pipeline.stop(deadline)))
                .collect();
            for stop in stopping {
                let result = stop.join().expect("stopping a pipeline does not panic");
                if let Err(error) = result {
                    tracing::error!(error = format!("{error:#}"), "stopped with work undone");
                    stopped = Err(error);
                }
            }
        });
        self.producer.stop(deadline)?;
        stopped
    }
}

/// Keeps the readiness up to date; returns when a pipeline fails.
async fn watch(pipelines: &mut [Pipeline]) -> anyhow::Error {
    let mut ticks = interval(HEALTH_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        for pipeline in pipelines.iter_mut() {
            pipeline.report_health();
            if let Some(error) = pipeline.failure() {
                return error;
            }
        }
    }
}
