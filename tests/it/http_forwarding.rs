//! What reaches the server, and which server: fields set, kept and removed, routes
//! (HTTP.md section 4; issue 2 items 5 and 8).

use std::net::{SocketAddr, TcpStream};

use socket2::{Domain, Socket, Type};

use crate::support::{Head, Lb, Origin, RawClient, free_addr};

/// What the server sees of this request.
#[track_caller]
fn seen(lb: &Lb, origin: &Origin, request: &str) -> Head {
    assert_eq!(lb.client().send(request).read_response().0.status(), 200);
    origin.requests().pop().expect("a request").head
}

const FORGED: &str = "GET / HTTP/1.1\r\nHost: test:8080\r\n\
    X-Forwarded-For: 6.6.6.6\r\nx-forwarded-for: 7.7.7.7\r\n\
    X-Forwarded-Proto: https\r\nX-Forwarded-Proto: evil\r\n\
    X-Forwarded-Port: 666\r\nX-FORWARDED-HOST: evil\r\nForwarded: for=6.6.6.6\r\n\
    X-Forwarded_For: 6.6.6.6\r\n\r\n";

#[test]
fn an_untrusted_client_cannot_forge_where_it_comes_from() {
    let origin = Origin::ok("hello");
    let lb = Lb::before(origin.addr());
    let head = seen(&lb, &origin, FORGED);
    assert_eq!(
        head.fields("x-forwarded-for"),
        ["6.6.6.6, 7.7.7.7, 127.0.0.1"]
    );
    assert_eq!(head.fields("x-forwarded-proto"), ["http"]);
    assert_eq!(
        head.fields("x-forwarded-port"),
        [lb.addr().port().to_string()]
    );
    assert_eq!(head.fields("x-forwarded-host"), ["test:8080"]);
    assert_eq!(head.fields("forwarded"), Vec::<&str>::new());
    // Its twin with an underscore could shadow it behind CGI (HTTP.md 1.14).
    assert_eq!(head.fields("x-forwarded_for"), Vec::<&str>::new());
}

