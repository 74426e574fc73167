//! A certificate authority of the test's own, and clients that trust it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer,
    KeyIdMethod, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, RevokedCertParams,
};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::process::temp_dir;
use super::{PATIENCE, read_until};

/// Issues certificates into a directory that goes with it.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    root: String,
    dir: TempDir,
}

/// A client's end of a TLS connection.
pub(crate) type TlsClient = StreamOwned<ClientConnection, TcpStream>;

/// The kind of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Ecdsa,
    Rsa,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().expect("randomness");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let root = params.self_signed(&key).expect("a key").pem();
        let dir = temp_dir();
        std::fs::write(dir.path().join("root.pem"), &root).expect("temporary directory");
        let secret = key.serialize_pem();
        std::fs::write(dir.path().join("root.key"), secret).expect("temporary directory");
        Self {
            issuer: Issuer::new(params, key),
            root,
            dir,
        }
    }

    /// The file with its own certificate; its key lies beside it.
    pub(crate) fn file(&self) -> PathBuf {
        self.dir.path().join("root.pem")
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Chain and key in PEM for these names; the first is the common name too.
    pub(crate) fn issue(&self, names: &[&str], kind: Kind) -> String {
        let key = KeyPair::generate_for(match kind {
            Kind::Ecdsa => &PKCS_ECDSA_P256_SHA256,
            Kind::Rsa => &PKCS_RSA_SHA256,
        })
        .expect("randomness");
        self.sign(names, &key, |_| {})
    }

    /// The same for a key that is there, with more in it.
    pub(crate) fn sign(
        &self,
        names: &[&str],
        key: &KeyPair,
        more: impl FnOnce(&mut CertificateParams),
    ) -> String {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names.clone()).expect("names");
        params
            .distinguished_name
            .push(DnType::CommonName, names[0].clone());
        more(&mut params);
        let certificate = params.signed_by(key, &self.issuer).expect("a key");
        format!("{}{}", certificate.pem(), key.serialize_pem())
    }

    /// The list of what it revoked, PEM, to be replaced on the first day of this year.
    pub(crate) fn revoke(&self, serials: &[u8], until: i32) -> String {
        let began = rcgen::date_time_ymd(2000, 1, 1);
        let revoked = serials.iter().map(|serial| RevokedCertParams {
            serial_number: vec![*serial].into(),
            revocation_time: began,
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: began,
            next_update: rcgen::date_time_ymd(until, 1, 1),
            crl_number: 1.into(),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = list.signed_by(&self.issuer).expect("a key");
        list.pem().expect("text")
    }

    /// The same in a file of this name below [`Self::dir`].
    pub(crate) fn write(&self, file: &str, names: &[&str]) -> PathBuf {
        self.put(file, &self.issue(names, Kind::Ecdsa))
    }

    /// Puts a file there as certbot does: whole or not at all.
    pub(crate) fn put(&self, file: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(file);
        std::fs::create_dir_all(path.parent().expect("below")).expect("temporary directory");
        let fresh = path.with_extension("new");
        std::fs::write(&fresh, text).expect("temporary directory");
        std::fs::rename(&fresh, &path).expect("temporary directory");
        path
    }

    /// Settings of a client that trusts it.
    pub(crate) fn client_config(&self) -> ClientConfig {
        self.configure(rustls::ALL_VERSIONS, None)
    }

    /// The same with these versions, and a certificate of the client's own.
    pub(crate) fn configure(
        &self,
        versions: &[&'static rustls::SupportedProtocolVersion],
        certificate: Option<&str>,
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(self.root.as_bytes()).expect("our own");
        roots.add(root).expect("our own");
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .expect("versions that are there")
            .with_root_certificates(roots);
        match certificate {
            None => builder.with_no_client_auth(),
            Some(pem) => {
                let chain = CertificateDer::pem_slice_iter(pem.as_bytes());
                let chain = chain.collect::<Result<_, _>>().expect("our own");
                let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).expect("our own");
                builder.with_client_auth_cert(chain, key).expect("our own")
            }
        }
    }

    /// Connects as a client that trusts it and asks for `name`.
    pub(crate) fn connect(&self, addr: SocketAddr, name: &str) -> TlsClient {
        tls_client(addr, name, Arc::new(self.client_config()))
    }
}

/// SHA-256 of the key of the first certificate in a PEM text, as browsers pin it (RFC 7469 2.4).
pub(crate) fn key_hash(pem: &str) -> String {
    let first = CertificateDer::from_pem_slice(pem.as_bytes()).expect("our own");
    let (_, certificate) = X509Certificate::from_der(&first).expect("our own");
    STANDARD.encode(Sha256::digest(certificate.public_key().raw))
}

/// A client about to handshake: the first read or write does.
#[track_caller]
pub(crate) fn tls_client(addr: SocketAddr, name: &str, config: Arc<ClientConfig>) -> TlsClient {
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let connection = ClientConnection::new(config, name).expect("settings");
    let stream = TcpStream::connect_timeout(&addr, PATIENCE)
        .unwrap_or_else(|error| panic!("{addr}: {error}"));
    stream.set_read_timeout(Some(PATIENCE)).expect("connected");
    stream.set_write_timeout(Some(PATIENCE)).expect("connected");
    stream.set_nodelay(true).expect("connected");
    StreamOwned::new(connection, stream)
}

/// Sends a GET and returns head and body of the answer, which has a length.
pub(crate) fn ask(client: &mut TlsClient, request: &str) -> std::io::Result<(String, Vec<u8>)> {
    client.write_all(request.as_bytes())?;
    let head = read_until(client, b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&head).into_owned();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("Content-Length: ")?.parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    client.read_exact(&mut body)?;
    Ok((head, body))
}

/// The request that tests send when it does not matter.
pub(crate) const GET: &str = "GET /x HTTP/1.1\r\nHost: a.test\r\n\r\n";
