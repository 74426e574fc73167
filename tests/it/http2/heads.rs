//! Heads: what is refused (RFC 9113 8.2, 8.3), and what becomes of the rest.

use super::client::{Client, field, request};
use super::raw::*;
use super::{Raw, h2_to_h2, h2c};
use crate::support::{Origin, wait_until};

use std::time::Duration;

const PROTOCOL: u32 = 1;
/// The first byte of a head that says `:status: 400` (RFC 7541 Appendix A).
const BAD_REQUEST: u8 = 0x8c;

#[test]
fn malformed_heads_are_refused_and_never_sent_on() {
    let origin = Origin::ok("hello");
    let lb = h2c(origin.addr(), "");
    let usual = [
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/"),
        (":authority", "test"),
    ];
    let with = |more: &[(&'static str, &'static str)]| [&usual, more].concat();
    let without = |name: &str| {
        usual
            .iter()
            .filter(|(n, _)| *n != name)
            .copied()
            .collect::<Vec<_>>()
    };
    let instead = |name: &str, value: &'static str| {
        let pairs = usual.iter();
        pairs
            .map(|(n, v)| (*n, if *n == name { value } else { *v }))
            .collect::<Vec<_>>()
    };
    let cases = [
        ("no method", without(":method")),
        ("no scheme", without(":scheme")),
        ("no path", without(":path")),
        ("no host", without(":authority")),
        ("an empty path", instead(":path", "")),
        ("a path without a slash", instead(":path", "a")),
        ("an absolute path", instead(":path", "http://test/")),
        ("a star that is not of OPTIONS", instead(":path", "*")),
        ("a space in the path", instead(":path", "/a b")),
        ("a control in the path", instead(":path", "/\u{7f}")),
        ("no token of a method", instead(":method", "GE T")),
        ("CONNECT", instead(":method", "CONNECT")),
        ("TRACE", instead(":method", "TRACE")),
        ("two methods", with(&[(":method", "GET")])),
        ("two paths", with(&[(":path", "/")])),
        ("a status", with(&[(":status", "200")])),
        ("an unknown pseudo-field", with(&[(":extra", "1")])),
        (
            "extended CONNECT for what nobody speaks",
            [
                vec![(":protocol", "connect-udp")],
                instead(":method", "CONNECT"),
            ]
            .concat(),
        ),
        (
            "a protocol without CONNECT",
            [vec![(":protocol", "websocket")], usual.to_vec()].concat(),
        ),
        (
            "a WebSocket to nowhere",
            [
                vec![(":protocol", "websocket"), (":method", "CONNECT")],
                vec![(":scheme", "http"), (":authority", "test")],
            ]
            .concat(),
        ),
        (
            "a pseudo-field behind others",
            [vec![("a", "b")], usual.to_vec()].concat(),
        ),
        ("upper case", with(&[("X-Upper", "1")])),
        ("an empty name", with(&[("", "1")])),
        ("no token of a name", with(&[("a b", "1")])),
        ("a colon in a name", with(&[("a:b", "1")])),
        ("CR LF in a value", with(&[("a", "b\r\nc: d")])),
        ("NUL in a value", with(&[("a", "b\0c")])),
        ("a space before a value", with(&[("a", " b")])),
        ("a tab behind a value", with(&[("a", "b\t")])),
        ("connection", with(&[("connection", "close")])),
        ("keep-alive", with(&[("keep-alive", "1")])),
        ("proxy-connection", with(&[("proxy-connection", "close")])),
        (
            "transfer-encoding",
            with(&[("transfer-encoding", "chunked")]),
        ),
        ("upgrade", with(&[("upgrade", "h2c")])),
        ("te of more than trailers", with(&[("te", "gzip")])),
        ("another host than authority", with(&[("host", "other")])),
        ("two hosts", with(&[("host", "test"), ("host", "test")])),
        ("user and password", instead(":authority", "a:b@test")),
        ("no authority", instead(":authority", "te st")),
        ("a list of lengths", with(&[("content-length", "0, 0")])),
        ("a length that is none", with(&[("content-length", "+0")])),
        ("a length and no DATA", with(&[("content-length", "5")])),
        ("an expectation", with(&[("expect", "wonders")])),
    ];
    let mut wrong = Vec::new();
    for (name, fields) in cases {
        let mut raw = Raw::connect(lb.addr());
        raw.send(HEADERS, END_HEADERS | END_STREAM, 1, &block(&fields));
        match raw.verdict() {
            Verdict::Reset(1, PROTOCOL) => {}
            // Statuses with an index, or 0x08: "with this name, a value follows".
            Verdict::Answer(1, BAD_REQUEST | 0x48 | 0x08) => {}
            // Worse than a stream's error, to the library: whoever writes such heads is no client.
            Verdict::GoAway(PROTOCOL) => continue,
            other => wrong.push(format!("{name}: {other:?}")),
        }
        if !raw.is_alive() {
            wrong.push(format!("{name}: the connection ended"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(origin.requests().len(), 0);
}

#[test]
fn lengths_that_are_not_those_of_the_data_are_refused() {
    let origin = Origin::ok("hello");
    let lb = h2c(origin.addr(), "");
    let post = |length| head("POST", &[("content-length", length)]);
    for (length, pieces) in [("5", &[6][..]), ("5", &[4]), ("5", &[3, 3]), ("0", &[1])] {
        let mut raw = Raw::connect(lb.addr());
        raw.send(HEADERS, END_HEADERS, 1, &post(length));
        for (index, piece) in pieces.iter().enumerate() {
            let flags = if index + 1 == pieces.len() {
                END_STREAM
            } else {
                0
            };
            raw.send(DATA, flags, 1, &vec![b'x'; *piece]);
        }
        assert_eq!(
            raw.verdict(),
            Verdict::Reset(1, PROTOCOL),
            "{length} {pieces:?}"
        );
    }
    // With less than was said the server never saw an end.
    assert_eq!(origin.requests().len(), 0);
}

#[test]
fn trailers_end_the_stream_and_have_no_pseudo_fields() {
    let origin = Origin::ok("hello");
    let lb = h2c(origin.addr(), "");
    let send = |flags, fields: &[(&str, &str)]| {
        let mut raw = Raw::connect(lb.addr());
        raw.send(HEADERS, END_HEADERS, 1, &head("POST", &[]));
        raw.send(DATA, 0, 1, b"x");
        raw.send(HEADERS, END_HEADERS | flags, 1, &block(fields));
        raw
    };
    for (flags, fields) in [(0, &[("a", "b")]), (END_STREAM, &[("A", "b")])] {
        let verdict = send(flags, fields).verdict();
        let refused = [Verdict::Reset(1, PROTOCOL), Verdict::GoAway(PROTOCOL)];
        assert!(refused.contains(&verdict), "{fields:?}: {verdict:?}");
    }
    assert_eq!(origin.requests().len(), 0);
    // The library forgets them, which is as good: nobody behind us sees them.
    assert_eq!(send(END_STREAM, &[(":path", "/")]).body(1), b"hello");
    assert_eq!(origin.requests()[0].body, b"1\r\nx\r\n0\r\n\r\n");
}

#[test]
fn a_server_is_told_what_it_is_told_by_http1_clients() {
    let origin = Origin::ok("hello");
    let lb = h2c(
        origin.addr(),
        "forwarded = { via = \"lb\", rfc7239 = true }",
    );
    let asked = ["a", "b"]
        .into_iter()
        .fold(request("GET", "/x?y=1"), |request, crumb| {
            field(request, "cookie", crumb)
        });
    let asked = field(asked, "x-forwarded-for", "192.0.2.1");
    let asked = field(asked, "x-forwarded-proto", "https");
    let asked = field(asked, "x_forwarded_host", "evil");
    let asked = field(asked, "te", "trailers");
    let mut client = Client::connect(lb.addr());
    let answer = client.ask(asked, None).unwrap();
    assert_eq!(
        (answer.head.status().as_u16(), &answer.body[..]),
        (200, &b"hello"[..])
    );
    assert_eq!(answer.head.headers()["via"], "1.1 lb");
    let head = &origin.requests()[0].head;
    assert_eq!(head.first_line(), "GET /x?y=1 HTTP/1.1");
    let port = lb.addr().port().to_string();
    for (name, value) in [
        ("host", Some("test")),
        ("cookie", Some("a; b")),
        ("x-forwarded-for", Some("192.0.2.1, 127.0.0.1")),
        ("x-forwarded-proto", Some("http")),
        ("x-forwarded-host", Some("test")),
        ("x-forwarded-port", Some(port.as_str())),
        ("x_forwarded_host", None),
        ("forwarded", Some("for=127.0.0.1;host=\"test\";proto=http")),
        ("via", Some("2 lb")),
        ("te", Some("trailers")),
        ("connection", Some("TE")),
        ("transfer-encoding", None),
        ("content-length", None),
    ] {
        assert_eq!(head.field(name), value, "{name}: {}", head.0);
    }
    assert_eq!(head.fields("cookie").len(), 1);
}

#[test]
fn an_http2_server_is_told_the_same() {
    let origin = Origin::ok("hello");
    // Two of them, one behind the other: the second shows what the first sent.
    let last = h2c(origin.addr(), "forwarded = { trusted = \"127.0.0.1\" }");
    let first = h2_to_h2(last.addr(), "forwarded = { via = \"lb\" }");
    let asked = field(request("GET", "/x?y=1"), "cookie", "a");
    let asked = field(asked, "te", "trailers");
    let answer = Client::connect(first.addr()).ask(asked, None).unwrap();
    assert_eq!(
        (answer.head.status().as_u16(), &answer.body[..]),
        (200, &b"hello"[..])
    );
    assert_eq!(answer.head.headers()["via"], "2 lb");
    let head = &origin.requests()[0].head;
    let port = first.addr().port().to_string();
    for (name, value) in [
        ("host", Some("test")),
        ("cookie", Some("a")),
        ("x-forwarded-host", Some("test")),
        ("x-forwarded-port", Some(port.as_str())),
        ("x-forwarded-for", Some("127.0.0.1, 127.0.0.1")),
        ("via", Some("2 lb")),
        ("te", Some("trailers")),
    ] {
        assert_eq!(head.field(name), value, "{name}: {}", head.0);
    }
}

#[test]
fn routes_look_at_authority_and_path() {
    let (web, api) = (Origin::ok("web"), Origin::ok("api"));
    let lb = crate::support::Lb::start(&format!(
        "[[frontend]]\nname = \"f\"\nbind = {{ address = \"127.0.0.1:0\", protocol = \"h2\" }}\n\
         default_backend = \"web\"\n\
         [[frontend.route]]\nhost = \"test\"\npath_prefix = \"/api\"\nheader = \"x-beta\"\nbackend = \"api\"\n\
         [[backend]]\nname = \"web\"\nserver = \"{}\"\n[[backend]]\nname = \"api\"\nserver = \"{}\"\n",
        web.addr(),
        api.addr()
    ));
    let mut client = Client::connect(lb.addr());
    let beta = |path| field(request("GET", path), "x-beta", "1");
    assert_eq!(&client.ask(beta("/api/1"), None).unwrap().body[..], b"api");
    assert_eq!(&client.ask(beta("/"), None).unwrap().body[..], b"web");
    assert_eq!(&client.get("/api/1").body[..], b"web");
}

#[test]
fn limits_of_heads_hold() {
    let origin = Origin::ok("hello");
    let limits = "limits = { head = \"4KiB\", headers = 10, uri = \"100B\" }";
    let lb = h2c(origin.addr(), limits);
    let mut client = Client::connect(lb.addr());
    let many = (0..11).fold(request("GET", "/"), |request, _| field(request, "a", "b"));
    assert_eq!(client.ask(many, None).unwrap().head.status(), 431);
    let long = format!("/{}", "x".repeat(100));
    assert_eq!(client.get(&long).head.status(), 414);
    assert_eq!(client.get("/").head.status(), 200);
    // Decoded, not as it came: one byte names a field of 3 KB each time.
    let mut bomb = head("GET", &[]);
    bomb.extend([0x40, 1, b'x', 0x7f, 0xb9, 0x16]);
    bomb.extend([b'v'; 3000]);
    bomb.extend([0xbe; 4000]);
    let mut raw = Raw::connect(lb.addr());
    raw.send(HEADERS, END_HEADERS | END_STREAM, 1, &bomb);
    let verdict = raw.verdict();
    let told = matches!(
        verdict,
        Verdict::GoAway(_) | Verdict::Reset(1, _) | Verdict::Answer(1, _)
    );
    assert!(told, "{verdict:?}");
    wait_until(Duration::from_secs(5), "none of them came through", || {
        origin.requests().len() == 1
    });
}

#[test]
fn http1_clients_of_the_same_bind_are_served_too() {
    let origin = Origin::ok("hello");
    let lb = h2c(origin.addr(), "");
    let mut client = lb.client();
    let (head, body) = client
        .send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        .read_response();
    assert_eq!((head.status(), &body[..]), (200, &b"hello"[..]));
    let lb = h2_to_h2(lb.addr(), "");
    let mut client = lb.client();
    let (head, _) = client
        .send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        .read_response();
    assert_eq!(head.status(), 200);
}
