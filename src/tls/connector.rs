//! The client's end: how a server is spoken to and verified.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme,
};

use super::pem::{self, Watched};
use super::preference::provider;
use super::{Session, TlsError};
use crate::config::{ServerAddress, ServerTls};

/// Sessions kept per server, to be resumed: more than a pool that breaks down needs at once.
const SESSIONS: usize = 32;

/// Begins handshakes with the servers of these settings.
#[derive(Debug)]
pub(crate) struct Connector {
    /// What it was made of.
    pub(crate) settings: ServerTls,
    config: Arc<ClientConfig>,
    /// What was read.
    pub(super) watched: Watched,
}

/// One server as TLS knows it: its name, and sessions to resume.
#[derive(Debug)]
pub(crate) struct Origin {
    /// What it was made of.
    pub(crate) connector: Arc<Connector>,
    /// As it was made.
    pub(crate) speaks_h2: bool,
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Connector {
    /// Reads all that `settings` name. Blocks.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub(crate) fn load(settings: &ServerTls) -> Result<Self, TlsError> {
        let watched = Watched::new(paths(settings));
        let provider = provider(&[]);
        let versions = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::Settings(error.to_string()))?;
        let builder = versions
            .dangerous()
            .with_custom_certificate_verifier(verifier(settings, &provider)?);
        let mut config = match &settings.certificate {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let (chain, key) = pem::pair(path, settings.key.as_deref())?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|error| TlsError::content(path, error))?
            }
        };
        config.alpn_protocols = settings
            .alpn
            .iter()
            .map(|protocol| protocol.as_bytes().to_vec())
            .collect();
        Ok(Self {
            settings: settings.clone(),
            config: Arc::new(config),
            watched,
        })
    }

    /// Trusts no server: every handshake fails.
    pub(super) fn distrusting(settings: &ServerTls) -> Self {
        let provider = provider(&[]);
        let verifier = Arc::new(Nobody {
            schemes: provider
                .signature_verification_algorithms
                .supported_schemes(),
        });
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("the provider as it comes speaks TLS 1.3")
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        Self {
            settings: settings.clone(),
            config: Arc::new(config),
            watched: Watched::new(Vec::new()),
        }
    }

    /// The server at `address`. `speaks_h2` = that is offered where nothing else is written:
    /// HTTP/2 over TLS is agreed on by ALPN alone (RFC 9113 section 3.2).
    pub(crate) fn origin(self: &Arc<Self>, address: &ServerAddress, speaks_h2: bool) -> Origin {
        let settings = &self.settings;
        let mut config = ClientConfig::clone(&self.config);
        if speaks_h2 && config.alpn_protocols.is_empty() {
            config.alpn_protocols = vec![b"h2".to_vec()];
        }
        // A ticket is good where it came from: other servers of the same name have other keys.
        config.resumption = Resumption::in_memory_sessions(SESSIONS);
        let wanted = settings.sni.as_ref().or(settings.host.as_ref());
        let wanted = wanted.and_then(|name| ServerName::try_from(name.to_string()).ok());
        let ip = |ip: IpAddr| ServerName::from(ip);
        let name = wanted.unwrap_or_else(|| match address {
            ServerAddress::Ip(address) => ip(address.ip()),
            // Nothing names it; it is refused unless `host` says who it is.
            ServerAddress::Unix(_) | ServerAddress::Abstract(_) | ServerAddress::Name(..) => {
                ip(IpAddr::from([0; 4]))
            }
        });
        Origin {
            connector: Arc::clone(self),
            speaks_h2,
            config: Arc::new(config),
            name,
        }
    }
}

impl Origin {
    /// A connection about to speak first.
    ///
    /// # Errors
    /// The settings cannot be used, which [`Connector::load`] would have said.
    pub(crate) fn connect(&self) -> Result<Session, rustls::Error> {
        let connection = ClientConnection::new(Arc::clone(&self.config), self.name.clone())?;
        Ok(Session::client(connection))
    }

    /// For those who bring a transport of their own, without a protocol of theirs (ALPN).
    pub(crate) fn probe(&self) -> (Arc<ClientConfig>, ServerName<'static>) {
        let mut config = ClientConfig::clone(&self.config);
        config.alpn_protocols.clear();
        config.resumption = Resumption::disabled();
        (Arc::new(config), self.name.clone())
    }
}

fn paths(settings: &ServerTls) -> Vec<PathBuf> {
    let beside = match (&settings.certificate, &settings.key) {
        (Some(certificate), None) => pem::beside(certificate),
        _ => Vec::new(),
    };
    let named = [&settings.ca_file, &settings.certificate, &settings.key];
    named.into_iter().flatten().cloned().chain(beside).collect()
}

fn verifier(
    settings: &ServerTls,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
    if !settings.verify {
        return Ok(Arc::new(Anybody {
            provider: Arc::clone(provider),
        }));
    }
    let roots = match &settings.ca_file {
        Some(path) => Arc::new(pem::authorities(path)?),
        None => native_roots()?,
    };
    let known = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider))
        .build()
        .map_err(|error| TlsError::Settings(error.to_string()))?;
    let host = settings.host.as_ref().filter(|_| settings.sni.is_some());
    match host.and_then(|host| ServerName::try_from(host.to_string()).ok()) {
        None => Ok(known),
        Some(host) => Ok(Arc::new(Named { known, host })),
    }
}

/// The authorities of the system, read once.
fn native_roots() -> Result<Arc<RootCertStore>, TlsError> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let roots = ROOTS.get_or_init(|| {
        let found = rustls_native_certs::load_native_certs();
        let mut store = RootCertStore::empty();
        // One that cannot be read costs those it vouches for, not all others.
        store.add_parsable_certificates(found.certs);
        Arc::new(store)
    });
    match roots.is_empty() {
        false => Ok(Arc::clone(roots)),
        true => Err(TlsError::Settings(
            "the system has no certificate authorities; write ca_file, or install ca-certificates"
                .to_owned(),
        )),
    }
}

/// Verifies another name than the one sent as SNI.
#[derive(Debug)]
struct Named {
    known: Arc<WebPkiServerVerifier>,
    host: ServerName<'static>,
}

impl ServerCertVerifier for Named {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        issuers: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.known
            .verify_server_cert(leaf, issuers, &self.host, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.known
            .verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.known
            .verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.known.supported_verify_schemes()
    }
}

/// No server is the right one.
#[derive(Debug)]
struct Nobody {
    schemes: Vec<SignatureScheme>,
}

impl Nobody {
    fn no<T>() -> Result<T, rustls::Error> {
        Err(rustls::Error::General(
            "its tls settings were not loaded".into(),
        ))
    }
}

impl ServerCertVerifier for Nobody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Self::no()
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Self::no()
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Self::no()
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone()
    }
}

/// `verify = false`: whoever holds the key of whatever certificate.
#[derive(Debug)]
struct Anybody {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let known = &self.provider.signature_verification_algorithms;
        known.supported_schemes()
    }
}
