//! The same scripted traffic through HAProxy and through rlb: log lines and counters
//! are held against each other, and what differs is named with its reason.
//!
//! Times of two programs on one busy machine say nothing about each other. Each is held
//! against what must be true of that very request at that very program: it took no less
//! than the server or a timeout made it take, and no more than its client saw.

mod checks;
mod counters;
mod page;
mod sides;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::{ask, stat};
use crate::support::{PATIENCE, RawClient, dawdle, wait_until};
use counters::compare;
use sides::{Side, haproxy, rlb};

/// Client and server timeouts of both.
const WAIT: Duration = Duration::from_millis(400);
/// The time for one connect, of both.
const CONNECT: Duration = Duration::from_millis(200);
/// The time a place at a busy server is waited for, of both.
const PLACE: Duration = Duration::from_millis(100);
/// Long enough that what was sent is there, and no timeout is near.
const MOMENT: Duration = Duration::from_millis(120);

/// One thing that may happen, and what both say of it.
struct Case {
    name: &'static str,
    act: fn(&Side),
    /// `way end status retries "line"` of each log line.
    lines: &'static [&'static str],
    /// What each of them takes at least, by a clock of the program's own: what a client does
    /// may reach it late.
    least: Duration,
    /// Where rlb says it otherwise, with the reason.
    rlb: Option<(&'static [&'static str], &'static str)>,
}

const fn case(name: &'static str, act: fn(&Side), lines: &'static [&'static str]) -> Case {
    Case {
        name,
        act,
        lines,
        least: Duration::ZERO,
        rlb: None,
    }
}

impl Case {
    const fn takes(mut self, least: Duration) -> Self {
        self.least = least;
        self
    }

    const fn but_rlb(mut self, lines: &'static [&'static str], why: &'static str) -> Self {
        self.rlb = Some((lines, why));
        self
    }
}

/// A line of the log.
#[derive(Clone)]
struct Line {
    /// `way end status retries "line"`, and which stages were reached.
    said: String,
    /// `backend/server`.
    way: String,
    /// TR, Tw, Tc, Tr, Ta; Tw, Tc, Tt of a session.
    timers: Vec<i64>,
    /// From before its client came until the line was there.
    wall: Duration,
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
    )
    .takes(CONNECT.saturating_mul(4)),
    case(
        "a client that leaves while we connect",
        |s| leave(s, "GET /deaf HTTP/1.1\r\nHost: x\r\n\r\n"),
        &["deaf/s1 CC-- -1 0 GET /deaf"],
    ),
    case(
        "a client with more behind its request that leaves while we connect",
        |s| leave(s, &"GET /deaf HTTP/1.1\r\nHost: x\r\n\r\n".repeat(2)),
        &["deaf/s1 CC-- -1 0 GET /deaf"],
    ),
    case(
        "a client that leaves amid its body while we connect",
        |s| {
            leave(
                s,
                "POST /deaf HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc",
            )
        },
        &["deaf/s1 CC-- -1 0 POST /deaf"],
    ),
    case(
        "a client that ends amid its body while we connect",
        |s| {
            end(
                s.www,
                "POST /deaf HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc",
            )
        },
        &["deaf/s1 CC-- -1 0 POST /deaf"],
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
    )
    .takes(WAIT),
    case(
        "an answer cut short",
        |s| get(s, "part"),
        &["part/s1 SD-- 200 0 GET /part"],
    ),
    case(
        "an answer that stops",
        |s| get(s, "stall"),
        &["stall/s1 sD-- 200 0 GET /stall"],
    )
    .takes(WAIT),
    case(
        "a denied request",
        |s| get(s, "deny/1"),
        &["www/<NOSRV> PR-- 403 0 GET /deny/1"],
    ),
    case(
        "a request denied with another status, on a connection that stays",
        |s| {
            let mut client = RawClient::connect(s.www);
            for path in ["/many", "/ok/2"] {
                client
                    .send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"))
                    .read_response();
            }
        },
        &[
            "www/<NOSRV> PR-- 429 0 GET /many",
            "ok/s1 ---- 200 0 GET /ok/2",
        ],
    ),
    case(
        "a denied request with a body",
        |s| {
            raw(
                s,
                "POST /deny HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc",
            )
        },
        &["www/<NOSRV> PR-- 403 0 POST /deny"],
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
    )
    .takes(WAIT),
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
    case(
        "a client that leaves while the server thinks",
        |s| leave(s, "GET /silent HTTP/1.1\r\nHost: x\r\n\r\n"),
        &["silent/s1 CD-- -1 0 GET /silent"],
    )
    .but_rlb(
        &["silent/s1 CH-- -1 0 GET /silent"],
        "a reset behind a whole request; HAProxy says CH where it sees a FIN, and D of a reset",
    ),
    case(
        "an answer with a bad chunk",
        |s| get(s, "badchunk"),
        &["badchunk/s1 SD-- 200 0 GET /badchunk"],
    ),
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
    )
    .takes(WAIT),
    case(
        "the operator ends a request",
        end_request_by_operator,
        &["silent/s1 KH-- 502 0 GET /silent"],
    ),
    case(
        "the operator ends an answer",
        end_answer_by_operator,
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
    )
    .takes(WAIT),
    case(
        "the operator ends a session",
        end_session_by_operator,
        &["b-tsilent/s1 K- 0"],
    ),
    case("a session that is reset", reset_session, &["b-tok/s1 CD 0"]),
    case(
        "a place that does not come",
        |s| {
            let mut first = hold(s, "busy/1");
            get(s, "busy/2");
            first.read_end();
        },
        &[
            "busy/<NOSRV> sQ-- 503 0 GET /busy/2 queue 0/1",
            "busy/s1 sH-- 504 0 GET /busy/1",
        ],
    )
    .takes(PLACE),
    case(
        "a client that leaves while it waits for a place",
        |s| {
            let mut first = hold(s, "soon/1");
            let mut second = RawClient::connect(s.www);
            second.send("GET /soon/2 HTTP/1.1\r\nHost: x\r\n\r\n");
            let is_waiting = || super::number(&stat(&s.socket), "soon", "BACKEND", "qcur") == 1;
            wait_until(PATIENCE, "the second in the queue", is_waiting);
            second.reset();
            first.read_end();
        },
        &[
            "soon/<NOSRV> CQ-- -1 0 GET /soon/2 queue 0/1",
            "soon/s1 sH-- 504 0 GET /soon/1",
        ],
    ),
    case(
        "places that come one by one",
        |s| {
            let mut first = hold(s, "soon/1");
            let mut second = RawClient::connect(s.www);
            let waiting = || super::number(&stat(&s.socket), "soon", "BACKEND", "qcur");
            second.send("GET /soon/2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
            wait_until(PATIENCE, "the second in the queue", || waiting() == 1);
            get(s, "soon/3");
            first.read_end();
            second.read_end();
        },
        &[
            "soon/s1 sH-- 504 0 GET /soon/1",
            "soon/s1 sH-- 504 0 GET /soon/2 queue 0/1",
            "soon/s1 sH-- 504 0 GET /soon/3 queue 0/2",
        ],
    )
    .takes(WAIT),
    case(
        "a session that gets no place",
        |s| {
            let mut first = RawClient::connect(tcp(s, "tbusy"));
            until_unanswered(s, || {
                first.send("GET /x HTTP/1.1\r\n\r\n");
            });
            session(s, "tbusy");
            first.read_end();
        },
        &["b-tbusy/<NOSRV> sQ 0 queue 0/1", "b-tbusy/s1 cD 0"],
    )
    .takes(PLACE),
    case(
        "a session that says nothing and ends while we connect",
        |s| end(tcp(s, "tdeaf"), ""),
        &["b-tdeaf/s1 CC 0"],
    ),
    case(
        "a session that is reset while we connect",
        |s| {
            let mut client = RawClient::connect(tcp(s, "tdeaf"));
            client.send("hello");
            dawdle(MOMENT);
            client.reset();
        },
        &["b-tdeaf/s1 CD 0"],
    )
    .but_rlb(
        &["b-tdeaf/s1 CC 0"],
        "HAProxy says D of any reset in TCP mode, and C of the same moment where it sees a FIN",
    ),
];

