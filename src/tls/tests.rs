//! Handshakes in memory, and certificates exchanged under them.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use rcgen::{CertificateParams, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use super::{Acceptor, Tickets};
use crate::config::FrontendTls;

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
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(path).unwrap())
        .unwrap();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
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
    let mut server = acceptor.accept()?;
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
    let shown = &client.peer_certificates().unwrap()[0];
    let (_, leaf) = x509_parser::parse_x509_certificate(shown).unwrap();
    Ok(*leaf.raw_serial().last().unwrap())
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
