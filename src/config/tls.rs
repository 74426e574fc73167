//! The run types of TLS: what a frontend shows its clients, what a server is asked for.

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// `[frontend.tls]`: how the binds with `tls = true` speak to their clients.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FrontendTls {
    /// PEM files with a chain and its key (or the key beside it, `name.key`), and
    /// directories of such files. The first certificate is the default one.
    pub certificates: Vec<PathBuf>,
    /// A client that names no host we have a certificate for is refused. Default false:
    /// it gets the default certificate.
    pub strict_sni: bool,
    /// Protocols offered by ALPN, best first; empty (default in tcp mode) = none is spoken of.
    pub alpn: Vec<Alpn>,
    /// Oldest version spoken. Default TLS 1.2.
    pub min_version: TlsVersion,
    /// Cipher suites by their IANA names; empty (default) = rustls's, which are all sound.
    pub cipher_suites: Vec<String>,
    /// Tickets a TLS 1.3 client gets with each full handshake, to resume with; 0 = no resumption
    /// at all. Default 2, as OpenSSL: a browser opens several connections.
    pub tickets: usize,
    /// Whether clients show certificates.
    pub client_auth: ClientAuth,
    /// Authorities of the clients' certificates, PEM; set where `client_auth` is not off.
    pub ca_file: Option<PathBuf>,
    /// What those authorities revoked, PEM; `None` (default) = nothing is known of it. With
    /// it a client is refused whose chain has an authority without a list that is good now.
    pub crl_file: Option<PathBuf>,
}

impl Default for FrontendTls {
    fn default() -> Self {
        Self {
            certificates: Vec::new(),
            strict_sni: false,
            alpn: vec![Alpn::H2, Alpn::Http11],
            min_version: TlsVersion::Tls12,
            cipher_suites: Vec::new(),
            tickets: 2,
            client_auth: ClientAuth::Off,
            ca_file: None,
            crl_file: None,
        }
    }
}

/// A protocol on top of TLS (RFC 7301).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Alpn {
    /// `http/1.1`
    Http11,
    /// `h2`
    H2,
}

impl Alpn {
    /// As on the wire.
    pub fn as_bytes(self) -> &'static [u8] {
        self.as_str().as_bytes()
    }

    /// As in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http11 => "http/1.1",
            Self::H2 => "h2",
        }
    }
}

/// A version of TLS. Older ones are broken (RFC 8996) and not to be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TlsVersion {
    /// RFC 5246, with forward-secret AEAD suites alone.
    Tls12,
    /// RFC 8446.
    Tls13,
}

/// Whether clients show certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClientAuth {
    /// They are not asked.
    Off,
    /// They are asked; one that is shown must be good.
    Optional,
    /// Without a good one there is no connection.
    Required,
}

/// `tls` of a backend or server: how it is spoken to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct ServerTls {
    /// Authorities of the server's certificate, PEM; `None` (default) = those of the system.
    pub ca_file: Option<PathBuf>,
    /// The certificate must be good and name the server. Default true.
    pub verify: bool,
    /// Name sent as SNI; `None` (default) = `host`, if that is a name.
    pub sni: Option<Arc<str>>,
    /// Name or address that the certificate must carry; `None` (default) = `sni`, else the
    /// server's IP address.
    pub host: Option<Arc<str>>,
    /// Certificate shown to the server, PEM with its chain; its key may stand in the same file.
    pub certificate: Option<PathBuf>,
    /// Key of `certificate`, PEM; `None` = in the same file, or beside it.
    pub key: Option<PathBuf>,
    /// Protocols offered by ALPN, best first; empty (default) = none is spoken of.
    pub alpn: Vec<Alpn>,
}

impl Default for ServerTls {
    fn default() -> Self {
        Self {
            ca_file: None,
            verify: true,
            sni: None,
            host: None,
            certificate: None,
            key: None,
            alpn: Vec::new(),
        }
    }
}
