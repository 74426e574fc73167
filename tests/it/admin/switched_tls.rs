//! `set server b/s ssl on|off`: from plain to TLS and back, without a reload.

use std::io::{Read as _, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Mutex};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::{Client, Running};
use crate::support::authority::{Authority, Kind};
use crate::support::{PATIENCE, RawClient, free_addr, real, wait_until};

/// A server that speaks TLS with who begins so, and plain with others, on one port. It
/// answers with which of the two it was, and keeps its connections.
struct Both {
    addr: SocketAddr,
    /// Connections of each kind: checks, and others.
    checks: Arc<Mutex<Vec<&'static str>>>,
    connections: Arc<Mutex<Vec<&'static str>>>,
}

impl Both {
    fn start() -> Self {
        let pem = Authority::new("ca").issue(&["app.test"], Kind::Ecdsa);
        let chain = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>();
        let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let builder = builder.with_no_client_auth();
        let config = Arc::new(builder.with_single_cert(chain.unwrap(), key).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let both = Self {
            addr: listener.local_addr().unwrap(),
            checks: Arc::default(),
            connections: Arc::default(),
        };
        let seen = [Arc::clone(&both.checks), Arc::clone(&both.connections)];
        // Ends with the process of the test.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (config, seen) = (Arc::clone(&config), seen.clone());
                std::thread::spawn(move || welcome(stream.unwrap(), config, &seen));
            }
        });
        both
    }

    fn connections(&self) -> Vec<&'static str> {
        self.connections.lock().unwrap().clone()
    }

    /// What the checks from now on speak, as far as three of them tell.
    #[track_caller]
    fn checked_by(&self) -> Vec<&'static str> {
        let checks = || self.checks.lock().unwrap().clone();
        let before = checks().len();
        // The first may have been under way.
        wait_until(PATIENCE, "checks", || checks().len() >= before + 4);
        let mut kinds = checks()[before + 1..].to_vec();
        kinds.dedup();
        kinds
    }
}

fn welcome(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    seen: &[Arc<Mutex<Vec<&'static str>>>; 2],
) {
    let mut first = [0];
    if !matches!(stream.peek(&mut first), Ok(1)) {
        return;
    }
    // A TLS record of a handshake.
    if first[0] == 22 {
        let connection = ServerConnection::new(config).unwrap();
        serve(StreamOwned::new(connection, stream), "tls", seen);
    } else {
        serve(stream, "raw", seen);
    }
}

fn serve(
    mut stream: impl std::io::Read + Write,
    kind: &'static str,
    seen: &[Arc<Mutex<Vec<&'static str>>>; 2],
) {
    let mut counted = false;
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            if !matches!(stream.read(&mut byte), Ok(1)) {
                return;
            }
            head.push(byte[0]);
        }
        let is_check = head.starts_with(b"HEAD /check");
        if !std::mem::replace(&mut counted, true) {
            seen[usize::from(!is_check)].lock().unwrap().push(kind);
        }
        let body = if is_check { "" } else { kind };
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{body}");
        if stream.write_all(answer.as_bytes()).is_err() || stream.flush().is_err() {
            return;
        }
    }
}

/// `s1` has TLS as its backend says, `s2` has none, both are the same server.
fn config(server: SocketAddr, more: &str) -> String {
    let own = format!("{{ name = \"s2\", address = \"{server}\", tls = false, disabled = true }}");
    format!(
        "[[frontend]]\nname = \"www\"\nbind = \"127.0.0.1:0\"\ndefault_backend = \"web\"\n\
         [[backend]]\nname = \"web\"\ntls = {{ verify = false }}\n{more}\n\
         timeouts.pool_idle = \"1m\"\ncheck = {{ path = \"/check\", interval = \"50ms\", timeout = \"5s\" }}\n\
         server = [{{ name = \"s1\", address = \"{server}\" }}, {own}]\n"
    )
}

const DONE: &str = "server ssl setting updated.";

