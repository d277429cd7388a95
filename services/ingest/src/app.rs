//! Builds an ingest from its settings, runs it, and stops it without losing an answer.

use std::net::{SocketAddr, TcpListener};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::middleware::from_fn;
use actix_web::{HttpServer, web};
use anyhow::Context;
use millrace_boot::{Gate, Health, Shutdown};
use millrace_kafka::{Producer, ProducerSettings};
use millrace_wire::Limits;
use millrace_wire::json::JsonLimits;
use prometheus_client::registry::Registry;
use tokio::time::timeout;

use crate::admission::Admission;
use crate::body::BodyLimits;
use crate::catalog::Catalog;
use crate::follow::Following;
use crate::line::Line;
use crate::metrics::Metrics;
use crate::observe::observe;
use crate::pending::Pending;
use crate::routes;
use crate::settings::{HttpSettings, Settings};
use crate::state::{State, Topics};

/// How long a closed connection may take to acknowledge, and the server to
/// end once every request has its answer.
const GOODBYE: Duration = Duration::from_secs(5);

/// An ingest that is bound and connected, not yet serving.
pub struct App {
    listener: TcpListener,
    address: SocketAddr,
    web: Web,
    producer: Producer,
    following: Following,
    /// Closed while the process starts and from when it begins to stop.
    running: Gate,
}

/// What the HTTP server serves, and how.
struct Web {
    http: HttpSettings,
    drain_deadline: Duration,
    state: State,
    health: Health,
    registry: Arc<Registry>,
}

impl App {
    /// Binds the address and starts the Kafka clients, which need not reach a
    /// broker yet.
    ///
    /// # Errors
    /// An address that cannot be bound, a port file that cannot be written,
    /// Kafka options that cannot be used.
    pub fn build(settings: Settings) -> anyhow::Result<Self> {
        let listen = &settings.http.listen;
        let listener = TcpListener::bind(listen)
            .with_context(|| format!("cannot listen on {listen}; choose another http.listen"))?;
        let address = listener.local_addr()?;
        let mut registry = Registry::default();
        let kafka_metrics = millrace_kafka::Metrics::register(&mut registry);
        let metrics = Metrics::register(&mut registry);
        let producer = Producer::start(&producer_settings(&settings), &kafka_metrics)
            .context("cannot start the producer")?;
        let state = state_of(&settings, metrics, producer.clone());
        let health = Health::new();
        let running = health.gate("running");
        let following = Following::start(&settings, &state, &health, kafka_metrics)
            .context("cannot follow the topics of replies and models")?;
        if let Some(path) = &settings.http.port_file {
            millrace_boot::write_port_file(path, address)
                .with_context(|| format!("cannot write http.port_file {}", path.display()))?;
        }
        let web = Web {
            http: settings.http,
            drain_deadline: settings.drain_deadline,
            state,
            health,
            registry: Arc::new(registry),
        };
        Ok(Self {
            listener,
            address,
            web,
            producer,
            following,
            running,
        })
    }

    /// The address in use: the port is the real one when 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` begins, then finishes what is in flight.
    ///
    /// # Errors
    /// The server or a Kafka client could not go on.
    pub async fn run_until_stopped(mut self, shutdown: Shutdown) -> anyhow::Result<()> {
        let server = self.web.serve(self.listener)?;
        let handle = server.handle();
        let mut server = pin!(server);
        self.running.open();
        tracing::info!(address = %self.address, "listening");
        let outcome = tokio::select! {
            () = shutdown.begun() => Ok(()),
            error = self.producer.failed() => Err(error).context("the producer failed"),
            error = self.following.failed() => Err(error),
            ended = &mut server => {
                let why = ended.err().map_or_else(|| "for no reason".to_owned(), |it| it.to_string());
                anyhow::bail!("the HTTP server ended: {why}");
            }
        };
        self.running.close("stopping");
        // The call itself sends the command; its future only waits, as we do below.
        drop(handle.stop(true));
        let drained = timeout(self.web.drain_deadline, &mut server).await;
        self.web.state.pending.stop();
        if drained.is_err() {
            tracing::warn!("requests were still in flight at the drain deadline");
            // Every wait has ended; what is left is to write the refusals.
            let _ = timeout(GOODBYE, &mut server).await;
        }
        let (producer, following) = (self.producer, self.following);
        let stop = move || {
            following.stop();
            producer.stop(GOODBYE)
        };
        let stopped = web::block(stop)
            .await?
            .context("the producer did not drain");
        tracing::info!("stopped");
        outcome.and(stopped)
    }
}

impl Web {
    fn serve(&self, listener: TcpListener) -> anyhow::Result<Server> {
        let state = web::Data::new(self.state.clone());
        let admin = millrace_boot::admin_routes(self.health.clone(), Arc::clone(&self.registry));
        let app = move || {
            actix_web::App::new()
                .app_data(state.clone())
                .wrap(from_fn(observe))
                .configure(admin.clone())
                .configure(routes::configure)
        };
        let workers = match self.http.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            workers => workers,
        };
        let server = HttpServer::new(app)
            .workers(workers)
            .max_connections(self.http.max_connections.div_ceil(workers))
            .keep_alive(self.http.keep_alive)
            .client_request_timeout(self.http.read_timeout)
            .client_disconnect_timeout(GOODBYE)
            // A caller who hangs up frees his place at once.
            .h1_allow_half_closed(false)
            .shutdown_timeout((self.drain_deadline + GOODBYE).as_secs())
            .disable_signals()
            .listen(listener)?;
        Ok(server.run())
    }
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

fn state_of(settings: &Settings, metrics: Metrics, producer: Producer) -> State {
    let limits = &settings.limits;
    let pending = Pending::new(metrics.clone());
    State {
        catalog: Catalog::default(),
        line: Line::new(producer, pending.clone()),
        pending,
        admission: Admission::new(limits.in_flight_requests, limits.in_flight_bytes),
        metrics,
        topics: Topics::new(&settings.topics.prefix),
        default_model: settings.default_model.clone(),
        request_timeout: settings.request_timeout,
        body_limits: BodyLimits {
            max_bytes: limits.body_bytes,
            max_silence: settings.http.read_timeout,
        },
        json_limits: JsonLimits::default(),
        reply_limits: Limits {
            max_record_bytes: limits.record_bytes,
            ..Limits::default()
        },
    }
}
