//! TLS as rustls speaks it: certificates, what clients are shown by the name they
//! ask for, how servers are verified, and one connection as a state machine.
//!
//! This room must not know sockets, workers or generations; it reads files only
//! where it says so. Start at [`Acceptor::load`] (clients), [`Connector::load`]
//! (servers), [`Session`] (bytes), and [`Scan`] for what is passed through.

mod acceptor;
mod certificates;
mod client;
mod connector;
mod hello;
mod pem;
mod registry;
mod report;
mod session;
#[cfg(test)]
mod tests;
mod tickets;

use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};

pub(crate) use acceptor::Acceptor;
pub(crate) use certificates::Certificate;
pub(crate) use client::client_fields;
pub(crate) use connector::{Connector, Origin};
pub(crate) use hello::{ClientHello, HELLO_MAX, Scan};
pub(crate) use registry::{Refreshed, Registry, Unusable};
pub(crate) use session::{Plain, Session};
pub(crate) use tickets::{TicketKeys, Tickets};

/// Why TLS cannot be spoken as it is configured: the file, and the remedy.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// A file or directory cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// What is read is not what it should be.
    #[error("{}: {what}", path.display())]
    Content {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The settings do not go together, or the system has no authorities.
    #[error("{0}")]
    Settings(String),
}

impl TlsError {
    fn content(path: impl Into<PathBuf>, what: impl std::fmt::Display) -> Self {
        Self::Content {
            path: path.into(),
            what: what.to_string(),
        }
    }
}

/// The cryptography, with these suites alone if there are any.
fn provider(suites: &[String]) -> Arc<CryptoProvider> {
    let mut provider = aws_lc_rs::default_provider();
    if !suites.is_empty() {
        let name = |suite: &rustls::SupportedCipherSuite| suite.suite().as_str();
        // TLS13_AES_128_GCM_SHA256 is what rustls calls TLS_AES_128_GCM_SHA256.
        let is_wanted = |suite: &rustls::SupportedCipherSuite| {
            let iana = name(suite).map(|name| name.replace("TLS13_", "TLS_"));
            iana.is_some_and(|iana| suites.contains(&iana))
        };
        provider.cipher_suites.retain(is_wanted);
    }
    Arc::new(provider)
}
