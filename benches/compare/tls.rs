//! The certificate that every proxy shows, and a client that trusts it.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::Result;
use crate::peer::{Site, ask as ask_over};

/// P-256, for the loopback; HAProxy and rlb want key and chain in one file, nginx takes
/// it for both.
pub(crate) fn write_certificate(site: &Site<'_>) -> Result<()> {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
    let text = format!("{}{}", made.cert.pem(), made.signing_key.serialize_pem());
    Ok(std::fs::write(site.certificate(), text)?)
}

/// One request, and all that comes until the end.
pub(crate) fn ask(site: &Site<'_>, address: SocketAddr, path: &str) -> io::Result<Vec<u8>> {
    let mut roots = RootCertStore::empty();
    let root = CertificateDer::from_pem_file(site.certificate()).map_err(io::Error::other)?;
    roots.add(root).map_err(io::Error::other)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::from(address.ip());
    let connection = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    ask_over(
        StreamOwned::new(connection, TcpStream::connect(address)?),
        address,
        path,
    )
}
