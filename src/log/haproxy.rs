//! HAProxy's lines: httplog and tcplog (configuration manual 8.2.2, 8.2.3).

use super::record::{Facts, Kind, Record};
use super::text::{haproxy_escaped, number};
use super::time::Clock;

/// One line without its end.
pub(super) fn line(out: &mut Vec<u8>, record: &Record<'_>, clock: &mut Clock, uri_max: usize) {
    let facts = &record.facts;
    address(out, facts);
    out.extend_from_slice(b" [");
    clock.haproxy(out, facts.began_us);
    out.extend_from_slice(b"] ");
    out.extend_from_slice(record.frontend.as_bytes());
    out.extend_from_slice(if facts.tls { b"~ " } else { b" " });
    // Who found no backend is still with the frontend's.
    let backend = match record.backend {
        "" => record.frontend,
        backend => backend,
    };
    out.extend_from_slice(backend.as_bytes());
    out.push(b'/');
    out.extend_from_slice(match record.server {
        "" => b"<NOSRV>",
        server => server.as_bytes(),
    });
    out.push(b' ');
    match facts.kind {
        Kind::Http => http(out, facts),
        Kind::Tcp => tcp(out, facts),
    }
    for conns in [facts.actconn, facts.feconn, facts.beconn, facts.srvconn] {
        number(out, u64::from(conns));
        out.push(b'/');
    }
    if facts.redispatched {
        out.push(b'+');
    }
    number(out, u64::from(facts.retries));
    out.push(b' ');
    number(out, u64::from(facts.queued_own));
    out.push(b'/');
    number(out, u64::from(facts.queued));
    if facts.kind == Kind::Http {
        out.extend_from_slice(b" \"");
        match record.line {
            b"" => out.extend_from_slice(b"<BADREQ>"),
            line => haproxy_escaped(out, &line[..line.len().min(uri_max)]),
        }
        out.push(b'"');
    }
}

fn http(out: &mut Vec<u8>, facts: &Facts) {
    let stages = [facts.request, facts.queue, facts.connect, facts.response];
    for stage in stages {
        millis(out, stage);
        out.push(b'/');
    }
    millis(out, facts.total);
    out.push(b' ');
    match facts.status {
        0 => out.extend_from_slice(b"-1"),
        status => number(out, u64::from(status)),
    }
    out.push(b' ');
    number(out, facts.bytes_out);
    // No cookies are captured.
    out.extend_from_slice(b" - - ");
    out.extend_from_slice(&facts.end);
    out.extend_from_slice(&facts.cookies.unwrap_or(*b"--"));
    out.push(b' ');
}

fn tcp(out: &mut Vec<u8>, facts: &Facts) {
    for stage in [facts.queue, facts.connect] {
        millis(out, stage);
        out.push(b'/');
    }
    millis(out, facts.total);
    out.push(b' ');
    number(out, facts.bytes_out);
    out.push(b' ');
    out.extend_from_slice(&facts.end);
    out.push(b' ');
}

/// A stage that was never reached is -1.
fn millis(out: &mut Vec<u8>, micros: i64) {
    match u64::try_from(micros) {
        Ok(micros) => number(out, micros / 1000),
        Err(_) => out.extend_from_slice(b"-1"),
    }
}

fn address(out: &mut Vec<u8>, facts: &Facts) {
    match facts.ip {
        std::net::IpAddr::V4(ip) => {
            for (index, octet) in ip.octets().into_iter().enumerate() {
                if index > 0 {
                    out.push(b'.');
                }
                number(out, u64::from(octet));
            }
        }
        // Without brackets, as HAProxy writes them.
        std::net::IpAddr::V6(ip) => out.extend_from_slice(ip.to_string().as_bytes()),
    }
    out.push(b':');
    number(out, u64::from(facts.port));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::record::NEVER;
    use crate::log::record::testing::facts;

    /// Without the date.
    fn written(facts: Facts, names: [&str; 3], request: &[u8]) -> String {
        let [frontend, backend, server] = names;
        let record = Record {
            facts,
            frontend,
            backend,
            server,
            line: request,
        };
        let mut out = Vec::new();
        line(&mut out, &record, &mut Clock::new(), 1024);
        let text = String::from_utf8(out).unwrap();
        let (before, rest) = text.split_once(" [").unwrap();
        format!("{before} {}", rest.split_once("] ").unwrap().1)
    }

    #[test]
    fn a_request_is_an_httplog_line() {
        assert_eq!(
            written(facts(), ["www", "web", "s2"], b"GET /x1 HTTP/1.1"),
            "127.0.0.1:59838 www web/s2 0/0/0/1/2 200 262 - - ---- 1/1/0/0/0 0/0 \"GET /x1 HTTP/1.1\""
        );
    }

    #[test]
    fn what_was_never_reached_says_so() {
        let mut refused = facts();
        (refused.request, refused.queue, refused.connect) = (NEVER, NEVER, NEVER);
        (refused.response, refused.status) = (NEVER, 400);
        refused.end = *b"PR";
        assert_eq!(
            written(refused, ["www", "", ""], b""),
            "127.0.0.1:59838 www www/<NOSRV> -1/-1/-1/-1/2 400 262 - - PR-- 1/1/0/0/0 0/0 \"<BADREQ>\""
        );
        refused.status = 0;
        refused.redispatched = true;
        refused.retries = 2;
        assert_eq!(
            written(refused, ["www", "web", ""], b"GET / HTTP/1.1"),
            "127.0.0.1:59838 www web/<NOSRV> -1/-1/-1/-1/2 -1 262 - - PR-- 1/1/0/0/+2 0/0 \"GET / HTTP/1.1\""
        );
    }

    #[test]
    fn a_session_is_a_tcplog_line() {
        let mut session = facts();
        session.kind = Kind::Tcp;
        session.ip = "2001:db8::1".parse().unwrap();
        session.tls = true;
        assert_eq!(
            written(session, ["tcpfe", "tcpbk", "t1"], b""),
            "2001:db8::1:59838 tcpfe~ tcpbk/t1 0/0/2 262 -- 1/1/0/0/0 0/0"
        );
    }

    #[test]
    fn a_long_request_line_is_cut() {
        let record = Record {
            facts: facts(),
            frontend: "f",
            backend: "b",
            server: "s",
            line: &[b'x'; 2000],
        };
        let mut out = Vec::new();
        line(&mut out, &record, &mut Clock::new(), 100);
        assert_eq!(out.iter().filter(|b| **b == b'x').count(), 100);
    }
}
