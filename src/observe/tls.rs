//! What is seen of TLS.

use std::sync::Arc;

use serde::Serialize;

/// At one moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct TlsFacts {
    /// Frontends that speak it, in the order of the file.
    pub(crate) frontends: Vec<TlsFrontend>,
    /// What they show, each file once.
    pub(crate) certificates: Vec<CertificateRow>,
}

/// Handshakes of a frontend.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct TlsFrontend {
    /// Its name.
    pub(crate) name: Arc<str>,
    /// Those that led to a session.
    pub(crate) handshakes: u64,
    /// Those of them that resumed an earlier session.
    pub(crate) resumed: u64,
    /// Those that led nowhere.
    pub(crate) failed: u64,
}

/// A certificate that is shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct CertificateRow {
    /// Where it was read.
    pub(crate) file: String,
    /// Names it is good for.
    pub(crate) names: String,
    /// Unix seconds.
    pub(crate) not_before: i64,
    /// Unix seconds.
    pub(crate) not_after: i64,
}

impl TlsFacts {
    /// A sum over the frontends.
    pub(super) fn sum(&self, of: fn(&TlsFrontend) -> u64) -> u64 {
        self.frontends.iter().map(of).sum()
    }
}
