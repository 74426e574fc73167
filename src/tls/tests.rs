//! Handshakes in memory, and certificates exchanged under them.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use rcgen::{CertificateParams, KeyPair};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CipherSuite, ClientConfig, ClientConnection, RootCertStore};

use super::{Acceptor, Session, Tickets};
use crate::config::FrontendTls;

const AES_128: CipherSuite = CipherSuite::TLS13_AES_128_GCM_SHA256;
const AES_256: CipherSuite = CipherSuite::TLS13_AES_256_GCM_SHA384;
const CHACHA: CipherSuite = CipherSuite::TLS13_CHACHA20_POLY1305_SHA256;

/// A certificate of this serial number that signed itself, with its key.
fn issue(key: &KeyPair, serial: u8) -> String {
    let mut params = CertificateParams::new(["a.test".to_owned()]).unwrap();
    params.serial_number = Some(vec![1, serial].into());
    let certificate = params.self_signed(key).unwrap();
    format!("{}{}", certificate.pem(), key.serialize_pem())
}

fn put(path: &Path, text: &str) {
    let fresh = path.with_extension("new");
    std::fs::write(&fresh, text).unwrap();
    std::fs::rename(&fresh, path).unwrap();
}

fn acceptor(path: &Path) -> Acceptor {
    let settings = FrontendTls {
        certificates: vec![path.to_path_buf()],
        ..FrontendTls::default()
    };
    Acceptor::load(&settings, &Arc::<Tickets>::default()).unwrap()
}

/// A client that believes in any of these certificates: they share key and name.
fn client(path: &Path) -> Arc<ClientConfig> {
    client_by(path, aws_lc_rs::default_provider())
}

fn client_by(path: &Path, provider: CryptoProvider) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(path).unwrap())
        .unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = rustls::client::Resumption::disabled();
    Arc::new(config)
}

/// The serial number that is shown.
fn handshake(acceptor: &Acceptor, config: &Arc<ClientConfig>) -> Result<u8, rustls::Error> {
    let name = ServerName::try_from("a.test").unwrap();
    let mut client = ClientConnection::new(Arc::clone(config), name)?;
    converse(&mut client, &mut acceptor.accept())?;
    let shown = &client.peer_certificates().unwrap()[0];
    let (_, leaf) = x509_parser::parse_x509_certificate(shown).unwrap();
    Ok(*leaf.raw_serial().last().unwrap())
}

/// Hands messages over until both have shaken hands.
fn converse(client: &mut ClientConnection, server: &mut Session) -> Result<(), rustls::Error> {
    while client.is_handshaking() || server.is_handshaking() {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        let mut wire = &wire[..];
        while !wire.is_empty() {
            server.read_tls(&mut wire).unwrap();
            server.process()?;
        }
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        let mut wire = &wire[..];
        while !wire.is_empty() {
            client.read_tls(&mut wire).unwrap();
            client.process_new_packets()?;
        }
    }
    Ok(())
}

/// The suite of a handshake with a client that has these, in this order.
fn chosen(acceptor: &Acceptor, path: &Path, suites: &[CipherSuite]) -> CipherSuite {
    let mut provider = aws_lc_rs::default_provider();
    let place = |suite: CipherSuite| suites.iter().position(|wanted| *wanted == suite);
    let all = &mut provider.cipher_suites;
    all.retain(|suite| place(suite.suite()).is_some());
    all.sort_by_key(|suite| place(suite.suite()));
    let name = ServerName::try_from("a.test").unwrap();
    let mut client = ClientConnection::new(client_by(path, provider), name).unwrap();
    converse(&mut client, &mut acceptor.accept()).unwrap();
    client.negotiated_cipher_suite().unwrap().suite()
}

#[test]
fn aes_128_comes_first_unless_the_client_has_no_aes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.pem");
    put(&path, &issue(&KeyPair::generate().unwrap(), 0));
    let ours = acceptor(&path);
    let openssl = [AES_256, CHACHA, AES_128];
    assert_eq!(chosen(&ours, &path, &openssl), AES_128);
    assert_eq!(chosen(&ours, &path, &[CHACHA, AES_128]), CHACHA);
    assert_eq!(chosen(&ours, &path, &[AES_256, CHACHA]), AES_256);

    let mut settings = FrontendTls {
        certificates: vec![path.clone()],
        ..FrontendTls::default()
    };
    settings.cipher_suites = ["TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256"]
        .map(String::from)
        .to_vec();
    let written = Acceptor::load(&settings, &Arc::<Tickets>::default()).unwrap();
    let browser = [AES_128, AES_256, CHACHA];
    assert_eq!(chosen(&written, &path, &browser), AES_256, "as written");
}

#[test]
fn hundred_rotations_under_handshakes_fail_none() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.pem");
    let key = KeyPair::generate().unwrap();
    put(&path, &issue(&key, 0));
    let (acceptor, config) = (acceptor(&path), client(&path));
    let (done, count) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    handshake(&acceptor, &config).unwrap();
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for serial in 1..=100 {
            put(&path, &issue(&key, serial));
            let rotation = acceptor.reload();
            assert_eq!(rotation.taken, std::slice::from_ref(&path));
            assert_eq!(handshake(&acceptor, &config), Ok(serial));
        }
        done.store(true, Ordering::Relaxed);
    });
    println!(
        "100 rotations, {} handshakes beside them",
        count.into_inner()
    );
}

#[test]
fn what_was_only_written_again_is_no_rotation() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.pem");
    let key = KeyPair::generate().unwrap();
    let text = issue(&key, 7);
    put(&path, &text);
    let acceptor = acceptor(&path);
    put(&path, &text);
    assert!(!acceptor.reload().is_change());
    put(&path, "rubbish");
    // Named at each look, so that whoever asks again hears it again.
    for _ in 0..2 {
        let rotation = acceptor.reload();
        assert_eq!(rotation.refused.len(), 1);
        assert!(!rotation.is_change());
    }
    assert_eq!(acceptor.certificates()[0].path, path);
    put(&path, &text);
    assert!(acceptor.reload().refused.is_empty());
}
