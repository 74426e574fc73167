//! Clients whose certificate was revoked.

use std::net::SocketAddr;
use std::sync::Arc;

use super::s_client;
use crate::support::authority::{Authority, GET, ask, tls_client};
use crate::support::real::{self, Part};
use crate::support::{Origin, PATIENCE, Rlb, free_addr, wait_until};

const ALICE: u8 = 17;
const BOB: u8 = 18;
/// The first day of a year that this test does not live to see.
const LATER: i32 = 2999;

struct Site {
    clients: Authority,
    server: Authority,
    origin: Origin,
    bind: SocketAddr,
}

impl Site {
    fn new() -> Self {
        Self {
            clients: Authority::new("clients"),
            server: Authority::new("ca"),
            origin: Origin::ok("ok"),
            bind: free_addr(),
        }
    }

    fn config(&self) -> String {
        let file = self.server.write("a.pem", &["a.test"]);
        format!(
            "[global]\nworkers = 2\nadmin = \"\"\n[[listen]]\nname = \"web\"\n\
             bind = {{ address = \"{}\", tls = true }}\nserver = \"{}\"\n\
             [listen.tls]\ncertificates = {file:?}\nclient_auth = \"required\"\n\
             ca_file = {:?}\ncrl_file = {:?}\n",
            self.bind,
            self.origin.addr(),
            self.clients.file(),
            self.clients.dir().join("list.pem"),
        )
    }

    fn revoke(&self, serials: &[u8], until: i32) {
        self.clients
            .put("list.pem", &self.clients.revoke(serials, until));
    }

    fn start(&self) -> Rlb {
        Rlb::with(self.config()).ready_on(self.bind).start()
    }

    fn certificate(&self, serial: u8) -> String {
        let key = rcgen::KeyPair::generate().unwrap();
        let with = |params: &mut rcgen::CertificateParams| {
            params.serial_number = Some(vec![serial].into());
        };
        self.clients.sign(&["client"], &key, with)
    }

    /// A client that keeps its tickets from one connection to the next.
    fn client(&self, serial: u8) -> impl Fn() -> bool {
        let certificate = self.certificate(serial);
        let config = self
            .server
            .configure(rustls::ALL_VERSIONS, Some(&certificate));
        let (config, bind) = (Arc::new(config), self.bind);
        move || ask(&mut tls_client(bind, "a.test", Arc::clone(&config)), GET).is_ok()
    }
}

#[test]
fn revoked_client_is_refused_and_a_new_list_holds_for_tickets_too() {
    let site = Site::new();
    site.revoke(&[BOB], LATER);
    let rlb = site.start();
    let (alice, bob) = (site.client(ALICE), site.client(BOB));
    assert!(alice() && alice());
    assert!(!bob());

    site.revoke(&[ALICE], LATER);
    wait_until(PATIENCE * 2, "the new list is taken", || {
        rlb.stderr().contains("list.pem is taken into use")
    });
    assert!(!alice(), "her ticket is from before");
    assert!(bob());

    for (text, why) in [
        ("nothing", "no certificate revocation list in this file"),
        (
            "-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n",
            "list.pem: not a revocation list",
        ),
    ] {
        site.clients.put("list.pem", text);
        wait_until(PATIENCE * 2, why, || rlb.stderr().contains(why));
        assert!(!alice());
        assert!(bob());
    }
    site.revoke(&[], LATER);
    wait_until(PATIENCE * 2, "the empty list is taken", || {
        rlb.stderr().matches("list.pem is taken into use").count() == 2
    });
    assert!(alice() && bob());
}

#[test]
fn list_past_its_next_update_lets_nobody_in_and_is_named() {
    let site = Site::new();
    site.revoke(&[BOB], 2001);
    let rlb = site.start();
    assert!(!site.client(ALICE)());
    wait_until(PATIENCE, "the warning", || {
        let said = rlb.stderr();
        said.contains("list.pem (revocation list) expired")
            && said.contains("clients of its authority are refused")
    });
    site.revoke(&[BOB], LATER);
    wait_until(PATIENCE * 2, "the renewed list is taken", || {
        rlb.stderr().contains("list.pem is taken into use")
    });
    assert!(site.client(ALICE)());
}

#[test]
fn list_of_another_authority_vouches_for_nobody() {
    let site = Site::new();
    let other = Authority::new("other").revoke(&[], LATER);
    site.clients.put("list.pem", &other);
    let _rlb = site.start();
    assert!(!site.client(ALICE)());
}

#[test]
fn start_with_a_broken_list_says_why() {
    let site = Site::new();
    site.clients.put("list.pem", "nothing");
    let loaded = rlb::config::Config::parse("lb.toml", &site.config()).unwrap();
    let error = rlb::Engine::start(loaded.config).unwrap_err().to_string();
    let why = "list.pem: no certificate revocation list in this file";
    assert!(error.contains(why), "{error}");
}

#[test]
fn openssl_is_told_that_its_certificate_is_revoked() {
    let Some(openssl) = real::tool(Part::Openssl) else {
        return;
    };
    let site = Site::new();
    site.revoke(&[BOB], LATER);
    let _rlb = site.start();
    for (serial, told) in [(BOB, true), (ALICE, false)] {
        let file = site
            .clients
            .put("client.pem", &site.certificate(serial))
            .display()
            .to_string();
        // TLS 1.2: the verdict comes before the handshake ends.
        let more = ["-tls1_2", "-cert", &file, "-key", &file];
        let said = openssl.run(s_client(site.bind, "a.test", &more));
        let whole = said.stdout + &said.stderr;
        assert_eq!(whole.contains("certificate revoked"), told, "{whole}");
    }
}
