//! WebSockets of HTTP/2 clients (RFC 8441): a stream each, and for an HTTP/1.1 server the
//! handshake and the connection it knows.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use h2::ext::Protocol;
use http::Request;
use rlb::{Exit, StopKind};

use super::client::{Client, field};
use super::raw::*;
use super::{h2_to_h2, h2c};
use crate::support::{Answer, End, Head, Lb, Origin, PATIENCE, PlayedOrigin, RawClient};
use crate::support::{free_addr, real, wait_until};

const CANCEL: u32 = 8;
const NO_END: u8 = END_HEADERS;

/// `Sec-WebSocket-Accept` (RFC 6455 4.2.2).
pub(crate) fn accept_of(head: &Head) -> String {
    let key = head.field("sec-websocket-key").expect("a key");
    let text = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()))
}

/// The answer that opens the WebSocket.
pub(crate) fn switching(head: &Head) -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\nSec-WebSocket-Protocol: chat\r\n\r\n",
        accept_of(head)
    )
}

fn wanted(stream: u32, raw: &mut Raw, more: u8) {
    let block = block(&[
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "https"),
        (":authority", "test"),
        (":path", "/chat?room=1"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-protocol", "chat"),
        ("sec-websocket-key", "bogus"),
        ("origin", "https://test"),
    ]);
    raw.send(HEADERS, END_HEADERS | more, stream, &block);
}

/// A WebSocket that stands: the client's stream 1 and the server's connection.
struct Open {
    client: Raw,
    server: RawClient,
    /// What the server was asked.
    asked: Head,
}

impl Open {
    #[track_caller]
    fn through(addr: SocketAddr, origin: &PlayedOrigin) -> Self {
        let mut client = Raw::connect(addr);
        wanted(1, &mut client, 0);
        let mut server = origin.accept();
        let asked = server.read_head();
        // Its first words leave with its head.
        server.send(format!("{}hello", switching(&asked)));
        let head = client.read_kind(HEADERS);
        assert_eq!((head.stream, head.flags), (1, NO_END));
        // `:status: 200`, from the table (RFC 7541 A).
        assert_eq!(head.payload[0], 0x88);
        assert_eq!(client.read_kind(DATA).payload, b"hello");
        Self {
            client,
            server,
            asked,
        }
    }

    /// Bytes to the server.
    fn send(&mut self, data: &[u8], flags: u8) {
        self.client.send(DATA, flags, 1, data);
    }
}

/// What the settings of the other side say of a kind.
fn announced(addr: SocketAddr, kind: u8) -> Option<u32> {
    let mut client = Raw(RawClient::connect(addr));
    client.0.send(PREFACE);
    client.send(SETTINGS, 0, 0, &[]);
    let settings = client.read();
    assert_eq!((settings.kind, settings.flags), (SETTINGS, 0));
    let mut all = settings.payload.chunks(6);
    let found = all.find(|setting| setting[..2] == [0, kind])?;
    Some(u32::from_be_bytes(found[2..].try_into().unwrap()))
}

#[test]
fn clients_are_told_that_they_may_unless_it_is_switched_off() {
    const ENABLE_CONNECT_PROTOCOL: u8 = 8;
    let origin = Origin::ok("ok");
    let lb = h2c(origin.addr(), "");
    assert_eq!(announced(lb.addr(), ENABLE_CONNECT_PROTOCOL), Some(1));
    let lb = h2c(origin.addr(), "http2.websockets = false");
    assert_eq!(announced(lb.addr(), ENABLE_CONNECT_PROTOCOL), None);
    let mut client = Raw::connect(lb.addr());
    wanted(1, &mut client, 0);
    assert!(matches!(client.verdict(), Verdict::Reset(1, 1)));
}

