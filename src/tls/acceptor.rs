//! The server's end: what a frontend shows to its clients.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};

use super::certificates::{Certificate, Certificates, Rotation};
use super::pem::{self, Watched};
use super::preference::{Preference, provider};
use super::tickets::{Bound, Tickets};
use super::{Session, TlsError};
use crate::config::{ClientAuth, FrontendTls, TlsVersion};

/// Answers the handshakes of a frontend's clients.
#[derive(Debug)]
pub(crate) struct Acceptor {
    /// What it was made of.
    pub(crate) settings: FrontendTls,
    config: ArcSwap<Preference>,
    certificates: Arc<Certificates>,
    provider: Arc<CryptoProvider>,
    tickets: Arc<Tickets>,
    /// The authorities that were read.
    authorities: Watched,
}

impl Acceptor {
    /// Reads all that `settings` name. Blocks.
    ///
    /// # Errors
    /// Everything that is wrong with it, at once.
    pub(crate) fn load(
        settings: &FrontendTls,
        tickets: &Arc<Tickets>,
    ) -> Result<Self, Vec<TlsError>> {
        let provider = provider(&settings.cipher_suites);
        let mut problems = Vec::new();
        let paths = &settings.certificates;
        let certificates = Certificates::load(paths, settings.strict_sni, &provider)
            .map(Arc::new)
            .map_err(|errors| problems.extend(errors));
        let authorities = Watched::new(settings.ca_file.clone().into_iter().collect());
        let config = configure(settings, &provider, tickets).map_err(|error| problems.push(error));
        let (Ok(certificates), Ok(mut config)) = (certificates, config) else {
            return Err(problems);
        };
        config.cert_resolver = Arc::clone(&certificates) as _;
        Ok(Self {
            settings: settings.clone(),
            config: ArcSwap::from_pointee(Preference::new(config)),
            certificates,
            provider,
            tickets: Arc::clone(tickets),
            authorities,
        })
    }

    /// A connection whose client has yet to speak.
    pub(crate) fn accept(&self) -> Session {
        Session::server(Preference::clone(&self.config.load()))
    }

    /// The same for who drives rustls another way: all suites in our order.
    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        self.config.load().of(&[])
    }

    /// Reads what has changed: certificates, and the authorities of clients. Blocks.
    /// Handshakes from now on see what was taken; what was refused stays as it was.
    pub(crate) fn reload(&self) -> Rotation {
        let paths = &self.settings.certificates;
        let mut rotation = self.certificates.reload(paths, &self.provider);
        if !self.authorities.have_changed() {
            return rotation;
        }
        match configure(&self.settings, &self.provider, &self.tickets) {
            Ok(mut config) => {
                config.cert_resolver = Arc::clone(&self.certificates) as _;
                self.config.store(Arc::new(Preference::new(config)));
                rotation.taken.extend(self.settings.ca_file.clone());
            }
            Err(error) => {
                // To be tried again, and named again, with each look.
                self.authorities.refuse();
                rotation.refused.push(error);
            }
        }
        rotation
    }

    /// What is shown now, the default one first.
    pub(crate) fn certificates(&self) -> Vec<Arc<Certificate>> {
        self.certificates.all()
    }

    /// Whether clients are asked for certificates.
    pub(crate) fn asks_clients(&self) -> bool {
        self.settings.client_auth != ClientAuth::Off
    }

    /// Files and directories whose change is of interest.
    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        let mut paths = self.settings.certificates.clone();
        let files = self.certificates.all();
        // A key beside may change alone, its chain with it or not.
        paths.extend(files.iter().flat_map(|file| pem::beside(&file.path)));
        paths.extend(self.settings.ca_file.clone());
        paths
    }
}

fn configure(
    settings: &FrontendTls,
    provider: &Arc<CryptoProvider>,
    tickets: &Arc<Tickets>,
) -> Result<ServerConfig, TlsError> {
    let versions = match settings.min_version {
        TlsVersion::Tls12 => &[&TLS13, &TLS12][..],
        TlsVersion::Tls13 => &[&TLS13],
    };
    let unusable = |error| TlsError::Settings(format!("min_version and cipher_suites: {error}"));
    let builder = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(versions)
        .map_err(unusable)?;
    let mut context = Vec::new();
    let builder = match (settings.client_auth, &settings.ca_file) {
        (ClientAuth::Off, _) | (_, None) => builder.with_no_client_auth(),
        (auth, Some(path)) => {
            context = pem::read(path)?;
            context.push(u8::from(auth == ClientAuth::Required));
            let roots = Arc::new(pem::authorities(path)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider));
            let verifier = match auth {
                ClientAuth::Required => verifier,
                _ => verifier.allow_unauthenticated(),
            };
            let verifier = verifier
                .build()
                .map_err(|error| TlsError::content(path, error))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_cert_resolver(Arc::new(Nothing));
    config.alpn_protocols = settings
        .alpn
        .iter()
        .map(|protocol| protocol.as_bytes().to_vec())
        .collect();
    // Sessions of clients without tickets would need a lock that all workers share.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = settings.tickets;
    if settings.tickets > 0 {
        // A ticket proves what its own handshake proved: not good where clients must show more.
        config.ticketer = Arc::new(Bound::new(tickets, &context));
    }
    Ok(config)
}

/// Stands in until the certificates are there.
#[derive(Debug)]
struct Nothing;

impl rustls::server::ResolvesServerCert for Nothing {
    fn resolve(
        &self,
        _: rustls::server::ClientHello<'_>,
    ) -> Option<Arc<rustls::sign::CertifiedKey>> {
        None
    }
}
