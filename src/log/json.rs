//! A record as one JSON object with named fields. Durations are milliseconds with
//! three decimals, null where a stage was never reached.

use super::record::{Kind, Record};
use super::text::{json_escaped, number, padded};
use super::time::Clock;

/// One object without the line's end.
pub(super) fn line(out: &mut Vec<u8>, record: &Record<'_>, clock: &Clock, uri_max: usize) {
    let facts = &record.facts;
    out.extend_from_slice(b"{\"time\":\"");
    clock.rfc3339(out, facts.began_us);
    let kind: &[u8] = match facts.kind {
        Kind::Http => b"\",\"kind\":\"http\"",
        Kind::Tcp => b"\",\"kind\":\"tcp\"",
    };
    out.extend_from_slice(kind);
    text(out, "client_ip", facts.ip.to_string().as_bytes());
    count(out, "client_port", u64::from(facts.port));
    text(out, "frontend", record.frontend.as_bytes());
    name(out, "backend", record.backend);
    name(out, "server", record.server);
    flag(out, "tls", facts.tls);
    if facts.kind == Kind::Http {
        request(out, &record.line[..record.line.len().min(uri_max)]);
        match facts.status {
            0 => null(out, "status"),
            status => count(out, "status", u64::from(status)),
        }
        millis(out, "request_ms", facts.request);
    } else {
        match record.line {
            b"" => null(out, "sni"),
            name => text(out, "sni", name),
        }
    }
    millis(out, "queue_ms", facts.queue);
    millis(out, "connect_ms", facts.connect);
    if facts.kind == Kind::Http {
        millis(out, "response_ms", facts.response);
        flag(out, "reused", facts.reused);
    }
    millis(out, "total_ms", facts.total);
    count(out, "bytes_in", facts.bytes_in);
    count(out, "bytes_out", facts.bytes_out);
    text(out, "end", &facts.end);
    if facts.kind == Kind::Http {
        match facts.cookies {
            None => null(out, "cookie"),
            Some(letters) => text(out, "cookie", &letters),
        }
    }
    count(out, "retries", u64::from(facts.retries));
    flag(out, "redispatched", facts.redispatched);
    // In one line or the other: seldom in both.
    let queued = u64::from(facts.queued) + u64::from(facts.queued_own);
    count(out, "queued", queued);
    count(out, "actconn", u64::from(facts.actconn));
    count(out, "feconn", u64::from(facts.feconn));
    count(out, "beconn", u64::from(facts.beconn));
    count(out, "srvconn", u64::from(facts.srvconn));
    out.push(b'}');
}

/// The line in its three parts; null where it could not be read.
fn request(out: &mut Vec<u8>, line: &[u8]) {
    let mut parts = line.splitn(3, |b| *b == b' ');
    for part in ["method", "uri", "version"] {
        match parts.next() {
            Some(b"") | None => null(out, part),
            Some(bytes) => text(out, part, bytes),
        }
    }
}

fn key(out: &mut Vec<u8>, key: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":");
}

fn text(out: &mut Vec<u8>, name: &str, bytes: &[u8]) {
    key(out, name);
    out.push(b'"');
    json_escaped(out, bytes);
    out.push(b'"');
}

fn name(out: &mut Vec<u8>, key: &str, name: &str) {
    match name {
        "" => null(out, key),
        name => text(out, key, name.as_bytes()),
    }
}

fn null(out: &mut Vec<u8>, name: &str) {
    key(out, name);
    out.extend_from_slice(b"null");
}

fn count(out: &mut Vec<u8>, name: &str, count: u64) {
    key(out, name);
    number(out, count);
}

fn flag(out: &mut Vec<u8>, name: &str, flag: bool) {
    key(out, name);
    out.extend_from_slice(if flag { b"true" } else { b"false" });
}

fn millis(out: &mut Vec<u8>, name: &str, micros: i64) {
    let Ok(micros) = u64::try_from(micros) else {
        return null(out, name);
    };
    key(out, name);
    number(out, micros / 1000);
    out.push(b'.');
    padded(out, micros % 1000, 3);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::record::NEVER;
    use crate::log::record::testing::facts;

    fn object(record: &Record<'_>) -> serde_json::Value {
        let mut out = Vec::new();
        line(&mut out, record, &Clock::new(), 1024);
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn a_request_has_named_fields() {
        let mut facts = facts();
        facts.queue = NEVER;
        let object = object(&Record {
            facts,
            frontend: "www",
            backend: "web",
            server: "",
            line: b"GET /a\"b HTTP/1.1",
        });
        let expected = serde_json::json!({
            "time": object["time"], "kind": "http",
            "client_ip": "127.0.0.1", "client_port": 59838,
            "frontend": "www", "backend": "web", "server": null, "tls": false,
            "method": "GET", "uri": "/a\"b", "version": "HTTP/1.1", "status": 200,
            "request_ms": 0.0, "queue_ms": null, "connect_ms": 0.4, "response_ms": 1.9,
            "total_ms": 2.5, "reused": false, "bytes_in": 80, "bytes_out": 262,
            "end": "--", "cookie": null, "retries": 0, "redispatched": false, "queued": 0,
            "actconn": 1, "feconn": 1, "beconn": 0, "srvconn": 0,
        });
        assert_eq!(object, expected);
    }

    #[test]
    fn a_bad_request_has_no_parts() {
        let object = object(&Record {
            facts: facts(),
            frontend: "www",
            backend: "",
            server: "",
            line: b"",
        });
        assert!(
            ["method", "uri", "version", "backend"]
                .iter()
                .all(|k| object[k].is_null())
        );
    }
}
