//! Certificates exchanged while they are shown.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use crate::support::authority::{Authority, GET, Kind, TlsClient, ask, tls_client};
use crate::support::{Origin, PATIENCE, Rlb, free_addr, wait_until};

fn rlb(ca: &Authority, origin: &Origin) -> (Rlb, std::net::SocketAddr) {
    let bind = free_addr();
    let config = format!(
        "[global]\nworkers = 2\nadmin = \"\"\n[[listen]]\nname = \"web\"\n\
         bind = {{ address = \"{bind}\", tls = true }}\n\
         tls = {{ certificates = {:?} }}\nserver = \"{}\"\n",
        ca.dir().join("shown"),
        origin.addr()
    );
    (Rlb::with(config).ready_on(bind).start(), bind)
}

fn serial(client: &TlsClient) -> Vec<u8> {
    let certificate = &client.conn.peer_certificates().unwrap()[0];
    let (_, leaf) = x509_parser::parse_x509_certificate(certificate).unwrap();
    leaf.raw_serial().to_vec()
}

fn issue(ca: &Authority, key: &rcgen::KeyPair, serial: u16) -> String {
    ca.sign(&["a.test"], key, |params| {
        params.serial_number = Some(vec![1, (serial >> 8) as u8, serial as u8].into());
    })
}

/// A client that resumes nothing, so that it is shown a certificate each time.
fn fresh(ca: &Authority) -> Arc<rustls::ClientConfig> {
    let mut config = ca.client_config();
    config.resumption = rustls::client::Resumption::disabled();
    Arc::new(config)
}

#[test]
fn rotations_under_load_fail_no_handshake() {
    let ca = Authority::new("ca");
    let key = rcgen::KeyPair::generate().unwrap();
    ca.put("shown/a.pem", &issue(&ca, &key, 0));
    let origin = Origin::ok("ok");
    let (rlb, bind) = rlb(&ca, &origin);
    let config = fresh(&ca);
    // A connection that lives through all of it.
    let mut kept = tls_client(bind, "a.test", Arc::clone(&config));
    ask(&mut kept, GET).unwrap();
    let (done, handshakes) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let mut client = tls_client(bind, "a.test", Arc::clone(&config));
                    ask(&mut client, GET).unwrap();
                    handshakes.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for rotation in 1..=40 {
            ca.put("shown/a.pem", &issue(&ca, &key, rotation));
            ask(&mut kept, GET).unwrap();
            if rotation % 8 == 0 {
                let wanted = [1, (rotation >> 8) as u8, rotation as u8];
                wait_until(PATIENCE * 3, "the new one is shown", || {
                    let mut client = tls_client(bind, "a.test", Arc::clone(&config));
                    ask(&mut client, GET).unwrap();
                    serial(&client) == wanted
                });
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    ask(&mut kept, GET).unwrap();
    let taken = rlb.stderr().matches("a.pem is taken into use").count();
    println!(
        "40 rotations, {taken} seen, {} handshakes, 0 failed",
        handshakes.load(Ordering::Relaxed)
    );
    assert!(taken >= 5, "{}", rlb.stderr());
    assert!(!rlb.stderr().contains("ERROR"), "{}", rlb.stderr());
}

#[test]
fn broken_pair_is_refused_and_the_old_one_stays() {
    let ca = Authority::new("ca");
    ca.put("shown/a.pem", &ca.issue(&["a.test"], Kind::Ecdsa));
    let origin = Origin::ok("ok");
    let (rlb, bind) = rlb(&ca, &origin);
    let config = fresh(&ca);
    let shown = || {
        let mut client = tls_client(bind, "a.test", Arc::clone(&config));
        ask(&mut client, GET).unwrap();
        serial(&client)
    };
    let before = shown();
    let good = ca.issue(&["a.test"], Kind::Ecdsa);
    let foreign_key = rcgen::KeyPair::generate().unwrap().serialize_pem();
    let (chain, _) = good.split_once("-----BEGIN PRIVATE").unwrap();
    for (text, why) in [
        (
            format!("{chain}{foreign_key}"),
            "the key is not that of the first certificate",
        ),
        (chain.to_owned(), "no private key in this file"),
        (foreign_key, "no certificate in this file"),
    ] {
        ca.put("shown/a.pem", &text);
        wait_until(PATIENCE * 2, why, || rlb.stderr().contains(why));
        assert_eq!(shown(), before);
    }
    ca.put("shown/a.pem", &good);
    wait_until(PATIENCE * 2, "the good one is shown", || shown() != before);
    // One more beside it is found as well.
    ca.put("shown/b.pem", &ca.issue(&["b.test"], Kind::Ecdsa));
    wait_until(PATIENCE * 2, "a second certificate", || {
        let mut client = tls_client(bind, "b.test", Arc::clone(&config));
        client.write_all(GET.as_bytes()).is_ok()
    });
}

#[test]
fn certificate_near_its_end_is_named() {
    let ca = Authority::new("ca");
    let key = rcgen::KeyPair::generate().unwrap();
    let soon = ca.sign(&["soon.test"], &key, |params| {
        let end = std::time::SystemTime::now() + std::time::Duration::from_secs(10 * 86_400 + 60);
        params.not_after = end.into();
    });
    ca.put("shown/a.pem", &soon);
    let origin = Origin::ok("ok");
    let (rlb, _) = rlb(&ca, &origin);
    wait_until(PATIENCE, "the warning", || {
        rlb.stderr().contains("(soon.test) expires in 10 days")
    });
}

#[test]
fn start_without_a_good_certificate_says_why() {
    let ca = Authority::new("ca");
    let file = ca.put("a.pem", "nothing");
    let config = super::config(&format!("certificates = {file:?}"), free_addr(), "");
    let config = format!("[global]\nadmin = \"\"\n{config}");
    let loaded = rlb::config::Config::parse("lb.toml", &config).unwrap();
    let error = rlb::Engine::start(loaded.config).unwrap_err().to_string();
    assert!(error.contains("tls of frontend web"), "{error}");
    assert!(
        error.contains("a.pem: no certificate in this file"),
        "{error}"
    );
}
