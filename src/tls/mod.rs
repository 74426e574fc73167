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
mod preference;
mod registry;
mod report;
mod revocation;
mod session;
mod staple;
#[cfg(test)]
mod tests;
mod tickets;

use std::path::PathBuf;

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