#[test]
fn new_connections_are_of_the_new_kind_and_pooled_ones_of_the_old_are_not_used() {
    let server = Both::start();
    let rlb = Running::with(&config(server.addr, ""));
    let mut client = RawClient::connect(rlb.address("www"));
    let mut ask = || {
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        let (head, body) = client.read_response();
        assert_eq!(head.status(), 200);
        String::from_utf8(body).unwrap()
    };
    assert_eq!([ask(), ask()], ["tls", "tls"]);
    for (word, kind) in [
        ("off", "raw"),
        ("off", "raw"),
        ("on", "tls"),
        ("off", "raw"),
    ] {
        assert_eq!(rlb.ask(&format!("set server web/s1 ssl {word}")), DONE);
        assert_eq!([ask(), ask()], [kind, kind], "{word}");
        let row = rlb.ask("show servers state web");
        let row = row.lines().find(|row| row.contains(" s1 ")).unwrap();
        let use_ssl = row.split(' ').nth(20);
        assert_eq!(use_ssl, Some(if word == "on" { "1" } else { "0" }), "{row}");
        assert_eq!(
            server.checked_by(),
            ["tls"],
            "as in HAProxy: checks stay as written"
        );
    }
    // Nothing is closed where nothing changes.
    assert_eq!(server.connections(), ["tls", "raw", "tls", "raw"]);
    assert!(rlb.ask("show servers conn web").contains("s1"));

    // The other way round: written without.
    for command in [
        "set server web/s1 state maint",
        "set server web/s2 state ready",
    ] {
        rlb.obeys(command);
    }
    assert_eq!(ask(), "raw");
    assert_eq!(rlb.ask("set server web/s2 ssl on"), DONE);
    assert_eq!(ask(), "tls");
    assert_eq!(server.checked_by(), ["raw"]);
}

#[test]
fn it_is_an_override_like_any_other() {
    let server = Both::start();
    let rlb = Running::with(&config(server.addr, ""));
    assert_eq!(rlb.ask("set server web/s1 ssl off"), DONE);
    let shown = |what: &str| {
        let text = rlb.ask("show overrides");
        let rows = text.lines().filter(|row| row.contains("web/s1"));
        rows.filter(|row| row.contains(what)).count()
    };
    assert_eq!(shown("tls"), 1, "{}", rlb.ask("show overrides"));
    let path = rlb.path();
    let reloaded = |more: &str| {
        let admin = format!(
            "[global]\nworkers = 2\ndrain_timeout = \"5s\"\nadmin = {{ path = {path:?} }}\n{}",
            config(server.addr, more)
        );
        let loaded = rlb::config::Config::parse("test.toml", &admin).unwrap();
        rlb.engine().apply(loaded.config).unwrap();
    };
    let asked = || {
        let mut client = RawClient::connect(rlb.address("www"));
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        String::from_utf8(client.read_response().1).unwrap()
    };
    reloaded("retries = 1");
    assert_eq!((asked(), shown("tls")), ("raw".to_owned(), 1));
    rlb.obeys("clear override web/s1");
    assert_eq!((asked(), shown("tls")), ("tls".to_owned(), 0));
    // Set back to what is written, it is none.
    for word in ["off", "on"] {
        assert_eq!(rlb.ask(&format!("set server web/s1 ssl {word}")), DONE);
    }
    assert_eq!((asked(), shown("tls")), ("tls".to_owned(), 0));
}

/// Commands, to servers that have TLS, could have it, and could not.
const COMMANDS: [&str; 10] = [
    "set server web/s1 ssl off",
    "set server web/s1 ssl on",
    "set server web/s1 ssl",
    "set server web/s1 ssl maybe",
    "set server web/s2 ssl on",
    "set server web/s2 ssl ON",
    "set server bare/b1 ssl on",
    "set server bare/b1 ssl maybe",
    "set server web/s9 ssl on",
    "set server nowhere/s1 ssl maybe",
];

#[test]
fn haproxy_says_the_same() {
    let (server, front) = ("127.0.0.1:1", free_addr());
    let bare = format!(
        "[[backend]]\nname = \"bare\"\nserver = {{ name = \"b1\", address = \"{server}\" }}\n"
    );
    let text = config(server.parse().unwrap(), "");
    let rlb = Running::with(&format!("{text}{bare}"));
    let ours = COMMANDS.map(|command| rlb.raw(format!("{command}\n")));
    assert_eq!(ours[3], "'set server <srv> ssl' expects 'on' or 'off'.\n\n");
    assert!(ours[6].starts_with("'set server <srv> ssl' cannot be set."));

    let text = format!(
        "global\n  stats socket {{dir}}/sock level admin\n  ssl-server-verify none\n\
         defaults\n  mode http\n  timeout connect 5s\n  timeout client 5s\n  timeout server 5s\n\
         listen web\n  bind {front}\n  default-server ssl verify none\n  server s1 {server}\n  \
         server s2 {server} no-ssl\nbackend bare\n  server b1 {server}\n"
    );
    let Some(haproxy) = real::haproxy_with(&text, front) else {
        return;
    };
    let socket = haproxy.dir().join("sock");
    assert_eq!(COMMANDS.map(|command| ask(&socket, command)), ours);
}

fn ask(socket: &Path, command: &str) -> String {
    let mut client = Client(UnixStream::connect(socket).unwrap());
    client.0.set_read_timeout(Some(PATIENCE)).unwrap();
    client.send(format!("{command}\n")).rest()
}
