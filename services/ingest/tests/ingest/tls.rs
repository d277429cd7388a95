//! HTTP over TLS through real sockets: certificates, client certificates,
//! and both exchanged while ingest runs.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use millrace_ingest::{Settings, TlsSettings};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tempfile::TempDir;

use super::client::request;
use super::played::{descriptor, echo};
use super::scene::Scene;

/// Beyond everything that is waited for here.
const PATIENCE: Duration = Duration::from_secs(60);

struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM.
struct Identity(String, String);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn sign(&self, name: &str) -> Identity {
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Identity(certificate.pem(), key.serialize_pem())
    }
}

struct Files(TempDir);

impl Files {
    fn write(&self, name: &str, content: &str) -> PathBuf {
        let (partial, path) = (self.0.path().join("partial"), self.0.path().join(name));
        fs::write(&partial, content).unwrap();
        fs::rename(partial, &path).unwrap();
        path
    }

    fn settings(&self, server: &Identity, clients: Option<&Authority>) -> TlsSettings {
        TlsSettings {
            certificate: Some(self.write("server.pem", &server.0)),
            key: Some(self.write("server.key", &server.1)),
            client_ca: clients.map(|clients| self.write("clients.pem", &clients.0.pem())),
        }
    }
}

/// An ingest over TLS. It is not waited for: its models do not matter here.
fn start(tls: TlsSettings) -> Scene {
    Scene::start(|settings| {
        settings.tls = tls;
        settings.access.reload_interval = Duration::from_millis(20);
    })
}

/// What a caller trusts and shows.
struct Caller<'a> {
    trusts: &'a Authority,
    shows: Option<&'a Identity>,
    alpn: &'a [&'a [u8]],
}

