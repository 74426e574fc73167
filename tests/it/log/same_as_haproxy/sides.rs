//! What runs: the servers, and HAProxy and rlb before them.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::super::Syslog;
use super::{CONNECT, MOMENT, WAIT, sticky};
use crate::support::{DeafOrigin, Haproxy, Origin, Rlb, dawdle, free_addr, real};

/// One of the two, running.
pub(super) struct Side {
    pub(super) www: SocketAddr,
    pub(super) tcp: Vec<(&'static str, SocketAddr)>,
    pub(super) socket: PathBuf,
    pub(super) syslog: Syslog,
    pub(super) origins: Origins,
    _running: Running,
}

#[expect(dead_code, reason = "held until the end")]
enum Running {
    Haproxy(Haproxy),
    Rlb(Rlb),
}

/// Everything the servers do.
pub(super) struct Origins {
    http: Vec<(&'static str, SocketAddr)>,
    /// Requests that have reached `silent`.
    pub(super) unanswered: Arc<AtomicUsize>,
    _running: Vec<Origin>,
    _deaf: DeafOrigin,
}

impl Origins {
    pub(super) fn start() -> Self {
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789";
        let closing = |what: &'static str, stay: Duration| {
            Origin::raw(move |mut stream, _| {
                read_head(&mut stream);
                // It may be gone already.
                let _ = stream.write_all(what.as_bytes());
                dawdle(stay);
            })
        };
        let unanswered = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&unanswered);
        let silent = Origin::raw(move |mut stream, _| {
            if read_head(&mut stream).is_some() {
                count.fetch_add(1, Ordering::AcqRel);
            }
            dawdle(WAIT * 4);
        });
        let big = Origin::raw(|mut stream, _| {
            read_head(&mut stream);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
            while stream.write_all(&[b'x'; 100_000]).is_ok() {}
        });
        let badchunk = Origin::raw(|mut stream, _| {
            read_head(&mut stream);
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
            // The head is with the client when this comes.
            dawdle(MOMENT);
            let _ = stream.write_all(b"zz\r\n");
            dawdle(MOMENT);
        });
        let ok = Origin::raw(|mut stream, _| {
            while let Some(head) = read_head(&mut stream) {
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
                if stream.write_all(answer).is_err() || head.contains("Connection: close") {
                    return;
                }
            }
        });
        let setter = Origin::raw(|mut stream, _| {
            read_head(&mut stream);
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\
                Set-Cookie: SRV=own\r\n\r\nok";
            let _ = stream.write_all(answer);
        });
        let running = vec![
            ("ok", ok),
            ("setter", setter),
            ("close", closing("", Duration::ZERO)),
            ("garbage", closing("garbage garbage\r\n\r\n", MOMENT)),
            ("silent", silent),
            ("part", closing(answer, MOMENT)),
            ("stall", closing(answer, WAIT * 4)),
            ("big", big),
            ("badchunk", badchunk),
        ];
        let mut http: Vec<_> = running.iter().map(|(name, o)| (*name, o.addr())).collect();
        let deaf = DeafOrigin::listen();
        http.push(("deaf", deaf.addr()));
        http.push(("refused", free_addr()));
        Self {
            http,
            unanswered,
            _running: running.into_iter().map(|(_, origin)| origin).collect(),
            _deaf: deaf,
        }
    }

    pub(super) fn addr(&self, name: &str) -> SocketAddr {
        self.http.iter().find(|(n, _)| *n == name).unwrap().1
    }
}

pub(super) fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut bytes = [0; 4096];
    while !head.windows(4).any(|w| w == b"\r\n\r\n") {
        match stream.read(&mut bytes) {
            Ok(n @ 1..) => head.extend_from_slice(&bytes[..n]),
            _ => return None,
        }
    }
    Some(String::from_utf8_lossy(&head).into_owned())
}

const TCP: [(&str, &str); 6] = [
    ("tdeaf", "deaf"),
    ("tok", "ok"),
    ("trefused", "refused"),
    ("tsilent", "silent"),
    ("tnone", ""),
    ("tbusy", "silent"),
];

/// Backends whose server `silent` may have one request at once, and how long a second one
/// waits for it.
const BUSY: [(&str, &str); 2] = [("busy", "100ms"), ("soon", "30s")];

