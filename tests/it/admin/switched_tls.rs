//! `set server b/s ssl on|off`: from plain to TLS and back, without a reload.

use std::cell::RefCell;
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::{Client, Running};
use crate::support::authority::{Authority, Kind};
use crate::support::{PATIENCE, RawClient, free_addr, read_until, real};

/// A server that speaks TLS with who begins so, and plain with others, on one port. It
/// answers with which of the two it was, and keeps its connections.
struct Both {
    addr: SocketAddr,
    seen: Receiver<Seen>,
    /// Of each connection that was no check's, so far.
    connections: RefCell<Vec<&'static str>>,
}

/// The first request of a connection.
struct Seen {
    kind: &'static str,
    is_check: bool,
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
        let addr = listener.local_addr().unwrap();
        let (tell, seen) = channel();
        // Ends with the process of the test.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (config, tell) = (Arc::clone(&config), tell.clone());
                std::thread::spawn(move || welcome(stream.unwrap(), config, &tell));
            }
        });
        Self {
            addr,
            seen,
            connections: RefCell::default(),
        }
    }

    /// What the checks from now on speak, as far as three of them tell.
    #[track_caller]
    fn checked_by(&self) -> Vec<&'static str> {
        self.look();
        let mut kinds = Vec::new();
        while kinds.len() < 4 {
            kinds.extend(self.note(self.seen.recv_timeout(PATIENCE).expect("a check")));
        }
        // The first may have been under way.
        kinds.remove(0);
        kinds.dedup();
        kinds
    }

    fn connections(&self) -> Vec<&'static str> {
        self.look();
        self.connections.borrow().clone()
    }

    fn look(&self) {
        for seen in self.seen.try_iter() {
            self.note(seen);
        }
    }

    /// What a check spoke, if it was one.
    fn note(&self, seen: Seen) -> Option<&'static str> {
        if !seen.is_check {
            self.connections.borrow_mut().push(seen.kind);
        }
        seen.is_check.then_some(seen.kind)
    }
}

fn welcome(stream: TcpStream, config: Arc<ServerConfig>, tell: &Sender<Seen>) {
    let mut first = [0];
    if !matches!(stream.peek(&mut first), Ok(1)) {
        return;
    }
    // A TLS record of a handshake.
    if first[0] == 22 {
        let connection = ServerConnection::new(config).unwrap();
        serve(StreamOwned::new(connection, stream), "tls", tell);
    } else {
        serve(stream, "raw", tell);
    }
}

fn serve(mut stream: impl std::io::Read + Write, kind: &'static str, tell: &Sender<Seen>) {
    let mut counted = false;
    loop {
        let Ok(head) = read_until(&mut stream, b"\r\n\r\n") else {
            return;
        };
        let is_check = head.starts_with(b"HEAD /check");
        if !std::mem::replace(&mut counted, true) {
            let _ = tell.send(Seen { kind, is_check });
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