fn get(side: &Side, path: &str) {
    raw(
        side,
        &format!("GET /{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
    );
}

/// A request that has reached the server that answers none.
fn hold(side: &Side, path: &str) -> RawClient {
    let mut client = RawClient::connect(side.www);
    until_unanswered(side, || {
        client.send(format!(
            "GET /{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        ));
    });
    client
}

/// Sends it and waits for the end, whatever comes.
fn raw(side: &Side, request: &str) {
    let mut client = RawClient::connect(side.www);
    client.send(request).read_end();
}

/// Sends it, and resets the connection once the server has it, or a moment later when it
/// is not to reach one.
fn leave(side: &Side, request: &str) {
    let mut client = RawClient::connect(side.www);
    match request.contains("\r\n\r\n") && !request.contains("/deaf") {
        true => until_unanswered(side, || {
            client.send(request);
        }),
        false => {
            client.send(request);
            dawdle(MOMENT);
        }
    }
    client.reset();
}

/// Sends it and half closes; comes back with the end of the connection.
fn end(addr: SocketAddr, request: &str) {
    let mut client = RawClient::connect(addr);
    client.send(request);
    dawdle(MOMENT);
    client.finish_sending().read_end();
}

/// Until the request that `send` sends has reached the server that answers none.
fn until_unanswered(side: &Side, send: impl FnOnce()) {
    let count = || side.origins.unanswered.load(Ordering::Acquire);
    let before = count();
    send();
    wait_until(PATIENCE, "the request at its server", || count() > before);
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

fn end_request_by_operator(side: &Side) {
    let mut client = RawClient::connect(side.www);
    until_unanswered(side, || {
        client.send("GET /silent HTTP/1.1\r\nHost: x\r\n\r\n");
    });
    ask(&side.socket, "shutdown sessions server silent/s1");
    client.read_end();
}

fn end_answer_by_operator(side: &Side) {
    let mut client = RawClient::connect(side.www);
    client
        .send("GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
        .read_bytes(1000);
    ask(&side.socket, "shutdown sessions server big/s1");
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

fn end_session_by_operator(side: &Side) {
    let mut client = RawClient::connect(tcp(side, "tsilent"));
    until_unanswered(side, || {
        client.send("GET /x HTTP/1.1\r\n\r\n");
    });
    ask(&side.socket, "shutdown sessions server b-tsilent/s1");
    client.read_end();
}

fn reset_session(side: &Side) {
    let mut client = RawClient::connect(tcp(side, "tok"));
    client
        .send("GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
        .read_response();
    client.reset();
}

impl Line {
    fn read(datagram: &str, wall: Duration) -> Self {
        let (head, message) = datagram.trim_end().split_once("]: ").unwrap();
        assert!(
            head.starts_with("<134>") && head.contains(" haproxy["),
            "{datagram}"
        );
        let (_, rest) = message.split_once("] ").unwrap();
        let words: Vec<&str> = rest.split(' ').collect();
        let timers: Vec<i64> = words[2].split('/').map(|t| t.parse().unwrap()).collect();
        let retries = |conns: &str| conns.rsplit('/').next().unwrap().to_owned();
        let way = words[1];
        let mut said = if timers.len() == 5 {
            let line = rest.split('"').nth(1).unwrap();
            let line = line.trim_end_matches(" HTTP/1.1");
            let (status, end) = (words[3], words[7]);
            format!("{way} {end} {status} {} {line}", retries(words[8]))
        } else {
            format!("{way} {} {}", words[4], retries(words[5]))
        };
        let queue = words[if timers.len() == 5 { 9 } else { 6 }];
        if queue != "0/0" {
            said += &format!(" queue {queue}");
        }
        Self {
            said,
            way: way.to_owned(),
            timers,
            wall,
        }
    }

    /// Which stages it reached, a letter for each.
    fn reached(&self) -> String {
        let reached = self.timers.iter().map(|timer| *timer >= 0);
        reached.map(|is| if is { '+' } else { '-' }).collect()
    }

    /// Whether its stages can be true: each came to an end within what its client saw, and
    /// the whole took what the server or a timeout made it take.
    fn can_be_true(&self, least: Duration) -> bool {
        // Timers begin and end with a whole millisecond.
        let most = self.wall.as_millis() as i64 + 1;
        let total = *self.timers.last().unwrap();
        let stages: i64 = self.timers.iter().rev().skip(1).map(|t| t.max(&0)).sum();
        stages <= total + 4 && total <= most && total + 1 >= least.as_millis() as i64
    }
}

/// Runs every case; what the log said of each.
fn run(side: &Side) -> Vec<Vec<Line>> {
    let run = |case: &Case| {
        let start = Instant::now();
        (case.act)(side);
        let mut lines = Vec::new();
        while let Some(line) = side.syslog.next(if lines.len() < case.lines.len() {
            PATIENCE
        } else {
            Duration::from_millis(60)
        }) {
            lines.push(Line::read(&line, start.elapsed()));
        }
        lines
    };
    CASES.iter().map(run).collect()
}

#[test]
fn every_termination_state_is_haproxys_and_so_are_the_counters() {
    let Some(haproxy) = haproxy() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let rlb = rlb(dir.path());
    for side in [&haproxy, &rlb] {
        // What looked whether it is ready is no part of this.
        while side.syslog.next(Duration::from_millis(100)).is_some() {}
        wait_until(PATIENCE, "the end of the looks", || {
            super::number(&stat(&side.socket), "www", "FRONTEND", "scur") == 0
        });
        ask(&side.socket, "clear counters all");
    }
    let (theirs, ours) = std::thread::scope(|scope| {
        let theirs = scope.spawn(|| run(&haproxy));
        let ours = run(&rlb);
        (theirs.join().unwrap(), ours)
    });
    let said = |lines: &[Line]| -> Vec<String> { lines.iter().map(|l| l.said.clone()).collect() };
    let mut wrong = Vec::new();
    for ((case, theirs), ours) in CASES.iter().zip(&theirs).zip(&ours) {
        let expected = case.rlb.map_or(case.lines, |(lines, _)| lines);
        if said(theirs) != case.lines || said(ours) != expected {
            let (theirs, ours) = (said(theirs), said(ours));
            wrong.push(format!("{}: HAProxy {theirs:?}, rlb {ours:?}", case.name));
        }
        for line in theirs.iter().chain(ours) {
            if !line.can_be_true(case.least) {
                let (timers, wall) = (&line.timers, line.wall);
                wrong.push(format!("{}: {timers:?} of {wall:?}", case.name));
            }
        }
        for (theirs, ours) in theirs.iter().zip(ours) {
            if theirs.reached() != ours.reached() {
                let (theirs, ours) = (&theirs.timers, &ours.timers);
                wrong.push(format!("{}: HAProxy {theirs:?}, rlb {ours:?}", case.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    for side in [&haproxy, &rlb] {
        for state in ["drain", "ready", "maint", "ready"] {
            ask(&side.socket, &format!("set server ok/s1 state {state}"));
        }
    }
    compare([(&haproxy, theirs.concat()), (&rlb, ours.concat())]);
}