#[test]
fn the_server_gets_the_handshake_of_http1_and_then_each_byte() {
    let origin = PlayedOrigin::listen();
    let lb = h2c(origin.addr(), "");
    let mut open = Open::through(lb.addr(), &origin);
    let asked = &open.asked;
    assert_eq!(asked.first_line(), "GET /chat?room=1 HTTP/1.1");
    for (name, value) in [
        ("host", "test"),
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-protocol", "chat"),
        ("origin", "https://test"),
        ("x-forwarded-for", "127.0.0.1"),
    ] {
        assert_eq!(asked.fields(name), [value], "{name}");
    }
    let keys = asked.fields("sec-websocket-key");
    assert_eq!(keys.len(), 1);
    assert_eq!(STANDARD.decode(keys[0]).unwrap().len(), 16);
    for name in ["transfer-encoding", "content-length"] {
        assert_eq!(asked.field(name), None, "{name}");
    }

    open.send(b"ping", 0);
    assert_eq!(open.server.read_bytes(4), b"ping");
    open.server.send("pong");
    assert_eq!(open.client.read_kind(DATA).payload, b"pong");
    // One direction ends, the other goes on.
    open.send(b"bye", END_STREAM);
    assert_eq!(open.server.read_end(), (b"bye".to_vec(), End::Fin));
    open.server.send("still here");
    assert_eq!(open.client.read_kind(DATA).payload, b"still here");
    drop(open.server);
    assert_eq!(open.client.read_kind(DATA).flags, END_STREAM);
    // It is one stream of many.
    assert!(open.client.is_alive());
    let mut other = Open::through(lb.addr(), &origin);
    let Open { client, server, .. } = &mut other;
    // The server's end first.
    server.finish_sending();
    assert_eq!(client.read_kind(DATA).flags, END_STREAM);
    client.send(DATA, 0, 1, b"go on");
    assert_eq!(server.read_bytes(5), b"go on");
    client.send(DATA, END_STREAM, 1, b"");
    assert_eq!(server.read_end(), (Vec::new(), End::Fin));
}

#[test]
fn a_reset_of_one_side_is_one_of_the_other() {
    let origin = PlayedOrigin::listen();
    let lb = h2c(origin.addr(), "");
    let mut open = Open::through(lb.addr(), &origin);
    open.client.send(RST_STREAM, 0, 1, &CANCEL.to_be_bytes());
    assert_eq!(open.server.read_end().1, End::Reset);
    assert!(open.client.is_alive());
    let mut open = Open::through(lb.addr(), &origin);
    open.server.reset();
    assert_eq!(open.client.verdict(), Verdict::Reset(1, CANCEL));
    // The whole connection of the client.
    let Open {
        client, mut server, ..
    } = Open::through(lb.addr(), &origin);
    client.0.reset();
    assert_eq!(server.read_end().1, End::Reset);
}

#[test]
fn neither_side_is_read_faster_than_the_other_takes() {
    let origin = PlayedOrigin::listen();
    let lb = h2c(origin.addr(), "");
    let mut open = Open::through(lb.addr(), &origin);
    // The client's window: 64 KiB without what it has got.
    let window = 65_535 - b"hello".len();
    let flood = vec![b'x'; 8 << 20];
    let sent = open
        .server
        .send_until_full(&flood, Duration::from_millis(300));
    assert!(sent < flood.len(), "someone holds all of it");
    let mut got = 0;
    while got < window {
        got += open.client.read_kind(DATA).payload.len();
    }
    assert_eq!(got, window);
    assert!(open.client.is_alive(), "nothing comes but the answer");
    // The server's buffers: what we allow a client to send ahead.
    let mut left = 64 << 10;
    while left > 0 {
        let piece = left.min(16 << 10);
        open.send(&flood[..piece], 0);
        left -= piece;
    }
    let mut opened = 0;
    while opened < 64 << 10 {
        let update = open.client.read_kind(WINDOW_UPDATE);
        let bytes = u32::from_be_bytes(update.payload.try_into().unwrap());
        opened += if update.stream == 1 { bytes } else { 0 };
    }
    assert_eq!(open.server.read_bytes(64 << 10).len(), 64 << 10);
}

/// A server that answers each request with this.
fn answered(answer: impl Fn(&Head) -> String + Send + Sync + 'static) -> Origin {
    Origin::answering(move |request| match request.head.field("upgrade") {
        None => Answer::Keep(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec()),
        Some(_) => Answer::Keep(answer(&request.head).into_bytes()),
    })
}

fn connect<'a>(protocol: &'static str) -> Request<&'a [u8]> {
    let request = Request::builder()
        .method("CONNECT")
        .uri("http://test/chat")
        .extension(Protocol::from_static(protocol));
    request.body(&b""[..]).unwrap()
}

