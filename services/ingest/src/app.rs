//! Builds an ingest from its settings, runs it, and stops it without losing an answer.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use actix_web::web;
use anyhow::Context;
use millrace_boot::{Gate, Health, MetricsOverOtlp, Shutdown};
use millrace_claims::Store;
use millrace_kafka::{Producer, ProducerSettings};
use prometheus_client::registry::Registry;
use tokio::time::timeout;

use crate::access::tls::Tls;
use crate::access::{Access, Watch, Watcher};
use crate::front::follow::Following;
use crate::front::metrics::Metrics;
use crate::front::{Front, Made};
use crate::grpc;
use crate::http::Server;
use crate::later::Later;
use crate::later::archive::ArchiveThreads;
use crate::settings::Settings;

/// Names the process in traces and metrics.
const SERVICE: &str = "millrace-ingest";

/// How long the servers and the producer may take to end once every request
/// has its answer.
const GOODBYE: Duration = Duration::from_secs(5);

/// An ingest that is bound and connected, not yet serving.
pub struct App {
    server: Server,
    address: SocketAddr,
    grpc: Option<grpc::Server>,
    grpc_address: Option<SocketAddr>,
    front: Front,
    health: Health,
    registry: Arc<Registry>,
    /// Ends with the app.
    _metrics: MetricsOverOtlp,
    producer: Producer,
    following: Following,
    archive: ArchiveThreads,
    /// Closed while the process starts and from when it begins to stop.
    running: Gate,
    /// Follows the files of `tls` and `access` for as long as the app lives.
    _watch: Watch,
    drain_deadline: Duration,
}

impl App {
    /// Binds the address and starts the Kafka clients, which need not reach a
    /// broker yet.
    ///
    /// # Errors
    /// Files of `tls` or `access` that cannot be used, an address that cannot be bound, a port file that cannot be written,
    /// Kafka options that cannot be used.
    pub fn build(settings: Settings) -> anyhow::Result<Self> {
        let drain_deadline = settings.drain_deadline;
        let mut registry = Registry::default();
        let mut watcher = Watcher::new(&mut registry);
        let tls = Tls::open(&settings.tls, &mut watcher)?;
        let access = Access::open(&settings.access, &settings.control, &mut watcher)?;
        let grpc = grpc::Server::bind(&settings.grpc, &settings.http, tls.as_ref())?;
        let server = Server::bind(settings.http.clone(), tls, drain_deadline + GOODBYE)?;
        let kafka_metrics = millrace_kafka::Metrics::register(&mut registry);
        let metrics = Metrics::register(&mut registry);
        let producer = Producer::start(&producer_settings(&settings), &kafka_metrics)
            .context("cannot start the producer")?;
        let (later, archive) = Later::start(&settings, producer.clone(), &kafka_metrics)
            .context("cannot start looking for results")?;
        let store = Store::open(
            &settings.claims,
            millrace_claims::Metrics::register(&mut registry),
        )
        .context("the store of large values cannot be used")?;
        let made = Made {
            store: store.map(Arc::new),
            access,
            metrics,
            producer: producer.clone(),
            later,
        };
        let front = Front::new(&settings, made);
        front.admission.register(&mut registry);
        millrace_boot::register_metrics(&mut registry);
        let health = Health::new();
        let running = health.gate("running");
        let following = Following::start(&settings, &front, &health, kafka_metrics)
            .context("cannot follow the topics of replies and models")?;
        let watch = watcher
            .start(settings.access.reload_interval)
            .context("cannot watch the files of tls and access")?;
        let registry = Arc::new(registry);
        let metrics_over_otlp =
            millrace_boot::export_metrics(&settings.telemetry, SERVICE, &registry)
                .context("cannot send metrics")?;
        let address = server.announce()?;
        let grpc_address = grpc.as_ref().map(grpc::Server::announce).transpose()?;
        Ok(Self {
            server,
            address,
            grpc,
            grpc_address,
            front,
            health,
            registry,
            _metrics: metrics_over_otlp,
            producer,
            following,
            archive,
            running,
            _watch: watch,
            drain_deadline,
        })
    }

    /// The address in use: the port is the real one when 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn front(&self) -> &Front {
        &self.front
    }

    /// The address of gRPC, unless that is off.
    pub fn grpc_address(&self) -> Option<SocketAddr> {
        self.grpc_address
    }

    /// Serves until `shutdown` begins, then finishes what is in flight.
    ///
    /// # Errors
    /// The server or a Kafka client could not go on.
    pub async fn run_until_stopped(mut self, shutdown: Shutdown) -> anyhow::Result<()> {
        let mut grpc = grpc::Serving::start(self.grpc, &self.front, &self.health)?;
        let server = self.server.serve(&self.front, self.health, self.registry)?;
        let handle = server.handle();
        let mut server = pin!(server);
        self.running.open();
        tracing::info!(address = %self.address, grpc_address = ?self.grpc_address, "listening");
        let outcome = tokio::select! {
            () = shutdown.begun() => Ok(()),
            error = self.producer.failed() => Err(error).context("the producer failed"),
            error = self.following.failed() => Err(error),
            error = grpc.failed() => Err(error),
            ended = &mut server => {
                let why = ended.err().map_or_else(|| "for no reason".to_owned(), |it| it.to_string());
                anyhow::bail!("the HTTP server ended: {why}");
            }
        };
        self.running.close("stopping");
        // Who waits for a result is better served by another replica.
        self.front.later.archive.close();
        // The call itself sends the command; its future only waits, as we do below.
        drop(handle.stop(true));
        grpc.stop();
        let mut both = pin!(async { tokio::join!(&mut server, grpc.ended()) });
        let drained = timeout(self.drain_deadline, &mut both).await;
        self.front.pending.stop();
        if drained.is_err() {
            tracing::warn!("requests were still in flight at the drain deadline");
            // Every wait has ended; what is left is to write the refusals.
            let _ = timeout(GOODBYE, &mut both).await;
        }
        let stopped = stop(self.following, self.archive, self.producer).await;
        tracing::info!("stopped");
        outcome.and(stopped)
    }
}

/// Stops the Kafka clients, the one that reads first.
async fn stop(
    following: Following,
    archive: ArchiveThreads,
    producer: Producer,
) -> anyhow::Result<()> {
    let stop = move || {
        following.stop();
        archive.stop();
        producer.stop(GOODBYE)
    };
    web::block(stop)
        .await?
        .context("the producer did not drain")
}

fn producer_settings(settings: &Settings) -> ProducerSettings {
    ProducerSettings {
        cluster: settings.kafka.clone(),
        // A caller waits: batches form by themselves while the broker is busy.
        linger: Duration::ZERO,
        message_timeout: Some(settings.request_timeout),
        max_queue_bytes: settings
            .limits
            .in_flight_bytes
            .max(settings.limits.record_bytes),
        max_record_bytes: settings.limits.record_bytes,
        ..ProducerSettings::default()
    }
}