#[test]
fn a_trusted_proxy_is_believed_and_added_to() {
    let origin = Origin::ok("hello");
    let lb = Lb::with(
        origin.addr(),
        "forwarded = { trusted = [\"10.0.0.0/8\", \"127.0.0.0/8\"] }",
    );
    let head = seen(&lb, &origin, FORGED);
    assert_eq!(
        head.fields("x-forwarded-for"),
        ["6.6.6.6, 7.7.7.7, 127.0.0.1"]
    );
    assert_eq!(head.fields("x-forwarded-proto"), ["https", "evil"]);
    assert_eq!(head.fields("x-forwarded-port"), ["666"]);
    assert_eq!(head.fields("x-forwarded-host"), ["evil"]);
    assert_eq!(head.fields("forwarded"), ["for=6.6.6.6"]);
    // Only what is missing is set.
    let head = seen(
        &lb,
        &origin,
        "GET / HTTP/1.1\r\nHost: test\r\nX-Forwarded-Proto: https\r\n\r\n",
    );
    assert_eq!(head.fields("x-forwarded-proto"), ["https"]);
    assert_eq!(head.fields("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(head.fields("x-forwarded-host"), ["test"]);
}

#[test]
fn trust_is_a_matter_of_the_clients_address() {
    let origin = Origin::ok("hello");
    let lb = Lb::with(origin.addr(), "forwarded = { trusted = \"127.0.0.2/32\" }");
    for (from, proto) in [
        ("127.0.0.1", "http"),
        ("127.0.0.2", "https"),
        ("127.0.0.3", "http"),
    ] {
        let request = "GET / HTTP/1.1\r\nHost: test\r\nX-Forwarded-Proto: https\r\n\r\n";
        client_from(from, lb.addr()).send(request).read_response();
        let head = origin.requests().pop().unwrap().head;
        assert_eq!(head.fields("x-forwarded-proto"), [proto], "{from}");
        assert_eq!(head.fields("x-forwarded-for"), [from]);
    }
}

fn client_from(address: &str, to: SocketAddr) -> RawClient {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let from: SocketAddr = format!("{address}:0").parse().unwrap();
    socket.bind(&from.into()).unwrap();
    socket.connect(&to.into()).unwrap();
    RawClient::over(TcpStream::from(socket))
}

#[test]
fn what_is_set_is_a_matter_of_settings() {
    let origin = Origin::ok("hello");
    let lb = Lb::with(
        origin.addr(),
        "forwarded = { for = \"replace\", proto = false, port = 8443, host = false }",
    );
    let head = seen(&lb, &origin, FORGED);
    assert_eq!(head.fields("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(head.fields("x-forwarded-proto"), Vec::<&str>::new());
    assert_eq!(head.fields("x-forwarded-port"), ["8443"]);
    assert_eq!(head.fields("x-forwarded-host"), Vec::<&str>::new());

    let lb = Lb::with(origin.addr(), "forwarded = { for = \"off\", port = false }");
    let head = seen(&lb, &origin, FORGED);
    assert_eq!(head.fields("x-forwarded-for"), ["6.6.6.6", "7.7.7.7"]);
    assert_eq!(head.fields("x-forwarded-port"), Vec::<&str>::new());
}

#[test]
fn forwarded_via_and_request_id_are_set_when_asked_for() {
    let origin = Origin::ok("hello");
    let keys = "forwarded = { rfc7239 = true, via = \"lb1\", request_id = \"X-Request-Id\" }";
    let lb = Lb::with(origin.addr(), keys);
    let mut ids = Vec::new();
    for _ in 0..3 {
        let head = seen(
            &lb,
            &origin,
            "GET / HTTP/1.0\r\nHost: test\r\nVia: 1.1 a\r\nX-Request-ID: forged\r\nForwarded: for=x\r\n\r\n",
        );
        assert_eq!(head.fields("via"), ["1.1 a", "1.0 lb1"]);
        assert_eq!(
            head.fields("forwarded"),
            ["for=127.0.0.1;host=\"test\";proto=http"]
        );
        let id = head.fields("x-request-id");
        assert_eq!((id.len(), id[0].len()), (1, 32), "{id:?}");
        ids.push(id[0].to_owned());
    }
    ids.dedup();
    assert_eq!(ids.len(), 3);
    // The answer names us, too (9110 7.6.3).
    let (head, _) = lb
        .client()
        .send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        .read_response();
    assert_eq!(head.fields("via"), ["1.1 lb1"]);
    // A trusted proxy's id is kept.
    let lb = Lb::with(
        origin.addr(),
        "forwarded = { trusted = \"127.0.0.1/32\", request_id = \"X-Request-Id\" }",
    );
    let head = seen(
        &lb,
        &origin,
        "GET / HTTP/1.1\r\nHost: test\r\nX-Request-ID: theirs\r\n\r\n",
    );
    assert_eq!(head.fields("x-request-id"), ["theirs"]);
}

#[test]
fn hop_by_hop_fields_end_here() {
    // 9110 7.6.1, both directions.
    let origin = Origin::answering(|_| {
        crate::support::Answer::Keep(
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: x-hop, Keep-Alive\r\nConnection: date\r\n\
              Keep-Alive: timeout=5\r\nX-Hop: 1\r\nX-End: 1\r\nProxy-Connection: x\r\nUpgrade: h2\r\n\
              Set-Cookie: a\r\nSet-Cookie: b\r\n\r\nok"
                .to_vec(),
        )
    });
    let lb = Lb::before(origin.addr());
    let mut client = lb.client();
    let (head, _) = client
        .send(
            "GET / HTTP/1.1\r\nHost: test\r\nConnection: X-Hop, host, x-forwarded-for\r\n\
             connection: keep-alive\r\nConnection: content-length\r\n\
             X-HOP: 1\r\nx-hop: 2\r\nX-Hopper: 3\r\nKeep-Alive: 5\r\nProxy-Connection: keep-alive\r\n\
             TE: gzip\r\nCookie: c\r\nContent-Length: 0\r\n\r\n",
        )
        .read_response();
    for removed in [
        "x-hop",
        "keep-alive",
        "proxy-connection",
        "upgrade",
        "connection",
    ] {
        assert_eq!(head.fields(removed), Vec::<&str>::new(), "{removed}");
    }
    assert_eq!(head.fields("x-end"), ["1"]);
    assert_eq!(head.fields("set-cookie"), ["a", "b"]);
    assert_eq!(head.fields("date").len(), 1);
    let seen = origin.requests().pop().unwrap().head;
    for removed in [
        "x-hop",
        "keep-alive",
        "proxy-connection",
        "te",
        "connection",
    ] {
        assert_eq!(seen.fields(removed), Vec::<&str>::new(), "{removed}");
    }
    // What we need or set ourselves is never removed (CVE-2026-26365).
    assert_eq!(seen.fields("host"), ["test"]);
    assert_eq!(seen.fields("x-hopper"), ["3"]);
    assert_eq!(seen.fields("cookie"), ["c"]);
    assert_eq!(seen.fields("content-length"), ["0"]);
    assert_eq!(seen.fields("x-forwarded-for").len(), 1);
}

#[test]
fn targets_and_unknown_methods_pass_byte_for_byte() {
    let origin = Origin::ok("hello");
    let lb = Lb::before(origin.addr());
    for (line, sent_on, host) in [
        (
            "GET /a/../b//%2e?x=%zz&y",
            "GET /a/../b//%2e?x=%zz&y",
            "test",
        ),
        ("get /", "get /", "test"),
        ("PURGE /x", "PURGE /x", "test"),
        ("GET http://other:81/p", "GET /p", "other:81"),
        ("GET http://other", "GET /", "other"),
        ("OPTIONS *", "OPTIONS *", "test"),
        ("OPTIONS http://other", "OPTIONS *", "other"),
    ] {
        let head = seen(
            &lb,
            &origin,
            &format!("{line} HTTP/1.1\r\nHost: test\r\n\r\n"),
        );
        assert_eq!(head.first_line(), format!("{sent_on} HTTP/1.1"));
        assert_eq!(head.fields("host"), [host]);
    }
}

#[test]
fn a_target_of_another_scheme_is_misdirected() {
    // 9110 7.4.
    let origin = Origin::ok("hello");
    let lb = Lb::before(origin.addr());
    let mut client = lb.client();
    client.send("GET https://test/ HTTP/1.1\r\nHost: test\r\n\r\n");
    let (head, _) = client.read_response();
    assert_eq!(
        (head.status(), head.field("connection")),
        (421, Some("close"))
    );
    assert!(origin.requests().is_empty());
}

#[test]
fn a_refused_request_takes_no_servers_turn() {
    let origins = [Origin::ok("0"), Origin::ok("1")];
    let lb = Lb::start(&format!(
        "[[listen]]\nname = \"web\"\nbind = \"127.0.0.1:0\"\nserver = [\"{}\", \"{}\"]\n",
        origins[0].addr(),
        origins[1].addr()
    ));
    for _ in 0..10 {
        lb.client()
            .send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
            .read_response();
        lb.client()
            .send("GET https://test/ HTTP/1.1\r\nHost: test\r\n\r\n")
            .read_response();
    }
    assert_eq!(origins.map(|origin| origin.requests().len()), [5, 5]);
}

#[test]
fn max_forwards_is_counted_down_and_answered_at_zero() {
    // 9110 7.6.2.
    let origin = Origin::ok("hello");
    let lb = Lb::before(origin.addr());
    let head = seen(
        &lb,
        &origin,
        "OPTIONS / HTTP/1.1\r\nHost: test\r\nMax-Forwards: 5\r\n\r\n",
    );
    assert_eq!(head.fields("max-forwards"), ["4"]);
    let mut client = lb.client();
    client.send("OPTIONS / HTTP/1.1\r\nHost: test\r\nMax-Forwards: 0\r\n\r\n");
    assert_eq!(client.read_response().0.status(), 200);
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn routes_go_by_host_path_method_and_field_and_the_first_wins() {
    let names = [
        "exact", "wild", "path", "method", "field", "value", "both", "rest",
    ];
    let origins: Vec<Origin> = names.iter().map(|name| Origin::ok(name)).collect();
    let mut config = String::from(
        r#"
[[frontend]]
name = "web"
bind = "127.0.0.1:0"
default_backend = "rest"
[[frontend.route]]
host = "demo.example.com"
path_prefix = "/both"
backend = "both"
[[frontend.route]]
host = "demo.example.com"
backend = "exact"
[[frontend.route]]
host = "*.example.com"
backend = "wild"
[[frontend.route]]
path_prefix = "/path/"
backend = "path"
[[frontend.route]]
method = ["PURGE", "DELETE"]
backend = "method"
[[frontend.route]]
header = { name = "X-Canary", value = "always" }
backend = "value"
[[frontend.route]]
header = "X-Field"
backend = "field"
"#,
    );
    for (name, origin) in names.iter().zip(&origins) {
        config += &format!(
            "[[backend]]\nname = \"{name}\"\nserver = \"{}\"\n",
            origin.addr()
        );
    }
    let lb = Lb::start(&config);
    let mut client = lb.client();
    for (line, host, field, backend) in [
        ("GET /", "demo.example.com", "", "exact"),
        ("GET /", "DEMO.example.COM:8080", "", "exact"),
        ("GET http://demo.example.com/", "other", "", "exact"),
        ("GET /both/x", "demo.example.com", "", "both"),
        ("GET /", "a.b.example.com", "", "wild"),
        ("GET /", "example.com", "", "rest"),
        ("GET /", "notexample.com", "", "rest"),
        ("GET /path/x", "example.org", "", "path"),
        ("GET /path", "example.org", "", "rest"),
        ("GET /x/path/", "example.org", "", "rest"),
        ("PURGE /", "example.org", "", "method"),
        ("DELETE /path/", "example.org", "", "path"),
        ("GET /", "example.org", "x-canary: always\r\n", "value"),
        ("GET /", "example.org", "x-canary: never\r\n", "rest"),
        ("GET /", "example.org", "X-FIELD:\r\n", "field"),
        ("GET /", "example.org", "X-Fields: 1\r\n", "rest"),
    ] {
        client.send(format!("{line} HTTP/1.1\r\nHost: {host}\r\n{field}\r\n"));
        let (_, body) = client.read_response();
        assert_eq!(
            String::from_utf8(body).unwrap(),
            backend,
            "{line} {host} {field}"
        );
    }
}

#[test]
fn without_a_server_503_says_why_and_when() {
    let lb = Lb::with(free_addr(), "retry_after = \"7s\"");
    let mut client = lb.client();
    for _ in 0..2 {
        client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
        let (head, body) = client.read_response();
        assert_eq!((head.status(), head.field("retry-after")), (503, Some("7")));
        assert!(
            head.field("x-rlb-reason")
                .is_some_and(|reason| !reason.is_empty())
        );
        assert!(body.len() < 100);
    }
    client.send("HEAD / HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(client.read_head().status(), 503);
    assert!(client.is_quiet());
    // A backend without servers, and no route at all.
    let lb = Lb::start("[[frontend]]\nname = \"web\"\nbind = \"127.0.0.1:0\"\n");
    let (head, _) = lb
        .client()
        .send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        .read_response();
    assert_eq!(head.status(), 503);
    assert!(head.field("x-rlb-reason").is_some());
}
