//! Listens for HTTP and serves every protocol that speaks it.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::middleware::{Condition, from_fn};
use actix_web::{HttpServer, dev, web};
use anyhow::Context;
use millrace_boot::Health;
use prometheus_client::registry::Registry;

use crate::access::tls::{Speaks, Tls};
use crate::front::Front;
use crate::settings::HttpSettings;

use super::cors::cors;
use super::guard::guard;
use super::observe::observe;
use super::routes;

/// How long a closed connection may take to acknowledge.
const GOODBYE: Duration = Duration::from_secs(5);

/// An HTTP server that is bound, not yet serving.
pub(crate) struct Server {
    listener: TcpListener,
    settings: HttpSettings,
    tls: Option<Tls>,
    /// How long requests in flight may take when the server is told to stop.
    pub(crate) patience: Duration,
}

impl Server {
    /// Binds the address.
    ///
    /// # Errors
    /// An address that cannot be bound.
    pub(crate) fn bind(
        settings: HttpSettings,
        tls: Option<Tls>,
        patience: Duration,
    ) -> anyhow::Result<Self> {
        let listen = &settings.listen;
        let listener = TcpListener::bind(listen)
            .with_context(|| format!("cannot listen on {listen}; choose another http.listen"))?;
        Ok(Self {
            listener,
            settings,
            tls,
            patience,
        })
    }

    /// The bound address, also written to the port file, if there is to be one.
    ///
    /// # Errors
    /// A port file that cannot be written.
    pub(crate) fn announce(&self) -> anyhow::Result<SocketAddr> {
        let address = self.listener.local_addr()?;
        if let Some(path) = &self.settings.port_file {
            millrace_boot::write_port_file(path, address)
                .with_context(|| format!("cannot write http.port_file {}", path.display()))?;
        }
        Ok(address)
    }

    /// Serves; the server runs while the returned future is polled.
    ///
    /// # Errors
    /// Threads that cannot be started.
    pub(crate) fn serve(
        self,
        front: &Front,
        health: Health,
        registry: Arc<Registry>,
    ) -> anyhow::Result<dev::Server> {
        let front = web::Data::new(front.clone());
        let readiness = web::Data::new(health.clone());
        let admin = millrace_boot::admin_routes(health, registry);
        let settings = self.settings;
        let cors_enabled = settings.cors.enabled;
        let app = move || {
            actix_web::App::new()
                .app_data(front.clone())
                .app_data(readiness.clone())
                .wrap(from_fn(guard))
                // The last one that is wrapped around is the first one that is asked.
                .wrap(Condition::new(cors_enabled, from_fn(cors)))
                .wrap(from_fn(observe))
                .configure(admin.clone())
                .configure(routes::configure)
        };
        let workers = match settings.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            workers => workers,
        };
        let server = HttpServer::new(app)
            .workers(workers)
            .max_connections(settings.max_connections.div_ceil(workers))
            .keep_alive(settings.keep_alive)
            .client_request_timeout(settings.read_timeout)
            .client_disconnect_timeout(GOODBYE)
            // A caller who hangs up frees his place at once.
            .h1_allow_half_closed(false)
            .shutdown_timeout(self.patience.as_secs())
            .tls_handshake_timeout(settings.read_timeout)
            .disable_signals();
        let server = match self.tls {
            None => server.listen(self.listener)?,
            Some(tls) => {
                let config = tls.server_config(Speaks::Http)?;
                server.listen_rustls_0_23(self.listener, (*config).clone())?
            }
        };
        Ok(server.run())
    }
}
