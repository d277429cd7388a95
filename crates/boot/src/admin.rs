//! The operator's view over HTTP: `/live`, `/ready` and `/metrics`.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use actix_web::dev::ServerHandle;
use actix_web::http::header::ACCEPT;
use actix_web::web::{self, ServiceConfig};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use prometheus_client::registry::Registry;
use serde::{Deserialize, Serialize};

use crate::exposition::{CLASSIC, OPEN_METRICS, classic, open_metrics};
use crate::health::Health;

/// The section `admin` of a service's settings.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdminSettings {
    /// Where `/live`, `/ready` and `/metrics` are served; port 0 takes any free one.
    pub listen: String,
    /// Where to write the bound `host:port`, for whoever asked for port 0.
    pub port_file: Option<PathBuf>,
}

impl AdminSettings {
    /// On all interfaces of this machine: the default of a service.
    pub fn on_port(port: u16) -> Self {
        Self {
            listen: format!("0.0.0.0:{port}"),
            port_file: None,
        }
    }
}

/// Why the admin server could not start.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The address is malformed or in use.
    #[error("cannot listen on {address}; choose a free address with admin.listen")]
    Bind {
        /// The address as set.
        address: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The port file could not be written.
    #[error("cannot write admin.port_file {path}")]
    PortFile {
        /// The path as set.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The server's thread could not start.
    #[error("cannot start the admin server")]
    Thread(#[source] io::Error),
}

/// Routes for any actix-web app. `/live` answers 200 as long as the process runs; `/ready` answers 200
/// `{"ready":true}`, or 503 `{"ready":false,"reasons":["kafka: starting"]}`; `/metrics` answers OpenMetrics text to
/// those who accept it, and the classic format to all others.
pub fn admin_routes(
    health: Health,
    registry: Arc<Registry>,
) -> impl FnOnce(&mut ServiceConfig) + Clone {
    move |routes| {
        routes
            .app_data(web::Data::new(health))
            .app_data(web::Data::from(registry))
            .route("/live", web::get().to(live))
            .route("/ready", web::get().to(ready))
            .route("/metrics", web::get().to(metrics));
    }
}

async fn live() -> HttpResponse {
    HttpResponse::Ok().json(Live { live: true })
}

async fn ready(health: web::Data<Health>) -> HttpResponse {
    let reasons = health.reasons();
    if reasons.is_empty() {
        HttpResponse::Ok().json(Ready {
            ready: true,
            reasons,
        })
    } else {
        HttpResponse::ServiceUnavailable().json(Ready {
            ready: false,
            reasons,
        })
    }
}

async fn metrics(request: HttpRequest, registry: web::Data<Registry>) -> HttpResponse {
    let text = match open_metrics(&registry) {
        Ok(text) => text,
        Err(error) => return HttpResponse::InternalServerError().body(format!("metrics: {error}")),
    };
    match takes_open_metrics(&request) {
        true => HttpResponse::Ok().content_type(OPEN_METRICS).body(text),
        false => HttpResponse::Ok()
            .content_type(CLASSIC)
            .body(classic(&text)),
    }
}

/// Only OpenMetrics has exemplars, but whoever does not ask for it may not know it.
fn takes_open_metrics(request: &HttpRequest) -> bool {
    let mut accepted = request.headers().get_all(ACCEPT);
    accepted.any(|value| {
        let value = value.to_str().unwrap_or_default();
        value.contains("application/openmetrics-text")
    })
}

#[derive(Serialize)]
struct Live {
    live: bool,
}

#[derive(Serialize)]
struct Ready {
    ready: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<String>,
}

/// Serves [`admin_routes`] from one thread of its own, beside services that have no HTTP server. Stops when dropped.
#[derive(Debug)]
pub struct AdminServer {
    address: SocketAddr,
    handle: ServerHandle,
    thread: Option<JoinHandle<()>>,
}

impl AdminServer {
    /// Binds, writes the port file and serves, with or without an async runtime around.
    ///
    /// # Errors
    /// When the address cannot be bound or the port file cannot be written.
    pub fn start(
        settings: &AdminSettings,
        health: Health,
        registry: Arc<Registry>,
    ) -> Result<Self, AdminError> {
        let bind_error = |source| AdminError::Bind {
            address: settings.listen.clone(),
            source,
        };
        let listener = TcpListener::bind(&settings.listen).map_err(bind_error)?;
        let address = listener.local_addr().map_err(bind_error)?;
        let (handle, thread) = serve(listener, health, registry).map_err(AdminError::Thread)?;
        let server = Self {
            address,
            handle,
            thread: Some(thread),
        };
        if let Some(path) = &settings.port_file {
            write_port_file(path, address).map_err(|source| AdminError::PortFile {
                path: path.clone(),
                source,
            })?;
        }
        tracing::info!(%address, "listening");
        Ok(server)
    }

    /// The address in use: the port is the real one when 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for AdminServer {
    fn drop(&mut self) {
        // The command is sent by the call; its future only waits, and joining the thread does that too.
        drop(self.handle.stop(false));
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the admin server panicked");
        }
    }
}

fn serve(
    listener: TcpListener,
    health: Health,
    registry: Arc<Registry>,
) -> io::Result<(ServerHandle, JoinHandle<()>)> {
    let (started, wait) = mpsc::sync_channel(1);
    let run = move || {
        actix_web::rt::System::new().block_on(async move {
            let routes = admin_routes(health, registry);
            let server = HttpServer::new(move || App::new().configure(routes.clone()))
                .workers(1)
                .disable_signals()
                .listen(listener)
                .map(HttpServer::run);
            match server {
                Ok(server) => {
                    let _ = started.send(Ok(server.handle()));
                    if let Err(error) = server.await {
                        tracing::error!(%error, "the admin server failed");
                    }
                }
                Err(error) => {
                    let _ = started.send(Err(error));
                }
            }
        });
    };
    let thread = std::thread::Builder::new()
        .name("admin".to_owned())
        .spawn(run)?;
    let handle = wait.recv().map_err(io::Error::other)??;
    Ok((handle, thread))
}

/// Writes `host:port` and a newline to `path`, whole or not at all.
///
/// # Errors
/// When the folder is missing or cannot be written.
pub fn write_port_file(path: &Path, address: SocketAddr) -> io::Result<()> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let mut file = std::fs::File::create(&partial)?;
    writeln!(file, "{address}")?;
    std::fs::rename(&partial, path)
}
