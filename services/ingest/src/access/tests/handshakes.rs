//! Handshakes in memory: which certificate is shown, and which client gets in.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConnection};

use super::*;
use crate::access::tls::{Speaks, Tls};
use crate::settings::TlsSettings;

/// An authority, and what it signs.
struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM.
struct Identity {
    certificate: String,
    key: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn sign(&self, name: &str, purpose: ExtendedKeyUsagePurpose) -> Identity {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.extended_key_usages = vec![purpose];
        let key = KeyPair::generate().unwrap();
        Identity {
            certificate: params.signed_by(&key, &self.0).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }

    fn server(&self) -> Identity {
        self.sign("localhost", ExtendedKeyUsagePurpose::ServerAuth)
    }

    fn client(&self) -> Identity {
        self.sign("client", ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn pem(&self) -> String {
        self.0.pem()
    }
}

fn settings(files: &Files, server: &Identity, client_ca: Option<&Authority>) -> TlsSettings {
    TlsSettings {
        certificate: Some(files.write("server.pem", &server.certificate)),
        key: Some(files.write("server.key", &server.key)),
        client_ca: client_ca.map(|ca| files.write("clients.pem", ca.pem())),
    }
}

fn open_tls(settings: &TlsSettings) -> (Tls, Watch) {
    let mut watcher = watcher();
    let tls = Tls::open(settings, &mut watcher).unwrap().unwrap();
    (tls, watcher.start(TICK).unwrap())
}

fn client(trusts: &Authority, shows: Option<&Identity>) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(trusts.pem().as_bytes()).unwrap())
        .unwrap();
    let builder = ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let Some(identity) = shows else {
        return builder.with_no_client_auth();
    };
    let chain = vec![CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
    builder.with_client_auth_cert(chain, key).unwrap()
}

/// Shakes hands in memory; the error of whichever side refuses.
fn shake(tls: &Tls, client: &Arc<ClientConfig>) -> Result<ClientConnection, rustls::Error> {
    let name = ServerName::try_from("localhost").unwrap();
    let mut near = ClientConnection::new(Arc::clone(client), name).unwrap();
    let mut far = ServerConnection::new(tls.server_config(Speaks::Grpc).unwrap()).unwrap();
    for _ in 0..10 {
        let mut wire = Vec::new();
        while near.wants_write() {
            near.write_tls(&mut wire).unwrap();
        }
        let mut rest = wire.as_slice();
        while !rest.is_empty() {
            far.read_tls(&mut rest).unwrap();
            far.process_new_packets()?;
        }
        wire = Vec::new();
        while far.wants_write() {
            far.write_tls(&mut wire).unwrap();
        }
        let mut rest = wire.as_slice();
        while !rest.is_empty() {
            near.read_tls(&mut rest).unwrap();
            near.process_new_packets()?;
        }
    }
    assert!(!near.is_handshaking() && !far.is_handshaking());
    Ok(near)
}

fn may_enter(tls: &Tls, config: ClientConfig) -> bool {
    shake(tls, &Arc::new(config)).is_ok()
}

#[test]
fn a_client_that_trusts_the_authority_gets_in() {
    let (files, ca) = (Files::new(), Authority::new());
    let (tls, _watch) = open_tls(&settings(&files, &ca.server(), None));
    assert!(may_enter(&tls, client(&ca, None)));
    assert!(!may_enter(&tls, client(&Authority::new(), None)));
}

#[test]
fn grpc_speaks_http_2_only() {
    let (files, ca) = (Files::new(), Authority::new());
    let (tls, _watch) = open_tls(&settings(&files, &ca.server(), None));
    let mut config = client(&ca, None);
    config.alpn_protocols = vec![b"http/1.1".to_vec(), b"h2".to_vec()];
    let near = shake(&tls, &Arc::new(config)).unwrap();
    assert_eq!(near.alpn_protocol(), Some(b"h2".as_slice()));
    let mut config = client(&ca, None);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    assert!(!may_enter(&tls, config));
    assert!(
        tls.server_config(Speaks::Http)
            .unwrap()
            .alpn_protocols
            .is_empty()
    );
}

#[test]
fn mutual_tls_wants_a_certificate_of_its_authority() {
    let (files, ca, clients) = (Files::new(), Authority::new(), Authority::new());
    let (tls, _watch) = open_tls(&settings(&files, &ca.server(), Some(&clients)));
    assert!(may_enter(&tls, client(&ca, Some(&clients.client()))));
    assert!(!may_enter(&tls, client(&ca, None)));
    assert!(!may_enter(&tls, client(&ca, Some(&ca.client()))));
    assert!(!may_enter(&tls, client(&ca, Some(&clients.server()))));
}

#[test]
fn a_new_certificate_is_shown_once_both_files_are_there() {
    let (files, old, new) = (Files::new(), Authority::new(), Authority::new());
    let (tls, _watch) = open_tls(&settings(&files, &old.server(), None));
    let server = new.server();
    // In between, certificate and key do not fit: the old ones stay.
    files.write("server.pem", &server.certificate);
    std::thread::sleep(20 * TICK);
    assert!(may_enter(&tls, client(&old, None)));
    files.write("server.key", &server.key);
    eventually("the new certificate", || {
        may_enter(&tls, client(&new, None))
    });
    assert!(!may_enter(&tls, client(&old, None)));
    for nonsense in ["", "hunter2", "-----BEGIN CERTIFICATE-----\nhunter2\n"] {
        files.write("server.pem", nonsense);
        std::thread::sleep(5 * TICK);
        assert!(may_enter(&tls, client(&new, None)));
    }
}

#[test]
fn a_new_client_authority_counts_also_for_sessions_that_began_before() {
    let (files, ca) = (Files::new(), Authority::new());
    let (old, new) = (Authority::new(), Authority::new());
    let (tls, _watch) = open_tls(&settings(&files, &ca.server(), Some(&old)));
    let mut remembers = client(&ca, Some(&old.client()));
    remembers.resumption = Resumption::in_memory_sessions(8);
    let remembers = Arc::new(remembers);
    shake(&tls, &remembers).unwrap();
    files.write("clients.pem", new.pem());
    eventually("the new authority", || {
        may_enter(&tls, client(&ca, Some(&new.client())))
    });
    assert!(shake(&tls, &remembers).is_err());
}

#[test]
fn files_that_cannot_be_used_are_told_without_their_content() {
    let (files, ca) = (Files::new(), Authority::new());
    let (server, other) = (ca.server(), ca.server());
    let check = |certificate: &str, key: &str, fragment: &str| {
        let identity = Identity {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
        };
        let refused = Tls::open(&settings(&files, &identity, None), &mut watcher());
        let sentence = refused.err().expect("a refusal").to_string();
        assert!(sentence.contains(fragment), "{sentence}");
        assert!(!sentence.contains("hunter2"), "{sentence}");
    };
    check(
        "hunter2",
        &server.key,
        "tls.certificate holds no certificate",
    );
    check(
        &server.certificate,
        "hunter2",
        "tls.key holds no private key",
    );
    check(
        &server.certificate,
        "-----BEGIN hunter2",
        "tls.key holds no private key",
    );
    check(&server.certificate, &other.key, "cannot be used together");
    check(&server.key, &server.certificate, "holds no certificate");
}