impl Caller<'_> {
    fn config(&self) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(self.trusts.0.pem().as_bytes()).unwrap();
        roots.add(root).unwrap();
        let builder = ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match self.shows {
            None => builder.with_no_client_auth(),
            Some(Identity(certificate, key)) => {
                let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        config.alpn_protocols = self.alpn.iter().map(|it| it.to_vec()).collect();
        config
    }

    fn connect(&self, address: SocketAddr) -> StreamOwned<ClientConnection, TcpStream> {
        let name = ServerName::try_from("localhost").unwrap();
        let connection = ClientConnection::new(Arc::new(self.config()), name).unwrap();
        let socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        StreamOwned::new(connection, socket)
    }

    /// The first line of the answer to `bytes`; an error when the other side refuses.
    fn ask(&self, address: SocketAddr, bytes: &[u8]) -> std::io::Result<String> {
        let text = self.ask_whole(address, bytes)?;
        Ok(text.lines().next().unwrap_or_default().to_owned())
    }

    fn ask_whole(&self, address: SocketAddr, bytes: &[u8]) -> std::io::Result<String> {
        let mut stream = self.connect(address);
        stream.write_all(bytes)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    /// How often changed files of `tls.certificate` had this outcome.
    fn reloads(&self, address: SocketAddr, outcome: &str) -> u32 {
        let metrics = request("GET", "/metrics", &["Connection: close"], b"");
        let text = self.ask_whole(address, &metrics).unwrap();
        let is_it = |line: &&str| {
            line.starts_with("millrace_ingest_file_reloads_total{")
                && line.contains(r#"setting="tls.certificate""#)
                && line.contains(&format!(r#"outcome="{outcome}""#))
        };
        let line = text.lines().find(is_it);
        line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
    }

    fn may_enter(&self, address: SocketAddr) -> bool {
        let live = request("GET", "/live", &["Connection: close"], b"");
        self.ask(address, &live)
            .is_ok_and(|line| line == "HTTP/1.1 200 OK")
    }
}

fn who_trusts(trusts: &Authority) -> Caller<'_> {
    Caller {
        trusts,
        shows: None,
        alpn: &[],
    }
}

#[track_caller]
fn eventually(what: &str, holds: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_prediction_over_tls_is_answered() {
    let (files, ca) = (Files(TempDir::new().unwrap()), Authority::new());
    let scene = start(files.settings(&ca.sign("localhost"), None));
    scene.serve(&descriptor("m", &[("x", "FP32", &[-1, 4])]), echo);
    let body = br#"{"instances": [[1,2,3,4]]}"#;
    let headers = ["Content-Type: application/json", "Connection: close"];
    let predict = request("POST", "/v1/models/m:predict", &headers, body);
    let caller = who_trusts(&ca);
    eventually("the answer", || {
        caller.ask(scene.address, &predict).unwrap() == "HTTP/1.1 200 OK"
    });
    assert!(!who_trusts(&Authority::new()).may_enter(scene.address));
}

#[test]
fn its_own_settings_are_enough_to_ask_whether_it_is_ready() {
    let (files, ca) = (Files(TempDir::new().unwrap()), Authority::new());
    let tls = files.settings(&ca.sign("elsewhere"), None);
    let scene = start(tls.clone());
    let mut settings = Settings {
        tls,
        ..Settings::default()
    };
    settings.http.listen = scene.address.to_string();
    let ask = |settings: &Settings| millrace_ingest::ask_ready(settings);
    assert!(ask(&settings).unwrap_err().to_string().contains("503"));
    scene.serve(&descriptor("m", &[("x", "FP32", &[-1, 4])]), echo);
    eventually("it is ready", || ask(&settings).is_ok());
    settings.tls.certificate = Some(files.write("other.pem", &ca.sign("elsewhere").0));
    assert!(ask(&settings).is_err(), "another certificate is believed");
}

#[test]
fn a_client_that_knows_more_speaks_http_1() {
    let (files, ca) = (Files(TempDir::new().unwrap()), Authority::new());
    let scene = start(files.settings(&ca.sign("localhost"), None));
    let caller = Caller {
        alpn: &[b"h2", b"http/1.1"],
        ..who_trusts(&ca)
    };
    let mut stream = caller.connect(scene.address);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock).unwrap();
    }
    assert_eq!(stream.conn.alpn_protocol(), Some(b"http/1.1".as_slice()));
}

#[test]
fn plain_http_on_the_tls_port_is_not_answered() {
    let (files, ca) = (Files(TempDir::new().unwrap()), Authority::new());
    let scene = start(files.settings(&ca.sign("localhost"), None));
    let mut socket = TcpStream::connect(scene.address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
        .write_all(&request("GET", "/live", &[], b""))
        .unwrap();
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    assert!(who_trusts(&ca).may_enter(scene.address));
}

#[test]
fn a_new_certificate_is_shown_without_a_restart_and_a_bad_one_never() {
    let files = Files(TempDir::new().unwrap());
    let (old, new) = (Authority::new(), Authority::new());
    let scene = start(files.settings(&old.sign("localhost"), None));
    assert!(who_trusts(&old).may_enter(scene.address));
    let refused = |count: u32, what: &str| {
        eventually(what, || {
            who_trusts(&old).reloads(scene.address, "refused") == count
        });
        assert!(
            who_trusts(&old).may_enter(scene.address),
            "the last good one stays after {what}"
        );
        assert!(!who_trusts(&new).may_enter(scene.address), "{what}");
        assert_eq!(who_trusts(&old).reloads(scene.address, "loaded"), 0);
    };
    let server = new.sign("localhost");
    files.write("server.pem", "nonsense");
    refused(1, "nonsense");
    // A certificate without its key is of no use, even if both are well-formed.
    files.write("server.pem", &server.0);
    refused(2, "a certificate of another key");
    files.write("server.pem", "");
    refused(3, "an empty file");
    files.write("server.key", &server.1);
    refused(4, "a key without a certificate");
    files.write("server.pem", &server.0);
    eventually("the new certificate", || {
        who_trusts(&new).may_enter(scene.address)
    });
    assert!(!who_trusts(&old).may_enter(scene.address));
}

#[test]
fn mutual_tls_lets_in_whom_its_authority_signed_also_a_new_one() {
    let files = Files(TempDir::new().unwrap());
    let (ca, old, new) = (Authority::new(), Authority::new(), Authority::new());
    let scene = start(files.settings(&ca.sign("localhost"), Some(&old)));
    let (of_old, of_new) = (old.sign("caller"), new.sign("caller"));
    let shows = |identity| Caller {
        shows: Some(identity),
        ..who_trusts(&ca)
    };
    assert!(shows(&of_old).may_enter(scene.address));
    assert!(!shows(&of_new).may_enter(scene.address));
    assert!(!who_trusts(&ca).may_enter(scene.address));
    files.write("clients.pem", &new.0.pem());
    eventually("the new authority", || {
        shows(&of_new).may_enter(scene.address)
    });
    assert!(!shows(&of_old).may_enter(scene.address));
}
