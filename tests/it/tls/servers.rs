//! TLS to servers: verified, with a certificate of our own, pooled, resumed, checked.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{HandshakeKind, RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use crate::support::authority::{Authority, Kind};
use crate::support::{Lb, PATIENCE, RawClient, read_until, wait_until};

/// A server that speaks TLS and answers each request with the SNI it was asked for.
pub(super) struct Secure {
    pub(super) addr: SocketAddr,
    connections: Arc<AtomicUsize>,
    resumed: Arc<AtomicUsize>,
}

impl Secure {
    pub(super) fn start(
        ca: &Authority,
        names: &[&str],
        clients: Option<&Authority>,
        close: bool,
    ) -> Self {
        let pem = ca.issue(names, Kind::Ecdsa);
        let chain = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>();
        let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(clients) => {
                let mut roots = RootCertStore::empty();
                roots
                    .add(CertificateDer::from_pem_file(clients.file()).unwrap())
                    .unwrap();
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build();
                builder.with_client_cert_verifier(verifier.unwrap())
            }
        };
        let config = Arc::new(builder.with_single_cert(chain.unwrap(), key).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let (connections, resumed) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let counts = (Arc::clone(&connections), Arc::clone(&resumed));
        // Ends with the process of the test.
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (config, counts) = (Arc::clone(&config), counts.clone());
                thread::spawn(move || {
                    let connection = ServerConnection::new(config).unwrap();
                    let mut stream = StreamOwned::new(connection, stream.unwrap());
                    serve(&mut stream, &counts, close);
                });
            }
        });
        Self {
            addr,
            connections,
            resumed,
        }
    }
}

