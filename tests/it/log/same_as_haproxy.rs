//! The same scripted traffic through HAProxy and through rlb: log lines and counters
//! are held against each other, and what differs is named with its reason.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use socket2::SockRef;

use super::{Syslog, ask, stat};
use crate::support::{
    Haproxy, Origin, PATIENCE, RawClient, Rlb, dawdle, free_addr, real, wait_until,
};

/// Client and server timeouts of both.
const WAIT: Duration = Duration::from_millis(400);
/// Long enough that what was sent is there, and no timeout is near.
const MOMENT: Duration = Duration::from_millis(120);

/// One of the two, running.
struct Side {
    www: SocketAddr,
    tcp: Vec<(&'static str, SocketAddr)>,
    socket: PathBuf,
    syslog: Syslog,
    _running: Running,
}

#[expect(dead_code, reason = "held until the end")]
enum Running {
    Haproxy(Haproxy),
    Rlb(Rlb),
}

/// One thing that may happen, and what both say of it.
struct Case {
    name: &'static str,
    act: fn(&Side),
    /// `way end status retries "line"` of each log line.
    lines: &'static [&'static str],
    /// Where rlb says it otherwise, with the reason.
    rlb: Option<(&'static [&'static str], &'static str)>,
}

const fn case(name: &'static str, act: fn(&Side), lines: &'static [&'static str]) -> Case {
    Case {
        name,
        act,
        lines,
        rlb: None,
    }
}

/// Each row of the map of termination states, and some that stand beside it.
const CASES: &[Case] = &[
    case(
        "an answer",
        |s| get(s, "ok/1"),
        &["ok/s1 ---- 200 0 GET /ok/1"],
    ),
    case(
        "kept alive",
        |s| {
            let mut client = RawClient::connect(s.www);
            for _ in 0..3 {
                client
                    .send("GET /ok HTTP/1.1\r\nHost: x\r\n\r\n")
                    .read_response();
            }
        },
        &[
            "ok/s1 ---- 200 0 GET /ok",
            "ok/s1 ---- 200 0 GET /ok",
            "ok/s1 ---- 200 0 GET /ok",
        ],
    ),
    case(
        "refused connects",
        |s| get(s, "refused"),
        &["refused/s1 SC-- 503 3 GET /refused"],
    ),
    case(
        "connects that time out",
        |s| get(s, "deaf"),
        &["deaf/s1 sC-- 503 3 GET /deaf"],
    ),
    case(
        "refused, then redispatched",
        |s| get(s, "two"),
        &["two/s2 ---- 200 +1 GET /two"],
    ),
    case(
        "no server",
        |s| get(s, "none"),
        &["none/<NOSRV> SC-- 503 0 GET /none"],
    ),
    case(
        "no backend",
        |s| get(s, "what"),
        &["www/<NOSRV> SC-- 503 0 GET /what"],
    ),
    case(
        "closed without an answer",
        |s| get(s, "close"),
        &["close/s1 SH-- 502 0 GET /close"],
    ),
    case(
        "garbage for an answer",
        |s| get(s, "garbage"),
        &["garbage/s1 PH-- 502 0 GET /garbage"],
    ),
    case(
        "no answer in time",
        |s| get(s, "silent"),
        &["silent/s1 sH-- 504 0 GET /silent"],
    ),
    case(
        "an answer cut short",
        |s| get(s, "part"),
        &["part/s1 SD-- 200 0 GET /part"],
    ),
    case(
        "an answer that stops",
        |s| get(s, "stall"),
        &["stall/s1 sD-- 200 0 GET /stall"],
    ),
    case(
        "a bad request",
        |s| raw(s, "GET / HT\r\n\r\n"),
        &["www/<NOSRV> PR-- 400 0 <BADREQ>"],
    ),
    case(
        "a bad field",
        |s| raw(s, "GET / HTTP/1.1\r\nA b: c\r\n\r\n"),
        &["www/<NOSRV> PR-- 400 0 <BADREQ>"],
    ),
    case(
        "a bad chunk",
        |s| {
            raw(
                s,
                "POST /ok HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            )
        },
        &["www/<NOSRV> PR-- 400 0 <BADREQ>"],
    ),
    case(
        "a request too slow",
        |s| raw(s, "GET / HTTP/1.1\r\nHo"),
        &["www/<NOSRV> cR-- 408 0 <BADREQ>"],
    ),
    case(
        "a client that leaves amid its head",
        |s| leave(s, "GET / HTTP/1.1\r\nHo"),
        &["www/<NOSRV> CR-- 400 0 <BADREQ>"],
    ),
    case(
        "a client that says nothing",
        |s| drop(TcpStream::connect(s.www)),
        &[],
    ),
    case("the monitor", |s| get(s, "monitor"), &[]),
    Case {
        name: "a client that leaves while the server thinks",
        act: |s| leave(s, "GET /silent HTTP/1.1\r\nHost: x\r\n\r\n"),
        lines: &["silent/s1 CD-- -1 0 GET /silent"],
        rlb: Some((
            &["silent/s1 CH-- -1 0 GET /silent"],
            "a reset behind a whole request; HAProxy says CH where it sees a FIN, and D of a reset",
        )),
    },
    case(
        "a client that leaves amid its body",
        |s| {
            leave(
                s,
                "POST /silent HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc",
            )
        },
        &["silent/s1 CD-- -1 0 POST /silent"],
    ),
    case(
        "a client that leaves amid the answer",
        leave_amid_answer,
        &["big/s1 CD-- 200 0 GET /big"],
    ),
    case(
        "a client that does not read",
        do_not_read,
        &["big/s1 cD-- 200 0 GET /big"],
    ),
    Case {
        name: "the operator ends a request",
        act: |s| end_by_operator(s, "silent"),
        lines: &["silent/s1 KH-- 502 0 GET /silent"],
        rlb: None,
    },
    case(
        "the operator ends an answer",
        |s| end_by_operator(s, "big"),
        &["big/s1 KD-- 200 0 GET /big"],
    ),
    case("a session", |s| session(s, "tok"), &["b-tok/s1 -- 0"]),
    case(
        "a session that is refused",
        |s| session(s, "trefused"),
        &["b-trefused/s1 SC 3"],
    ),
    case(
        "a session without server",
        |s| session(s, "tnone"),
        &["b-tnone/<NOSRV> SC 0"],
    ),
    case(
        "a session that is idle",
        |s| session(s, "tsilent"),
        &["b-tsilent/s1 cD 0"],
    ),
    case("a session that is reset", reset_session, &["b-tok/s1 CD 0"]),
];

fn get(side: &Side, path: &str) {
    raw(
        side,
        &format!("GET /{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
    );
}

/// Sends it and waits for the end, whatever comes.
fn raw(side: &Side, request: &str) {
    let mut client = RawClient::connect(side.www);
    client.send(request).read_end();
}

/// Sends it, and resets the connection a moment later.
fn leave(side: &Side, request: &str) {
    let mut client = RawClient::connect(side.www);
    client.send(request);
    dawdle(MOMENT);
    client.reset();
}

fn leave_amid_answer(side: &Side) {
    let mut client = RawClient::connect(side.www);
    client
        .send("GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
        .read_bytes(1000);
    client.reset();
}

fn do_not_read(side: &Side) {
    let mut client = RawClient::connect(side.www);
    client
        .send("GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
        .read_bytes(1000);
    dawdle(WAIT * 3);
}

fn end_by_operator(side: &Side, backend: &str) {
    let mut client = RawClient::connect(side.www);
    client.send(format!("GET /{backend} HTTP/1.1\r\nHost: x\r\n\r\n"));
    dawdle(MOMENT);
    ask(
        &side.socket,
        &format!("shutdown sessions server {backend}/s1"),
    );
    client.read_end();
}

fn tcp(side: &Side, name: &str) -> SocketAddr {
    let of_name = |(n, _): &&(&str, SocketAddr)| *n == name;
    side.tcp.iter().find(of_name).unwrap().1
}

/// Who has no server may be reset at any moment.
fn session(side: &Side, name: &str) {
    let Ok(mut stream) = TcpStream::connect(tcp(side, name)) else {
        return;
    };
    let _ = stream.set_read_timeout(Some(PATIENCE));
    let _ = stream.write_all(b"GET /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let _ = stream.read_to_end(&mut Vec::new());
}

fn reset_session(side: &Side) {
    let mut client = RawClient::connect(tcp(side, "tok"));
    client
        .send("GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
        .read_response();
    client.reset();
}

/// Everything the servers do.
struct Origins {
    http: Vec<(&'static str, SocketAddr)>,
    _running: Vec<Origin>,
    _deaf: (TcpListener, Vec<TcpStream>),
}

impl Origins {
    fn start() -> Self {
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789";
        let closing = |what: &'static str, stay: Duration| {
            Origin::raw(move |mut stream, _| {
                read_head(&mut stream);
                // It may be gone already.
                let _ = stream.write_all(what.as_bytes());
                dawdle(stay);
            })
        };
        let big = Origin::raw(|mut stream, _| {
            read_head(&mut stream);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
            while stream.write_all(&[b'x'; 100_000]).is_ok() {}
        });
        let ok = Origin::raw(|mut stream, _| {
            while let Some(head) = read_head(&mut stream) {
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
                if stream.write_all(answer).is_err() || head.contains("Connection: close") {
                    return;
                }
            }
        });
        let running = vec![
            ("ok", ok),
            ("close", closing("", Duration::ZERO)),
            ("garbage", closing("garbage garbage\r\n\r\n", MOMENT)),
            ("silent", closing("", WAIT * 4)),
            ("part", closing(answer, MOMENT)),
            ("stall", closing(answer, WAIT * 4)),
            ("big", big),
        ];
        let mut http: Vec<_> = running.iter().map(|(name, o)| (*name, o.addr())).collect();
        let deaf = deaf();
        http.push(("deaf", deaf.0.local_addr().unwrap()));
        http.push(("refused", free_addr()));
        Self {
            http,
            _running: running.into_iter().map(|(_, origin)| origin).collect(),
            _deaf: deaf,
        }
    }

    fn addr(&self, name: &str) -> SocketAddr {
        self.http.iter().find(|(n, _)| *n == name).unwrap().1
    }
}

/// A listener whose queue is full: connects to it are not answered.
fn deaf() -> (TcpListener, Vec<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    SockRef::from(&listener).listen(0).unwrap();
    let addr = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&addr, MOMENT) {
        waiting.push(stream);
        assert!(waiting.len() < 16, "its queue never fills");
    }
    (listener, waiting)
}

fn read_head(stream: &mut TcpStream) -> Option<String> {
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

const TCP: [(&str, &str); 4] = [
    ("tok", "ok"),
    ("trefused", "refused"),
    ("tsilent", "silent"),
    ("tnone", ""),
];

fn haproxy(origins: &Origins) -> Option<Side> {
    let (syslog, www) = (Syslog::listen(), free_addr());
    let tcp: Vec<_> = TCP.iter().map(|(name, _)| (*name, free_addr())).collect();
    let wait = WAIT.as_millis();
    let mut text = format!(
        "global\n  nbthread 1\n  maxconn 1000\n  log {} local0\n  stats socket {{dir}}/sock level admin\n\
         defaults\n  mode http\n  log global\n  option httplog\n  option dontlognull\n  option http-ignore-probes\n  \
         option abortonclose\n  option redispatch 1\n  retries 3\n  timeout connect 200ms\n  \
         timeout client {wait}ms\n  timeout server {wait}ms\n  timeout http-request {wait}ms\n  \
         timeout tunnel {wait}ms\nfrontend www\n  bind {www}\n  monitor-uri /monitor\n",
        syslog.addr()
    );
    for (name, _) in origins.http.iter().chain(&[("none", www), ("two", www)]) {
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
    for (name, origin) in TCP {
        let server = match origin {
            "" => "127.0.0.1:1 disabled".to_owned(),
            origin => origins.addr(origin).to_string(),
        };
        text += &format!("backend b-{name}\n  mode tcp\n  server s1 {server}\n");
    }
    let running = real::haproxy_with(&text, www)?;
    Some(Side {
        www,
        tcp,
        socket: running.dir().join("sock"),
        syslog,
        _running: Running::Haproxy(running),
    })
}

fn rlb(origins: &Origins, dir: &Path) -> Side {
    let (syslog, www) = (Syslog::listen(), free_addr());
    let tcp: Vec<_> = TCP.iter().map(|(name, _)| (*name, free_addr())).collect();
    let socket = dir.join("sock");
    let wait = format!("\"{}ms\"", WAIT.as_millis());
    let mut text = format!(
        "[global]\nworkers = 1\nadmin = \"{}\"\n[[log]]\ntarget = \"syslog:udp:{}\"\ntag = \"haproxy\"\n\
         [defaults]\nretries = 3\n[defaults.timeouts]\nconnect = \"200ms\"\nclient = {wait}\nserver = {wait}\n\
         http_request = {wait}\ntunnel = {wait}\nkeep_alive = {wait}\nhalf_closed = {wait}\n\
         [[frontend]]\nname = \"www\"\nbind = \"{www}\"\nmonitor = \"/monitor\"\n",
        socket.display(),
        syslog.addr()
    );
    for (name, _) in origins.http.iter().chain(&[("none", www), ("two", www)]) {
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
    for (name, origin) in TCP {
        let server = match origin {
            "" => disabled.to_owned(),
            origin => server("s1", origins.addr(origin)),
        };
        text += &backend(&format!("b-{name}"), &server);
        text += "mode = \"tcp\"\n";
    }
    let running = Rlb::with(text).ready_on(www).start();
    Side {
        www,
        tcp,
        socket,
        syslog,
        _running: Running::Rlb(running),
    }
}

/// `way end status retries line` of a log line, without what is measured.
fn summary(datagram: &str) -> String {
    let (head, message) = datagram.trim_end().split_once("]: ").unwrap();
    assert!(
        head.starts_with("<134>") && head.contains(" haproxy["),
        "{datagram}"
    );
    let (_, rest) = message.split_once("] ").unwrap();
    let words: Vec<&str> = rest.split(' ').collect();
    let retries = |conns: &str| conns.rsplit('/').next().unwrap().to_owned();
    if words[2].split('/').count() == 5 {
        let line = rest
            .split('"')
            .nth(1)
            .unwrap()
            .trim_end_matches(" HTTP/1.1");
        // Nothing was reached that the letters say was not, and the other way round.
        let timers: Vec<i64> = words[2].split('/').map(|t| t.parse().unwrap()).collect();
        let answered = words[3].parse::<i32>().is_ok_and(|status| status == 200);
        assert_eq!(timers[3] >= 0, answered, "{datagram}");
        return format!(
            "{} {} {} {} {line}",
            words[1],
            words[7],
            words[3],
            retries(words[8])
        );
    }
    format!("{} {} {}", words[1], words[4], retries(words[5]))
}

/// Runs every case; what the log said of each.
fn run(side: &Side) -> Vec<Vec<String>> {
    CASES
        .iter()
        .map(|case| {
            (case.act)(side);
            let expected = case.lines.len();
            let mut lines = Vec::new();
            while let Some(line) = side.syslog.next(if lines.len() < expected {
                PATIENCE
            } else {
                Duration::from_millis(60)
            }) {
                lines.push(summary(&line));
            }
            lines
        })
        .collect()
}

#[test]
fn every_termination_state_is_haproxys_and_so_are_the_counters() {
    let origins = Origins::start();
    let Some(haproxy) = haproxy(&origins) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let rlb = rlb(&origins, dir.path());
    for side in [&haproxy, &rlb] {
        // What looked whether it is ready is no part of this.
        while side.syslog.next(Duration::from_millis(100)).is_some() {}
        wait_until(PATIENCE, "the end of the looks", || {
            super::number(&stat(&side.socket), "www", "FRONTEND", "scur") == 0
        });
        ask(&side.socket, "clear counters all");
    }
    let is_over = AtomicBool::new(false);
    let (theirs, ours, noise) = std::thread::scope(|scope| {
        let noise = scope.spawn(|| noise(&is_over));
        let theirs = scope.spawn(|| run(&haproxy));
        let ours = run(&rlb);
        let theirs = theirs.join();
        is_over.store(true, Ordering::Relaxed);
        (theirs.unwrap(), ours, noise.join().unwrap())
    });
    let mut wrong = Vec::new();
    for ((case, theirs), ours) in CASES.iter().zip(&theirs).zip(&ours) {
        let expected = case.rlb.map_or(case.lines, |(lines, _)| lines);
        if theirs != case.lines || ours != expected {
            wrong.push(format!("{}: HAProxy {theirs:?}, rlb {ours:?}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    for side in [&haproxy, &rlb] {
        for state in ["drain", "ready", "maint", "ready"] {
            ask(&side.socket, &format!("set server ok/s1 state {state}"));
            // A backend that was down for less than a second was not seen to be.
            dawdle(Duration::from_millis(1100));
        }
    }
    compare(&stat(&haproxy.socket), &stat(&rlb.socket), noise);
}

/// Columns of HAProxy's first 62 that are not compared, and why.
const NOT_COMPARED: &[(&str, &str)] = &[
    (
        "bin",
        "of HTTP: rlb counts bytes of the wire, HAProxy those of its own form of a message",
    ),
    (
        "bout",
        "of HTTP: the same, and heads are written anew with other fields",
    ),
    (
        "slim",
        "of a backend fullconn, which rlb does not have; of a frontend another maxconn",
    ),
    (
        "smax",
        "a client that left is still there for one of them when the next comes",
    ),
    ("rate", "of this very second"),
    ("req_rate", "of this very second"),
    ("rate_max", "how many fell into one second"),
    ("req_rate_max", "how many fell into one second"),
    (
        "lastsess",
        "seconds ago, of two runs that were not at the same time",
    ),
    (
        "lastchg",
        "seconds ago, of two processes that did not start at the same time",
    ),
    (
        "downtime",
        "seconds, of two processes that did not start at the same time",
    ),
];

/// Cells that differ, and why.
const ACCEPTED: &[(&str, &str, &str)] = &[
    ("silent", "cli_abrt", "who resets behind a whole request"),
    (
        "ok",
        "lbtot",
        "a request with a bad chunk had its turn before the chunk was seen",
    ),
];

/// Milliseconds by which times may differ, on a machine that has time for this.
const TIMES_APART: u64 = 20;

/// The longest that a thread of this machine had to wait for its turn meanwhile, in
/// milliseconds.
fn noise(is_over: &AtomicBool) -> u64 {
    let mut longest = 0;
    while !is_over.load(Ordering::Relaxed) {
        let slept = super::took(|| dawdle(Duration::from_millis(1)));
        longest = longest.max(slept.as_millis() as u64 - 1);
    }
    longest
}

type Rows = Vec<Vec<(String, String)>>;

fn compare(theirs: &Rows, ours: &Rows, noise: u64) {
    let name = |row: &[(String, String)]| (row[0].1.clone(), row[1].1.clone());
    let mut wrong = Vec::new();
    for row in theirs {
        let (proxy, server) = name(row);
        let Some(own) = ours
            .iter()
            .find(|own| name(own) == (proxy.clone(), server.clone()))
        else {
            wrong.push(format!("{proxy}/{server} is missing"));
            continue;
        };
        for ((column, theirs), (own_column, ours)) in row.iter().zip(own).take(62) {
            assert_eq!(column, own_column);
            let skipped = NOT_COMPARED.iter().any(|(c, _)| c == column);
            let bytes_of_tcp =
                ["bin", "bout"].contains(&&**column) && ["tok", "b-tok"].contains(&&*proxy);
            let accepted = ACCEPTED
                .iter()
                .any(|(p, c, _)| (*p, *c) == (&*proxy, &**column));
            if theirs == ours || (skipped && !bytes_of_tcp) || accepted {
                continue;
            }
            let is_time = ["qtime", "ctime", "rtime", "ttime"].contains(&&**column);
            if let (true, Ok(a), Ok(b)) = (is_time, theirs.parse::<u64>(), ours.parse::<u64>()) {
                // Timeouts are looked at every 50 ms.
                let slack = match column == "ttime" && b as u128 >= WAIT.as_millis() / 3 {
                    true => TIMES_APART + 50,
                    false => TIMES_APART,
                };
                if a.abs_diff(b) <= slack + noise {
                    continue;
                }
            }
            wrong.push(format!(
                "{proxy}/{server} {column}: {theirs:?}, rlb {ours:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
