//! The server's end: what a frontend shows to its clients.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};

use super::certificates::{Certificate, Certificates, Rotation};
use super::pem::{self, Watched};
use super::preference::{Preference, provider};
use super::revocation::Revocations;
use super::tickets::{Bound, Tickets};
use super::{Session, TlsError, staple};
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
    /// The revocation lists that were read.
    revocations: Watched,
    /// When the first of these is to be replaced, Unix seconds; `i64::MAX` = never.
    /// Control alone writes and reads.
    revoked_until: AtomicI64,
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
        let revocations = Watched::new(settings.crl_file.clone().into_iter().collect());
        let config = configure(settings, &provider, tickets).map_err(|error| problems.push(error));
        let (Ok(certificates), Ok((mut config, revoked_until))) = (certificates, config) else {
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
            revocations,
            revoked_until: AtomicI64::new(revoked_until),
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

    /// Reads what has changed: certificates, authorities of clients and what these
    /// revoked. Blocks.
    /// Handshakes from now on see what was taken; what was refused stays as it was.
    pub(crate) fn reload(&self) -> Rotation {
        let paths = &self.settings.certificates;
        let mut rotation = self.certificates.reload(paths, &self.provider);
        let watched = [&self.authorities, &self.revocations];
        let changed: Vec<_> = watched
            .into_iter()
            .filter(|watched| watched.have_changed())
            .collect();
        if changed.is_empty() {
            return rotation;
        }
        match configure(&self.settings, &self.provider, &self.tickets) {
            Ok((mut config, revoked_until)) => {
                config.cert_resolver = Arc::clone(&self.certificates) as _;
                self.config.store(Arc::new(Preference::new(config)));
                self.revoked_until.store(revoked_until, Ordering::Relaxed);
                let files = changed.iter().flat_map(|watched| watched.files());
                rotation.taken.extend(files.cloned());
            }
            Err(error) => {
                // To be tried again, and named again, with each look.
                for watched in changed {
                    watched.refuse();
                }
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
        paths.extend(files.iter().map(|file| staple::beside(&file.path)));
        paths.extend(self.settings.ca_file.clone());
        paths.extend(self.settings.crl_file.clone());
        paths
    }

    /// The file of revocation lists and when the first of them is to be replaced, Unix
    /// seconds: from then on its authority vouches for nobody. `None` = there is none.
    pub(crate) fn revocations(&self) -> Option<(&Path, i64)> {
        let file = self.settings.crl_file.as_deref()?;
        Some((file, self.revoked_until.load(Ordering::Relaxed)))
    }
}

/// What handshakes need but certificates, and when the revocation lists are to be replaced.
fn configure(
    settings: &FrontendTls,
    provider: &Arc<CryptoProvider>,
    tickets: &Arc<Tickets>,
) -> Result<(ServerConfig, i64), TlsError> {
    let versions = match settings.min_version {
        TlsVersion::Tls12 => &[&TLS13, &TLS12][..],
        TlsVersion::Tls13 => &[&TLS13],
    };
    let unusable = |error| TlsError::Settings(format!("min_version and cipher_suites: {error}"));
    let builder = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(versions)
        .map_err(unusable)?;
    let clients = verifier(settings, provider)?;
    let (builder, context, revoked_until) = match clients {
        None => (builder.with_no_client_auth(), Vec::new(), i64::MAX),
        Some(clients) => (
            builder.with_client_cert_verifier(clients.verifier),
            clients.context,
            clients.revoked_until,
        ),
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
    Ok((config, revoked_until))
}

/// How clients are verified.
struct Clients {
    verifier: Arc<dyn ClientCertVerifier>,
    /// All that a client was held to: who resumes was not held to what came after.
    context: Vec<u8>,
    revoked_until: i64,
}

/// `None` = they are not asked.
fn verifier(
    settings: &FrontendTls,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Clients>, TlsError> {
    let (auth, path) = match (settings.client_auth, &settings.ca_file) {
        (ClientAuth::Off, _) | (_, None) => return Ok(None),
        (auth, Some(path)) => (auth, path),
    };
    let mut context = pem::read(path)?;
    context.push(u8::from(auth == ClientAuth::Required));
    let roots = Arc::new(pem::authorities(path)?);
    let mut builder = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider));
    if auth != ClientAuth::Required {
        builder = builder.allow_unauthenticated();
    }
    let mut revoked_until = i64::MAX;
    let mut named = path;
    if let Some(file) = &settings.crl_file {
        let revocations = Revocations::read(file)?;
        context.extend(&revocations.text);
        revoked_until = revocations.until.unwrap_or(i64::MAX);
        // As OpenSSL, and so HAProxy and nginx: without a list that is good now, nobody
        // knows who was revoked since.
        builder = builder
            .with_crls(revocations.lists)
            .enforce_revocation_expiration();
        named = file;
    }
    let verifier = builder
        .build()
        .map_err(|error| TlsError::content(named, error))?;
    Ok(Some(Clients {
        verifier,
        context,
        revoked_until,
    }))
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