#[test]
fn what_is_no_websocket_is_told_so() {
    let refusing = |status: &'static str| {
        answered(move |_| format!("HTTP/1.1 {status}\r\nContent-Length: 5\r\n\r\nsorry"))
    };
    let switched = |fields: &'static str| {
        answered(move |_| {
            format!("HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{fields}\r\n")
        })
    };
    for (what, origin, status, body) in [
        ("no", refusing("403 Forbidden"), 403, "sorry"),
        ("login", refusing("401 Who"), 401, "sorry"),
        // Would be a yes.
        ("deaf", refusing("200 OK"), 502, ""),
        ("no proof", switched(""), 502, ""),
        (
            "no good proof",
            switched("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"),
            502,
            "",
        ),
    ] {
        let lb = h2c(origin.addr(), "");
        let mut client = Client::connect(lb.addr());
        // Behind its settings.
        assert_eq!(client.get("/").head.status(), 200);
        let answer = client.ask(connect("websocket"), None).unwrap();
        assert_eq!(answer.head.status(), status, "{what}");
        assert!(body.is_empty() || answer.body == body, "{what}");
        assert_eq!(client.get("/").head.status(), 200, "{what}");
    }
    let origin = answered(switching);
    let lb = h2c(origin.addr(), "");
    let mut client = Client::connect(lb.addr());
    client.get("/");
    let status = |client: &mut Client, request| client.ask(request, None).unwrap().head.status();
    assert_eq!(status(&mut client, connect("connect-udp")), 501);
    let sized = field(connect("websocket"), "content-length", "0");
    assert_eq!(status(&mut client, sized), 400);
    assert_eq!(origin.requests().len(), 1);
    assert_eq!(status(&mut client, connect("WebSocket")), 200);
    // Servers of HTTP/2 get none.
    let relayed = h2_to_h2(lb.addr(), "");
    let mut client = Client::connect(relayed.addr());
    client.get("/");
    assert_eq!(status(&mut client, connect("websocket")), 501);
}

#[test]
fn one_that_stands_still_ends_after_its_own_time() {
    let origin = PlayedOrigin::listen();
    let waits = |tunnel: &str| {
        let waits = "client = \"100ms\", server = \"100ms\", half_closed = \"200ms\"";
        h2c(
            origin.addr(),
            &format!("timeouts = {{ {waits}, tunnel = \"{tunnel}\" }}"),
        )
    };
    let lb = waits("1s");
    let begun = Instant::now();
    let mut open = Open::through(lb.addr(), &origin);
    assert_eq!(open.client.verdict(), Verdict::Reset(1, CANCEL));
    assert!(begun.elapsed() >= Duration::from_secs(1));
    assert_eq!(open.server.read_end().1, End::Reset);
    let lb = waits("1h");
    let mut open = Open::through(lb.addr(), &origin);
    open.server.finish_sending();
    assert_eq!(open.client.read_kind(DATA).flags, END_STREAM);
    assert_eq!(open.client.verdict(), Verdict::Reset(1, CANCEL));
}

#[test]
fn a_stop_waits_for_it_and_no_longer_than_it_may() {
    let origin = PlayedOrigin::listen();
    let lb = Lb::start_whole(&format!(
        "[global]\nworkers = 1\nadmin = \"\"\ndrain_timeout = \"4s\"\n[[listen]]\nname = \"web\"\n\
         bind = {{ address = \"127.0.0.1:0\", protocol = \"h2\" }}\nserver = \"{}\"\n",
        origin.addr()
    ));
    let mut open = Open::through(lb.addr(), &origin);
    lb.stop(StopKind::Drain);
    // A busy connection looks once a second whether it is to go.
    open.client.read_kind(GOAWAY);
    open.send(b"still here", 0);
    assert_eq!(open.server.read_bytes(10), b"still here");
    assert_eq!(lb.wait(), Exit::Stopped);
    assert_eq!(open.server.read_end().1, End::Reset);
}

