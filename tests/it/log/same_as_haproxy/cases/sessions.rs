//! Connections that are passed on as they are.

use super::super::sides::Side;
use super::super::{MOMENT, WAIT};
use super::acts::{end, session, tcp, until_unanswered};
use super::{Case, case};
use crate::log::ask;
use crate::support::{RawClient, dawdle};

pub(super) const CASES: &[Case] = &[
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
