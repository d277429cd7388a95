//! TLS for the HTTP and the gRPC listener: one certificate, and where it is
//! mutual one client authority, both taken from files that may change.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{
    ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::{
    DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig, SignatureScheme,
};

use super::watch::{FileError, Watched, Watcher};
use crate::settings::TlsSettings;

/// Why the files of `tls` cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsFileError {
    #[error("tls.certificate holds no certificate in PEM form")]
    Certificate,
    #[error("tls.key holds no private key in PEM form")]
    Key,
    #[error("tls.certificate and tls.key cannot be used together: {0}")]
    Pair(#[source] rustls::Error),
    #[error("tls.client_ca holds no certificate in PEM form")]
    ClientCa,
    #[error("tls.client_ca cannot be used: {0}")]
    Verifier(#[source] rustls::server::VerifierBuilderError),
}

/// Which protocols a listener speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaks {
    /// HTTP/1.1. actix-web puts it before what is set, so nothing is.
    Http,
    /// gRPC is HTTP/2 only.
    Grpc,
}

/// What both listeners show and ask for; cheap to clone.
#[derive(Clone)]
pub(crate) struct Tls {
    provider: Arc<CryptoProvider>,
    certificate: Watched<CertifiedKey>,
    clients: Option<Watched<Verifier>>,
}

impl Tls {
    /// Reads the files that the settings name; `None` when they name none.
    ///
    /// # Errors
    /// When they cannot be used.
    pub(crate) fn open(
        settings: &TlsSettings,
        watcher: &mut Watcher,
    ) -> Result<Option<Self>, FileError> {
        let (Some(certificate), Some(key)) = (&settings.certificate, &settings.key) else {
            return Ok(None);
        };
        let provider = Arc::new(aws_lc_rs::default_provider());
        let with = Arc::clone(&provider);
        let files = [certificate.clone(), key.clone()];
        let load = move |[certificate, key]: &[Vec<u8>; 2]| Ok(pair(certificate, key, &with)?);
        let certificate = watcher.follow("tls.certificate", files, load)?;
        let mut clients = None;
        if let Some(path) = &settings.client_ca {
            let with = Arc::clone(&provider);
            let load = move |[roots]: &[Vec<u8>; 1]| Ok(verifier(roots, &with)?);
            clients = Some(watcher.follow("tls.client_ca", [path.clone()], load)?);
        }
        Ok(Some(Self {
            provider,
            certificate,
            clients,
        }))
    }

    /// What a listener of these protocols is started with.
    ///
    /// # Errors
    /// When the protocol versions and the provider do not fit, which cannot happen.
    pub(crate) fn server_config(&self, speaks: Speaks) -> Result<Arc<ServerConfig>, rustls::Error> {
        let builder = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?;
        let resolver = Arc::new(Shown(self.certificate.clone()));
        let mut config = match &self.clients {
            None => builder.with_no_client_auth().with_cert_resolver(resolver),
            Some(clients) => {
                let verifier = Arc::new(Asked(clients.clone()));
                let builder = builder.with_client_cert_verifier(verifier);
                let mut config = builder.with_cert_resolver(resolver);
                // A resumed session would not be verified against a new authority.
                config.session_storage = Arc::new(NoServerSessionStorage {});
                config.send_tls13_tickets = 0;
                config
            }
        };
        if speaks == Speaks::Grpc {
            config.alpn_protocols = vec![b"h2".to_vec()];
        }
        Ok(Arc::new(config))
    }
}

fn pair(
    certificate: &[u8],
    key: &[u8],
    provider: &CryptoProvider,
) -> Result<CertifiedKey, TlsFileError> {
    let chain = certificates(certificate).ok_or(TlsFileError::Certificate)?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsFileError::Key)?;
    CertifiedKey::from_der(chain, key, provider).map_err(TlsFileError::Pair)
}

fn verifier(roots: &[u8], provider: &Arc<CryptoProvider>) -> Result<Verifier, TlsFileError> {
    let mut store = RootCertStore::empty();
    for root in certificates(roots).ok_or(TlsFileError::ClientCa)? {
        store.add(root).map_err(|_| TlsFileError::ClientCa)?;
    }
    let builder =
        WebPkiClientVerifier::builder_with_provider(Arc::new(store), Arc::clone(provider));
    builder
        .build()
        .map(Verifier)
        .map_err(TlsFileError::Verifier)
}

/// `None` when one is malformed or there is none. Parser errors are not
/// passed on: they may quote a line, and somebody may have mixed up the files.
fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    all.ok().filter(|chain| !chain.is_empty())
}

/// The certificate as it is now.
#[derive(Debug)]
struct Shown(Watched<CertifiedKey>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.get())
    }
}

#[derive(Debug)]
struct Verifier(Arc<dyn ClientCertVerifier>);

/// The client authority as it is now.
#[derive(Debug)]
struct Asked(Watched<Verifier>);

impl ClientCertVerifier for Asked {
    /// A hint that clients do not need; the names would have to outlive a reload.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let current = self.0.get();
        current.0.verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.get().0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.get().0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.get().0.supported_verify_schemes()
    }
}
