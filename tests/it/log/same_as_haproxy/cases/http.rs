//! One request at a time, as far as each of them may get.

use std::net::TcpStream;

use super::super::sides::Side;
use super::super::{CONNECT, WAIT};
use super::acts::{end, get, leave, raw, until_unanswered};
use super::{Case, case};
use crate::log::ask;
use crate::support::{RawClient, dawdle};

pub(super) const CASES: &[Case] = &[
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
];

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
