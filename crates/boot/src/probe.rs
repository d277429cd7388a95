//! What `--ready` does: asks the process that runs with the same settings whether it is ready. A container without a
//! shell has no other program that could.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long each step may take: connecting, writing, every read.
const PATIENCE: Duration = Duration::from_secs(3);
/// `/ready` names a reason per gate; what is longer is not its answer.
const MAX_ANSWER_BYTES: u64 = 64 << 10;

/// Why the process is not known to be ready.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// `listen` says port 0, and no port file tells which one it became.
    #[error("the address {0} names no port that could be asked; set a port, or a port_file")]
    Port(String),
    /// The port file cannot be read: the process has not started, or has other settings.
    #[error("the port file {path} cannot be read")]
    PortFile {
        /// The path as set.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Nobody listens there, or nobody answers.
    #[error("no answer from {address}")]
    NoAnswer {
        /// Where it was asked.
        address: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The answer is another one than 200.
    #[error("not ready: {0}")]
    NotReady(String),
}

/// Asks `GET /ready` of whoever listens at `listen` of this machine, as it stands in the settings of the process.
///
/// # Errors
/// When it cannot be asked, or is not ready.
pub fn ask_ready(listen: &str, port_file: Option<&Path>) -> Result<(), ProbeError> {
    let stream = connect(listen, port_file)?;
    ask_ready_over(stream, listen)
}

/// Connects to whoever listens at `listen`, for those who speak something else below HTTP.
///
/// # Errors
/// When nobody can be reached.
pub fn connect(listen: &str, port_file: Option<&Path>) -> Result<TcpStream, ProbeError> {
    let no_answer = |source| ProbeError::NoAnswer {
        address: listen.to_owned(),
        source,
    };
    let address = address(listen, port_file)?;
    let stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(no_answer)?;
    stream
        .set_read_timeout(Some(PATIENCE))
        .and_then(|()| stream.set_write_timeout(Some(PATIENCE)))
        .map_err(no_answer)?;
    Ok(stream)
}

/// Asks `GET /ready` over a connection that stands.
///
/// # Errors
/// When there is no answer, or another one than 200.
pub fn ask_ready_over(mut stream: impl Read + Write, listen: &str) -> Result<(), ProbeError> {
    let request = "GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let mut answer = Vec::new();
    let asked = stream.write_all(request.as_bytes()).and_then(|()| {
        stream.flush()?;
        stream.take(MAX_ANSWER_BYTES).read_to_end(&mut answer)
    });
    let text = String::from_utf8_lossy(&answer);
    // A peer that hangs up without a last word of TLS is an error to read, after the whole answer.
    if let Err(source) = asked
        && !text.contains("\r\n\r\n")
    {
        return Err(ProbeError::NoAnswer {
            address: listen.to_owned(),
            source,
        });
    }
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) == Some("200") {
        return Ok(());
    }
    Err(ProbeError::NotReady(format!("{status} {}", body.trim())))
}

/// Where to ask: all addresses of this machine become its loopback, port 0 the one in the port file.
fn address(listen: &str, port_file: Option<&Path>) -> Result<SocketAddr, ProbeError> {
    let resolve = |text: &str| text.to_socket_addrs().ok().and_then(|mut all| all.next());
    let mut found = resolve(listen).ok_or_else(|| ProbeError::Port(listen.to_owned()))?;
    if found.port() == 0 {
        let path = port_file.ok_or_else(|| ProbeError::Port(listen.to_owned()))?;
        let text = std::fs::read_to_string(path).map_err(|source| ProbeError::PortFile {
            path: path.to_owned(),
            source,
        })?;
        found = resolve(text.trim()).ok_or_else(|| ProbeError::Port(text.trim().to_owned()))?;
    }
    if found.ip().is_unspecified() {
        found.set_ip(match found.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::sync::Arc;

    use prometheus_client::registry::Registry;

    use super::*;
    use crate::{AdminServer, AdminSettings, Health};

    #[test]
    fn a_process_is_ready_when_all_its_gates_are_open() {
        let folder = tempfile::tempdir().unwrap();
        let settings = AdminSettings {
            listen: "0.0.0.0:0".to_owned(),
            port_file: Some(folder.path().join("port")),
        };
        let health = Health::new();
        let gate = health.gate("kafka");
        let ask = || ask_ready(&settings.listen, settings.port_file.as_deref());
        assert!(matches!(ask(), Err(ProbeError::PortFile { .. })));
        let server = AdminServer::start(&settings, health, Arc::new(Registry::default())).unwrap();
        let refused = ask().unwrap_err().to_string();
        assert!(
            refused.contains("503") && refused.contains("kafka: starting"),
            "{refused}"
        );
        gate.open();
        ask().unwrap();
        drop(server);
        assert!(matches!(ask(), Err(ProbeError::NoAnswer { .. })));
    }

    #[test]
    fn whoever_hangs_up_is_not_ready() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let listen = listener.local_addr().unwrap().to_string();
        let peer = std::thread::spawn(move || drop(listener.accept()));
        assert!(ask_ready(&listen, None).is_err());
        peer.join().unwrap();
    }

    #[test]
    fn a_port_that_nobody_knows_is_said_to_be() {
        let error = ask_ready("127.0.0.1:0", None).unwrap_err();
        assert!(error.to_string().contains("port_file"), "{error}");
    }
}
