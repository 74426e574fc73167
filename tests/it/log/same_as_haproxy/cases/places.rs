//! A server that takes no more than it has places for.

use super::super::{PLACE, WAIT};
use super::acts::{get, hold, session, tcp, until_unanswered};
use super::{Case, case};
use crate::log::{number, stat};
use crate::support::{PATIENCE, RawClient, wait_until};

pub(super) const CASES: &[Case] = &[
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
            let is_waiting = || number(&stat(&s.socket), "soon", "BACKEND", "qcur") == 1;
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
            let waiting = || number(&stat(&s.socket), "soon", "BACKEND", "qcur");
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
];