fn serve(
    stream: &mut StreamOwned<ServerConnection, std::net::TcpStream>,
    counts: &(Arc<AtomicUsize>, Arc<AtomicUsize>),
    close: bool,
) {
    use std::io::Write;
    let mut counted = false;
    loop {
        let Ok(head) = read_until(stream, b"\r\n\r\n") else {
            return;
        };
        if !std::mem::replace(&mut counted, true) && !head.starts_with(b"HEAD /check") {
            counts.0.fetch_add(1, Ordering::SeqCst);
            let kind = stream.conn.handshake_kind();
            counts.1.fetch_add(
                usize::from(kind == Some(HandshakeKind::Resumed)),
                Ordering::SeqCst,
            );
        }
        let name = stream.conn.server_name().unwrap_or("none").to_owned();
        let connection = if close { "Connection: close\r\n" } else { "" };
        let body = match head.starts_with(b"HEAD") {
            true => "",
            false => &name,
        };
        let length = name.len();
        write!(
            stream,
            "HTTP/1.1 200 OK\r\n{connection}Content-Length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        stream.flush().unwrap();
        if close {
            stream.conn.send_close_notify();
            stream.flush().unwrap();
            return;
        }
    }
}

fn before(server: SocketAddr, tls: &str, more: &str) -> Lb {
    Lb::start(&format!(
        "[[listen]]\nname = \"web\"\nbind = \"127.0.0.1:0\"\nretries = 0\n{more}\n\
         timeouts.pool_idle = \"1m\"\n\
         server = {{ name = \"s1\", address = \"{server}\", tls = {tls} }}\n"
    ))
}

fn get(lb: &Lb) -> (u16, String) {
    let mut client = RawClient::connect(lb.addr());
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    let (head, body) = client.read_response();
    (head.status(), String::from_utf8(body).unwrap())
}

#[test]
fn server_is_verified_by_name_or_address() {
    let (ca, other) = (Authority::new("ca"), Authority::new("other"));
    let server = Secure::start(&ca, &["app.test", "127.0.0.1"], None, false);
    let trusted = format!("ca_file = {:?}", ca.file());
    for (tls, status, body) in [
        (
            format!("{{ {trusted}, host = \"app.test\" }}"),
            200,
            "app.test",
        ),
        (format!("{{ {trusted} }}"), 200, "none"),
        (
            format!("{{ {trusted}, sni = \"sni.test\", host = \"app.test\" }}"),
            200,
            "sni.test",
        ),
        (
            "{ verify = false, sni = \"any.test\" }".to_owned(),
            200,
            "any.test",
        ),
        (format!("{{ {trusted}, host = \"else.test\" }}"), 503, ""),
        (
            format!("{{ ca_file = {:?}, host = \"app.test\" }}", other.file()),
            503,
            "",
        ),
        ("true".to_owned(), 503, ""),
    ] {
        let lb = before(server.addr, &tls, "");
        let (said, name) = get(&lb);
        assert_eq!(said, status, "{tls}: {name}");
        assert!(status != 200 || name == body, "{tls}: {name}");
    }
}

#[test]
fn connections_are_pooled_and_sessions_resumed() {
    let ca = Authority::new("ca");
    let tls = format!("{{ ca_file = {:?}, host = \"app.test\" }}", ca.file());
    let server = Secure::start(&ca, &["app.test"], None, false);
    let lb = before(server.addr, &tls, "");
    for _ in 0..5 {
        assert_eq!(get(&lb).0, 200);
    }
    // The tickets that come behind the handshake do not make a pooled connection stale.
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
    let closing = Secure::start(&ca, &["app.test"], None, true);
    let lb = before(closing.addr, &tls, "");
    for _ in 0..3 {
        assert_eq!(get(&lb).0, 200);
    }
    assert_eq!(closing.connections.load(Ordering::SeqCst), 3);
    assert!(closing.resumed.load(Ordering::SeqCst) >= 1);
}

#[test]
fn our_certificate_is_shown() {
    let (ca, clients) = (Authority::new("ca"), Authority::new("clients"));
    let server = Secure::start(&ca, &["app.test"], Some(&clients), false);
    let me = clients.write("me.pem", &["rlb"]);
    let tls = format!("ca_file = {:?}, host = \"app.test\"", ca.file());
    let lb = before(
        server.addr,
        &format!("{{ {tls}, certificate = {me:?} }}"),
        "",
    );
    assert_eq!(get(&lb).0, 200);
    let lb = before(server.addr, &format!("{{ {tls} }}"), "");
    assert_ne!(get(&lb).0, 200);
}

#[test]
fn check_speaks_as_traffic_does() {
    let (ca, other) = (Authority::new("ca"), Authority::new("other"));
    let server = Secure::start(&ca, &["app.test"], None, false);
    let check = "check = { path = \"/check\", interval = \"50ms\", fall = 2, timeout = \"5s\" }";
    for (authority, is_up) in [(&ca, true), (&other, false)] {
        let tls = format!(
            "{{ ca_file = {:?}, host = \"app.test\" }}",
            authority.file()
        );
        let lb = before(server.addr, &tls, check);
        let code = if is_up { "L7OK" } else { "L6RSP" };
        wait_until(PATIENCE, code, || {
            lb.server("web", "s1").check.starts_with(code)
        });
    }
}

#[test]
fn tcp_mode_reencrypts() {
    let ca = Authority::new("ca");
    let server = Secure::start(&ca, &["app.test"], None, true);
    let tls = format!("{{ ca_file = {:?}, host = \"app.test\" }}", ca.file());
    let lb = before(server.addr, &tls, "mode = \"tcp\"");
    let mut client = RawClient::connect(lb.addr());
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    let said = String::from_utf8(client.read_until_close()).unwrap();
    assert!(said.ends_with("app.test"), "{said}");
}

#[test]
fn changed_settings_are_another_endpoint() {
    let ca = Authority::new("ca");
    let server = Secure::start(&ca, &["app.test"], None, false);
    let config = |host: &str| {
        format!(
            "[global]\nworkers = 1\nadmin = \"\"\n[[listen]]\nname = \"web\"\nbind = \"127.0.0.1:0\"\nretries = 0\n\
             server = {{ name = \"s1\", address = \"{}\", tls = {{ ca_file = {:?}, host = \"{host}\" }} }}\n",
            server.addr,
            ca.file()
        )
    };
    let lb = Lb::start_whole(&config("app.test"));
    assert_eq!(get(&lb).0, 200);
    lb.apply(&config("else.test")).unwrap();
    assert_eq!(
        get(&lb).0,
        503,
        "what was pooled was verified for another name"
    );
}