/// Of a backend whose server takes one session at once.
fn maxconn(name: &str, words: &'static str) -> &'static str {
    if name == "tbusy" { words } else { "" }
}

pub(super) fn haproxy() -> Option<Side> {
    let origins = Origins::start();
    let (syslog, www) = (Syslog::listen(), free_addr());
    let tcp: Vec<_> = TCP.iter().map(|(name, _)| (*name, free_addr())).collect();
    let (wait, connect) = (WAIT.as_millis(), CONNECT.as_millis());
    let mut text = format!(
        "global\n  nbthread 1\n  maxconn 1000\n  log {} local0\n  stats socket {{dir}}/sock level admin\n\
         defaults\n  mode http\n  log global\n  option httplog\n  option dontlognull\n  option http-ignore-probes\n  \
         option abortonclose\n  option redispatch 1\n  retries 3\n  timeout connect {connect}ms\n  \
         timeout client {wait}ms\n  timeout server {wait}ms\n  timeout http-request {wait}ms\n  \
         timeout tunnel {wait}ms\nfrontend www\n  bind {www}\n  monitor-uri /monitor\n  \
         http-request deny if {{ path_beg /deny }}\n  \
         http-request deny deny_status 429 if {{ path_beg /many }}\n",
        syslog.addr()
    );
    let more = [("none", www), ("two", www), ("busy", www), ("soon", www)];
    let sticky = sticky::NAMES.map(|name| (name, www));
    for (name, _) in origins.http.iter().chain(&more).chain(&sticky) {
        text += &format!("  use_backend {name} if {{ path_beg /{name} }}\n");
    }
    for (name, addr) in &tcp {
        text += &format!(
            "frontend {name}\n  mode tcp\n  option tcplog\n  no option dontlognull\n  bind {addr}\n  default_backend b-{name}\n"
        );
    }
    for (name, addr) in &origins.http {
        text += &format!("backend {name}\n  server s1 {addr}\n");
    }
    text += "backend none\n  server s1 127.0.0.1:1 disabled\n";
    let (first, second) = (origins.addr("refused"), origins.addr("ok"));
    text += &format!("backend two\n  server s1 {first}\n  server s2 {second}\n");
    for (name, patience) in BUSY {
        let silent = origins.addr("silent");
        text += &format!(
            "backend {name}\n  timeout queue {patience}\n  server s1 {silent} maxconn 1\n"
        );
    }
    for (name, origin) in TCP {
        let server = match origin {
            "" => "127.0.0.1:1 disabled".to_owned(),
            origin => origins.addr(origin).to_string() + maxconn(name, " maxconn 1"),
        };
        text += &format!("backend b-{name}\n  mode tcp\n  server s1 {server}\n");
        text += maxconn(name, "  timeout queue 100ms\n");
    }
    text += &sticky::haproxy(&origins);
    let running = real::haproxy_with(&text, www)?;
    Some(Side {
        www,
        tcp,
        socket: running.dir().join("sock"),
        syslog,
        origins,
        _running: Running::Haproxy(running),
    })
}

pub(super) fn rlb(dir: &Path) -> Side {
    let origins = Origins::start();
    let (syslog, www) = (Syslog::listen(), free_addr());
    let tcp: Vec<_> = TCP.iter().map(|(name, _)| (*name, free_addr())).collect();
    let socket = dir.join("sock");
    let [wait, connect] = [WAIT, CONNECT].map(|time| format!("\"{}ms\"", time.as_millis()));
    let mut text = format!(
        "[global]\nworkers = 1\nadmin = \"{}\"\n[[log]]\ntarget = \"syslog:udp:{}\"\ntag = \"haproxy\"\n\
         [defaults]\nretries = 3\n[defaults.timeouts]\nconnect = {connect}\nclient = {wait}\nserver = {wait}\n\
         http_request = {wait}\ntunnel = {wait}\nkeep_alive = {wait}\nhalf_closed = {wait}\n\
         [[frontend]]\nname = \"www\"\nbind = \"{www}\"\nmonitor = \"/monitor\"\n\
         [[frontend.route]]\npath_prefix = \"/deny\"\ndeny = true\n\
         [[frontend.route]]\npath_prefix = \"/many\"\ndeny = 429\n",
        socket.display(),
        syslog.addr()
    );
    let more = [("none", www), ("two", www), ("busy", www), ("soon", www)];
    let sticky = sticky::NAMES.map(|name| (name, www));
    for (name, _) in origins.http.iter().chain(&more).chain(&sticky) {
        text += &format!("[[frontend.route]]\npath_prefix = \"/{name}\"\nbackend = \"{name}\"\n");
    }
    for (name, addr) in &tcp {
        text += &format!(
            "[[frontend]]\nname = \"{name}\"\nmode = \"tcp\"\nbind = \"{addr}\"\ndefault_backend = \"b-{name}\"\n"
        );
    }
    let server =
        |name: &str, addr: SocketAddr| format!("{{ name = \"{name}\", address = \"{addr}\" }}");
    let disabled = "{ name = \"s1\", address = \"127.0.0.1:1\", disabled = true }";
    let backend = |name: &str, servers: &str| {
        format!("[[backend]]\nname = \"{name}\"\nserver = [{servers}]\n")
    };
    for (name, addr) in &origins.http {
        text += &backend(name, &server("s1", *addr));
    }
    text += &backend("none", disabled);
    let (first, second) = (origins.addr("refused"), origins.addr("ok"));
    text += &backend(
        "two",
        &format!("{}, {}", server("s1", first), server("s2", second)),
    );
    for (name, patience) in BUSY {
        text += &backend(name, &server("s1", origins.addr("silent")));
        text += &format!("server_maxconn = 1\ntimeouts = {{ queue = \"{patience}\" }}\n");
    }
    for (name, origin) in TCP {
        let server = match origin {
            "" => disabled.to_owned(),
            origin => server("s1", origins.addr(origin)),
        };
        text += &backend(&format!("b-{name}"), &server);
        text += "mode = \"tcp\"\n";
        text += maxconn(
            name,
            "server_maxconn = 1\ntimeouts = { queue = \"100ms\" }\n",
        );
    }
    text += &sticky::rlb(&origins);
    let running = Rlb::with(text).ready_on(www).start();
    Side {
        www,
        tcp,
        socket,
        syslog,
        origins,
        _running: Running::Rlb(running),
    }
}
