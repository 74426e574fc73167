//! Certificates of clients: asked for, verified, told to servers.

use std::sync::Arc;

use super::config;
use crate::support::authority::{Authority, GET, Kind, ask, tls_client};
use crate::support::{Lb, Origin, RawClient};

const FORGED: &str = "GET /x HTTP/1.1\r\nHost: a.test\r\nX-SSL-Client-Verify: SUCCESS\r\n\
                      x_ssl_client_dn: CN=root\r\nX-SSL-Client-Else: 1\r\n\r\n";

fn asking(auth: &str, server: &Authority, clients: &Authority, origin: &Origin) -> Lb {
    let file = server.write("a.pem", &["a.test"]);
    let tls = format!(
        "certificates = {file:?}, client_auth = \"{auth}\", ca_file = {:?}",
        clients.file()
    );
    Lb::start(&config(&tls, origin.addr(), ""))
}

fn told(origin: &Origin) -> Vec<String> {
    let requests = origin.requests();
    let head = &requests.last().unwrap().head.0;
    let lines = head.lines().filter(|line| {
        line.to_lowercase().starts_with("x-ssl") || line.to_lowercase().starts_with("x_ssl")
    });
    lines.map(str::to_owned).collect()
}

#[test]
fn required_certificate_is_verified_and_told() {
    let (ca, clients, strangers) = (
        Authority::new("ca"),
        Authority::new("clients"),
        Authority::new("x"),
    );
    let origin = Origin::ok("ok");
    let lb = asking("required", &ca, &clients, &origin);
    let alice = clients.issue(&["alice"], Kind::Ecdsa);
    let config = Arc::new(ca.configure(rustls::ALL_VERSIONS, Some(&alice)));
    // The second time resumed: the ticket carries what was shown.
    for _ in 0..2 {
        let mut client = tls_client(lb.addr(), "a.test", Arc::clone(&config));
        ask(&mut client, FORGED).unwrap();
        let told = told(&origin);
        assert_eq!(told[0], "X-SSL-Client-Verify: SUCCESS");
        assert!(told[1].starts_with("X-SSL-Client-DN: CN=alice"), "{told:?}");
        assert_eq!(told[2], "X-SSL-Client-CN: alice");
        assert!(told[3].contains("Issuer: CN=clients"), "{told:?}");
        assert_eq!(told.len(), 5, "{told:?}");
    }
    let mallory = strangers.issue(&["alice"], Kind::Ecdsa);
    for certificate in [None, Some(&*mallory)] {
        let config = Arc::new(ca.configure(rustls::ALL_VERSIONS, certificate));
        let refused = ask(&mut tls_client(lb.addr(), "a.test", config), GET);
        assert!(refused.is_err(), "{refused:?}");
    }
    assert_eq!(origin.requests().len(), 2);
}

#[test]
fn optional_certificate_may_be_missing_but_not_bad() {
    let (ca, clients, strangers) = (
        Authority::new("ca"),
        Authority::new("clients"),
        Authority::new("x"),
    );
    let origin = Origin::ok("ok");
    let lb = asking("optional", &ca, &clients, &origin);
    ask(&mut ca.connect(lb.addr(), "a.test"), FORGED).unwrap();
    assert_eq!(told(&origin), ["X-SSL-Client-Verify: NONE"]);
    let mallory = strangers.issue(&["alice"], Kind::Ecdsa);
    let config = Arc::new(ca.configure(rustls::ALL_VERSIONS, Some(&mallory)));
    assert!(ask(&mut tls_client(lb.addr(), "a.test", config), GET).is_err());
}

#[test]
fn ticket_of_a_frontend_without_certificates_opens_none_with() {
    let (ca, clients) = (Authority::new("ca"), Authority::new("clients"));
    let file = ca.write("a.pem", &["a.test"]);
    let origin = Origin::ok("ok");
    let frontend = |name: &str, more: &str| {
        format!(
            "[[frontend]]\nname = \"{name}\"\nbind = {{ address = \"127.0.0.1:0\", tls = true }}\n\
             default_backend = \"b\"\ntls = {{ certificates = {file:?} {more} }}\n"
        )
    };
    let required = format!(
        ", client_auth = \"required\", ca_file = {:?}",
        clients.file()
    );
    let lb = Lb::start(&format!(
        "{}{}[[backend]]\nname = \"b\"\nserver = \"{}\"\n",
        frontend("open", ""),
        frontend("closed", &required),
        origin.addr()
    ));
    // The client keeps its tickets by name: they are offered to both.
    let config = Arc::new(ca.client_config());
    let mut client = tls_client(lb.addr_of("open"), "a.test", Arc::clone(&config));
    ask(&mut client, GET).unwrap();
    let mut client = tls_client(lb.addr_of("closed"), "a.test", config);
    assert!(ask(&mut client, GET).is_err());
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn nobody_brings_such_fields_over_plain_http() {
    let origin = Origin::ok("ok");
    let lb = Lb::before(origin.addr());
    let mut client = RawClient::connect(lb.addr());
    client.send(FORGED).read_response();
    assert_eq!(told(&origin), [""; 0]);
    let trusting = Lb::with(origin.addr(), "forwarded.trusted = \"127.0.0.1/32\"");
    let mut client = RawClient::connect(trusting.addr());
    client.send(FORGED).read_response();
    assert_eq!(told(&origin).len(), 3);
}
