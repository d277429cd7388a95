//! Accepts connections: as many as the settings allow, each through TLS where there is any.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::Stream;
use tonic::transport::server::{Connected, TcpConnectInfo};

/// Connections that are accepted and not yet served.
const BACKLOG: usize = 16;

/// How long to wait when a connection cannot be accepted, as without free file descriptors.
const AFTER_AN_ERROR: Duration = Duration::from_millis(100);

/// How connections are accepted.
#[derive(Clone)]
pub(super) struct Accepting {
    /// Open connections; more wait to be accepted.
    pub(super) max_connections: usize,
    /// How long the handshake of TLS may take.
    pub(super) handshake: Duration,
    /// What TLS is spoken with; plain text without it.
    pub(super) tls: Option<Arc<rustls::ServerConfig>>,
}

/// Connections that are ready to be served. Dropping it ends the accepting
/// and closes the listener.
pub(super) struct Incoming {
    ready: mpsc::Receiver<Connection>,
    _accepting: JoinSet<()>,
}

impl Incoming {
    /// Starts to accept, on the runtime that this is called on.
    pub(super) fn start(listener: TcpListener, how: Accepting) -> Self {
        let (sender, ready) = mpsc::channel(BACKLOG);
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, how, sender));
        Self {
            ready,
            _accepting: accepting,
        }
    }
}

impl Stream for Incoming {
    type Item = io::Result<Connection>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Connection>>> {
        self.ready.poll_recv(context).map(|next| next.map(Ok))
    }
}

async fn accept(listener: TcpListener, how: Accepting, ready: mpsc::Sender<Connection>) {
    let places = Arc::new(Semaphore::new(how.max_connections));
    let acceptor = how.tls.clone().map(TlsAcceptor::from);
    let mut handshakes = JoinSet::new();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a gRPC connection cannot be accepted");
                tokio::time::sleep(AFTER_AN_ERROR).await;
                continue;
            }
        };
        // Without it small answers may wait for an acknowledgement; nothing else is lost.
        let _ = stream.set_nodelay(true);
        while handshakes.try_join_next().is_some() {}
        let (acceptor, ready, limit) = (acceptor.clone(), ready.clone(), how.handshake);
        handshakes.spawn(async move {
            let io = match acceptor {
                None => Io::Plain(stream),
                Some(acceptor) => {
                    match tokio::time::timeout(limit, acceptor.accept(stream)).await {
                        Ok(Ok(stream)) => Io::Tls(Box::new(stream)),
                        failed => {
                            let error = failed.map(|it| it.err());
                            tracing::debug!(?error, "a TLS handshake failed");
                            return;
                        }
                    }
                }
            };
            // Nobody takes it when the server stops meanwhile.
            let _ = ready.send(Connection { io, _place: place }).await;
        });
    }
}

/// An open connection in its place.
pub(super) struct Connection {
    io: Io,
    _place: OwnedSemaphorePermit,
}

enum Io {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        match &self.io {
            Io::Plain(stream) => stream.connect_info(),
            Io::Tls(stream) => stream.get_ref().0.connect_info(),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Io::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.io {
            Io::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Io::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Plain(stream) => Pin::new(stream).poll_flush(context),
            Io::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Io::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
