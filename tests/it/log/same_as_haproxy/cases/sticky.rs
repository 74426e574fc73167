//! Clients that are kept at their servers by a cookie (HAProxy manual 8.5: the third and
//! fourth letter).

use super::super::sides::Side;
use super::acts::raw;
use super::{Case, case};
use crate::log::ask;
use crate::support::RawClient;

pub(super) const CASES: &[Case] = &[
    case(
        "no cookie",
        |s| visit(s, "sticky/1", ""),
        &["sticky/s1 --NI 200 0 GET /sticky/1"],
    ),
    case(
        "another cookie",
        |s| visit(s, "sticky/2", "Cookie: a=b; SRVX=ca\r\n"),
        &["sticky/s2 --NI 200 0 GET /sticky/2"],
    ),
    case(
        "a cookie that is valid, twice",
        |s| {
            visit(s, "sticky/3", "Cookie: a=b; SRV=cb; c=d\r\n");
            visit(s, "sticky/3", "Cookie: a=b\r\nCookie: SRV=cb\r\n");
        },
        &[
            "sticky/s2 --VN 200 0 GET /sticky/3",
            "sticky/s2 --VN 200 0 GET /sticky/3",
        ],
    ),
    case(
        "values that nobody has",
        |s| {
            visit(s, "sticky/4", "Cookie: SRV=zz\r\n");
            visit(s, "sticky/4", "Cookie: SRV=\r\n");
        },
        &[
            "sticky/s1 --II 200 0 GET /sticky/4",
            "sticky/s2 --II 200 0 GET /sticky/4",
        ],
    ),
    case(
        "of a server in maintenance",
        |s| visit(s, "sticky/5", "Cookie: SRV=ce\r\n"),
        &["sticky/s1 --DI 200 0 GET /sticky/5"],
    ),
    case(
        "of a server that is down",
        |s| {
            ask(&s.socket, "set server sticky/s2 health down");
            visit(s, "sticky/6", "Cookie: SRV=cb\r\n");
            ask(&s.socket, "set server sticky/s2 health up");
        },
        &["sticky/s1 --DI 200 0 GET /sticky/6"],
    ),
    case(
        "of a server that drains",
        |s| {
            ask(&s.socket, "set server sticky/s2 state drain");
            visit(s, "sticky/7", "Cookie: SRV=cb\r\n");
            visit(s, "sticky/7", "");
            ask(&s.socket, "set server sticky/s2 state ready");
        },
        &[
            "sticky/s2 --VN 200 0 GET /sticky/7",
            "sticky/s1 --NI 200 0 GET /sticky/7",
        ],
    ),
    case(
        "of a server without a weight",
        |s| visit(s, "sticky/8", "Cookie: SRV=cd\r\n"),
        &["sticky/s3 --VN 200 0 GET /sticky/8"],
    ),
    case(
        "of a backup",
        |s| visit(s, "sticky/9", "Cookie: SRV=cf\r\n"),
        &["sticky/s5 --VN 200 0 GET /sticky/9"],
    ),
    case(
        "of a server that refuses",
        |s| visit(s, "moved/1", "Cookie: SRV=ca\r\n"),
        &["moved/s2 --DI 200 +1 GET /moved/1"],
    ),
    case(
        "a server that sets it, too",
        |s| {
            visit(s, "given/1", "");
            visit(s, "given/2", "Cookie: SRV=ca\r\n");
        },
        &[
            "given/s1 --NI 200 0 GET /given/1",
            "given/s1 --VD 200 0 GET /given/2",
        ],
    ),
    case(
        "and is left to",
        |s| {
            visit(s, "kept/1", "");
            visit(s, "kept/2", "Cookie: SRV=ca\r\n");
        },
        &[
            "kept/s1 --NP 200 0 GET /kept/1",
            "kept/s1 --VP 200 0 GET /kept/2",
        ],
    ),
    case(
        "nobody is left",
        |s| {
            visit(s, "stuck/1", "");
            visit(s, "stuck/2", "Cookie: SRV=ca\r\n");
        },
        &[
            "stuck/<NOSRV> SCNN 503 0 GET /stuck/1",
            "stuck/<NOSRV> SCDN 503 0 GET /stuck/2",
        ],
    ),
    case(
        "dates",
        |s| {
            visit(s, "idle/1", "Cookie: SRV=ca\r\n");
            visit(s, "idle/2", "Cookie: SRV=ca|ZVPxA|ZVPxA\r\n");
            visit(s, "idle/3", "Cookie: SRV=ca|ZVPxA\r\n");
            visit(s, "aged/1", "Cookie: SRV=ca|ZVPxA|ZVPxA\r\n");
            visit(s, "sticky/11", "Cookie: SRV=ca|ZVPxA|ZVPxA\r\n");
        },
        &[
            "idle/s1 --VU 200 0 GET /idle/1",
            "idle/s1 --OI 200 0 GET /idle/2",
            "idle/s1 --EI 200 0 GET /idle/3",
            "aged/s1 --OI 200 0 GET /aged/1",
            "sticky/s1 --VU 200 0 GET /sticky/11",
        ],
    ),
    case(
        "a client whose server has no place",
        |s| {
            let mut first = RawClient::connect(s.www);
            super::acts::until_unanswered(s, || {
                first.send(request("lined/1", "Cookie: SRV=ca\r\n"));
            });
            visit(s, "lined/2", "Cookie: SRV=ca\r\n");
            visit(s, "lined/3", "Cookie: SRV=cb\r\n");
            first.read_end();
        },
        &[
            "lined/s1 sQVN 503 0 GET /lined/2 queue 1/0",
            "lined/s2 --VN 200 0 GET /lined/3",
            "lined/s1 sHVN 504 0 GET /lined/1",
        ],
    ),
];

fn visit(side: &Side, path: &str, lines: &str) {
    raw(side, &request(path, lines));
}

fn request(path: &str, lines: &str) -> String {
    format!("GET /{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{lines}\r\n")
}
