//! Certificate revocation lists (RFC 5280 section 5).

use std::path::Path;

use rustls::pki_types::CertificateRevocationListDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::prelude::{CertificateRevocationList, FromDer};

use super::{TlsError, pem};

/// What a file of lists holds.
#[derive(Debug)]
pub(super) struct Revocations {
    /// In order.
    pub(super) lists: Vec<CertificateRevocationListDer<'static>>,
    /// When the first of them is to be replaced, Unix seconds; `None` = they do not say.
    pub(super) until: Option<i64>,
    /// The file's bytes, for a mark of its content.
    pub(super) text: Vec<u8>,
}

impl Revocations {
    /// Reads the lists in a file, PEM. Blocks.
    ///
    /// # Errors
    /// It cannot be read, or holds none, or something else between them.
    pub(super) fn read(path: &Path) -> Result<Self, TlsError> {
        let text = pem::read(path)?;
        let lists = CertificateRevocationListDer::pem_slice_iter(&text)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| TlsError::content(path, format!("not PEM: {error}")))?;
        if lists.is_empty() {
            return Err(TlsError::content(
                path,
                "no certificate revocation list in this file; DER becomes PEM by `openssl crl`",
            ));
        }
        let mut until = None;
        for list in &lists {
            let (_, parsed) = CertificateRevocationList::from_der(list).map_err(|error| {
                TlsError::content(path, format!("not a revocation list: {error}"))
            })?;
            let own = parsed.next_update().map(|time| time.timestamp());
            until = until.into_iter().chain(own).min();
        }
        Ok(Self { lists, until, text })
    }
}
