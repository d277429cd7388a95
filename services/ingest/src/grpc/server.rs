//! Listens for gRPC and serves every service on threads of its own.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use millrace_boot::Health;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tonic::codec::CompressionEncoding::Gzip;
use tonic::service::Routes;
use tonic::transport;

use crate::access::tls::{Speaks, Tls};
use crate::front::Front;
use crate::settings::{GrpcSettings, HttpSettings};

use super::health::HealthService;
use super::inference::InferenceService;
use super::listen::{Accepting, Incoming};
use super::observe::Observed;
use super::proto::inference::grpc_inference_service_server::GrpcInferenceServiceServer;
use super::proto::tensorflow::serving::model_service_server::ModelServiceServer;
use super::proto::tensorflow::serving::prediction_service_server::PredictionServiceServer;
use super::tensorflow::TensorflowService;

/// Calls at once on one connection; the process's own limits are tighter.
const MAX_STREAMS: u32 = 1024;
/// What a caller may send before it is read: 1 MiB makes large tensors fast.
const WINDOW_BYTES: u32 = 1 << 20;
/// A connection that is silent for so long is asked whether it is still there.
const PING_AFTER: Duration = Duration::from_secs(30);

/// A gRPC server that is bound, not yet serving.
pub(crate) struct Server {
    listener: TcpListener,
    settings: GrpcSettings,
    http: HttpSettings,
    tls: Option<Arc<rustls::ServerConfig>>,
}

/// A gRPC server at work, or none where gRPC is off. Dropping it ends it at once.
pub(crate) struct Serving {
    at_work: Option<AtWork>,
}

struct AtWork {
    /// Taken by [`Drop`], which must not wait.
    runtime: Option<Runtime>,
    stopping: watch::Sender<bool>,
    /// `None` once it has ended.
    served: Option<JoinHandle<Result<(), transport::Error>>>,
}

impl Server {
    /// Binds the address; `None` where gRPC is off. Through TLS where there is any.
    ///
    /// # Errors
    /// An address that cannot be bound.
    pub(crate) fn bind(
        settings: &GrpcSettings,
        http: &HttpSettings,
        tls: Option<&Tls>,
    ) -> anyhow::Result<Option<Self>> {
        let listen = &settings.listen;
        if listen.is_empty() {
            return Ok(None);
        }
        let listener = TcpListener::bind(listen)
            .with_context(|| format!("cannot listen on {listen}; choose another grpc.listen"))?;
        Ok(Some(Self {
            listener,
            settings: settings.clone(),
            http: http.clone(),
            tls: tls.map(|tls| tls.server_config(Speaks::Grpc)).transpose()?,
        }))
    }

    /// The bound address, also written to the port file, if there is to be one.
    ///
    /// # Errors
    /// A port file that cannot be written.
    pub(crate) fn announce(&self) -> anyhow::Result<SocketAddr> {
        let address = self.listener.local_addr()?;
        if let Some(path) = &self.settings.port_file {
            millrace_boot::write_port_file(path, address)
                .with_context(|| format!("cannot write grpc.port_file {}", path.display()))?;
        }
        Ok(address)
    }

    fn serve(self, front: &Front, health: &Health) -> anyhow::Result<AtWork> {
        let mut threads = tokio::runtime::Builder::new_multi_thread();
        threads.thread_name("grpc").enable_all();
        if self.http.workers > 0 {
            threads.worker_threads(self.http.workers);
        }
        let runtime = threads
            .build()
            .context("cannot start the threads of gRPC")?;
        let (stopping, stop) = watch::channel(false);
        let services = Observed {
            front: front.clone(),
            routes: routes(front, health, &stop)?,
        };
        let accepting = Accepting {
            max_connections: self.http.max_connections,
            handshake: self.http.read_timeout,
            tls: self.tls,
        };
        self.listener.set_nonblocking(true)?;
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(self.listener)?
        };
        let header_bytes = u32::try_from(front.limits.header_bytes).unwrap_or(u32::MAX);
        let served = runtime.spawn(async move {
            let incoming = Incoming::start(listener, accepting);
            transport(services, incoming, (stop, header_bytes)).await
        });
        Ok(AtWork {
            runtime: Some(runtime),
            stopping,
            served: Some(served),
        })
    }
}

async fn transport(
    services: Observed,
    incoming: Incoming,
    (mut stop, header_bytes): (watch::Receiver<bool>, u32),
) -> Result<(), transport::Error> {
    let stopped = async move {
        // An error means that the server is dropped, which is a stop too.
        let _ = stop.wait_for(|stopping| *stopping).await;
    };
    transport::Server::builder()
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .http2_max_header_list_size(header_bytes)
        .http2_keepalive_interval(Some(PING_AFTER))
        .serve_with_incoming_shutdown(services, incoming, stopped)
        .await
}

fn routes(front: &Front, health: &Health, stop: &watch::Receiver<bool>) -> anyhow::Result<Routes> {
    let limits = &front.limits;
    // tonic knows one limit for what comes and what it decompresses to.
    let max_bytes = limits.body_bytes.max(limits.decompressed_bytes);
    let inference = InferenceService::new(health.clone(), stop.clone());
    let mut inference =
        GrpcInferenceServiceServer::new(inference).max_decoding_message_size(max_bytes);
    let mut prediction =
        PredictionServiceServer::new(TensorflowService).max_decoding_message_size(max_bytes);
    if limits.decompressed_bytes > 0 {
        inference = inference.accept_compressed(Gzip);
        prediction = prediction.accept_compressed(Gzip);
    }
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(super::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    Ok(Routes::new(inference)
        .add_service(prediction)
        .add_service(ModelServiceServer::new(TensorflowService))
        .add_service(HealthService::server(health.clone(), stop.clone()))
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?)
        .prepare())
}

impl Serving {
    /// Serves from now on, on threads of its own.
    ///
    /// # Errors
    /// Threads that cannot be started.
    pub(crate) fn start(
        server: Option<Server>,
        front: &Front,
        health: &Health,
    ) -> anyhow::Result<Self> {
        let at_work = server
            .map(|server| server.serve(front, health))
            .transpose()?;
        Ok(Self { at_work })
    }

    /// Takes no more connections and calls; those in flight go on.
    pub(crate) fn stop(&self) {
        if let Some(at_work) = &self.at_work {
            // Nobody listens when it has ended already.
            let _ = at_work.stopping.send(true);
        }
    }

    /// Returns when nothing is in flight after [`Self::stop`].
    pub(crate) async fn ended(&mut self) {
        if let Some(at_work) = &mut self.at_work
            && let Err(error) = at_work.ended().await
        {
            tracing::warn!(%error, "the gRPC server did not stop well");
        }
    }

    /// Returns when the server has failed, so that nobody can be served.
    pub(crate) async fn failed(&mut self) -> anyhow::Error {
        let Some(at_work) = &mut self.at_work else {
            return std::future::pending().await;
        };
        match at_work.ended().await {
            Ok(()) => anyhow::anyhow!("the gRPC server ended for no reason"),
            Err(error) => error,
        }
    }
}

impl AtWork {
    async fn ended(&mut self) -> anyhow::Result<()> {
        let Some(served) = &mut self.served else {
            return Ok(());
        };
        let ended = served.await;
        self.served = None;
        ended
            .context("the gRPC server panicked")?
            .context("the gRPC server failed")
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