#[test]
fn limits_of_bodies_are_none_of_it_and_a_stale_connection_is_replaced() {
    let origin = PlayedOrigin::listen();
    let lb = h2c(origin.addr(), "limits = { body = \"10B\" }");
    // A connection that goes into the pool, and dies there.
    let mut client = Raw::connect(lb.addr());
    client.get(1);
    let mut stale = origin.accept();
    stale.read_head();
    stale.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert!(matches!(client.verdict(), Verdict::Answer(1, _)));
    wanted(3, &mut client, 0);
    let head = stale.read_head();
    assert!(head.field("sec-websocket-key").is_some());
    drop(stale);
    let mut server = origin.accept();
    let asked = server.read_head();
    assert_eq!(asked.fields("sec-websocket-key").len(), 1);
    server.send(switching(&asked));
    assert!(matches!(client.verdict(), Verdict::Answer(3, 0x88)));
    client.send(DATA, 0, 3, &[b'x'; 1000]);
    assert_eq!(server.read_bytes(1000).len(), 1000);
}

#[test]
fn it_is_counted_while_it_runs_and_by_the_session() {
    let origin = PlayedOrigin::listen();
    let lb = Lb::start(&format!(
        "[[listen]]\nname = \"web\"\nbind = {{ address = \"127.0.0.1:0\", protocol = \"both\" }}\n\
         server = {{ name = \"s1\", address = \"{}\" }}\n",
        origin.addr()
    ));
    let mut open = Open::through(lb.addr(), &origin);
    open.send(&[b'x'; 1000], 0);
    open.server.read_bytes(1000);
    wait_until(PATIENCE, "bytes, while it runs", || {
        lb.server("web", "s1").bytes == (1000, 5)
    });
    assert_eq!(lb.server("web", "s1").current, 1);
    drop(open);
    wait_until(PATIENCE, "its end", || lb.server("web", "s1").current == 0);
    let server = lb.server("web", "s1");
    assert_eq!(server.sessions, 1);
    // With the head of the request.
    assert!((1100..1400).contains(&server.bytes.0), "{server:?}");
}

/// The log line of a WebSocket without process, addresses, times and counts.
fn logged(addr: SocketAddr, origin: &PlayedOrigin, syslog: &UdpSocket) -> String {
    let mut open = Open::through(addr, origin);
    open.send(&[b'x'; 1000], END_STREAM);
    assert_eq!(open.server.read_end().1, End::Fin);
    drop(open.server);
    while open.client.read_kind(DATA).flags & END_STREAM == 0 {}
    let mut buffer = [0; 4096];
    syslog.set_read_timeout(Some(PATIENCE)).unwrap();
    loop {
        let read = syslog.recv(&mut buffer).expect("a log line");
        let line = String::from_utf8_lossy(&buffer[..read]);
        if let Some(at) = line.find("web/s1 ") {
            let fields: Vec<&str> = line[at..].split(' ').collect();
            return format!("{} {} {}", fields[2], fields[6], fields[9..].join(" "));
        }
    }
}

#[test]
fn it_is_logged_as_haproxy_does() {
    let syslog = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (origin, to) = (PlayedOrigin::listen(), syslog.local_addr().unwrap());
    let lb = Lb::start(&format!(
        "[[log]]\ntarget = \"syslog:udp:{to}\"\n[[listen]]\nname = \"web\"\n\
         bind = {{ address = \"127.0.0.1:0\", protocol = \"h2\" }}\n\
         server = {{ name = \"s1\", address = \"{}\" }}\n",
        origin.addr()
    ));
    let ours = logged(lb.addr(), &origin, &syslog);
    drop(lb);
    assert!(ours.starts_with("101 ---- "), "{ours}");
    let front = free_addr();
    let text = format!(
        "global\n  nbthread 1\n  log {to} local0\ndefaults\n  mode http\n  log global\n  option httplog\n  \
         timeout connect 5s\n  timeout client 5s\n  timeout server 5s\n  timeout tunnel 5s\n\
         listen web\n  bind {front} proto h2\n  server s1 {}\n",
        origin.addr()
    );
    let Some(_haproxy) = real::haproxy_with(&text, front) else {
        return;
    };
    let theirs = logged(front, &origin, &syslog);
    // It logs the whole URI of each request by HTTP/2.
    assert_eq!(
        theirs.trim_end().replace("https://test", ""),
        ours.trim_end()
    );
}
