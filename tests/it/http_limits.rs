//! Limits and deadlines of requests (HTTP.md 1.13, 0.3 and section 5).

use crate::support::{End, Lb, Origin, PATIENCE, PlayedOrigin, RawClient, wait_until};

const GET: &str = "GET /a HTTP/1.1\r\nHost: test\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn refused(client: &mut RawClient, status: u16) {
    let (head, _) = client.read_response();
    assert_eq!(
        (head.status(), head.field("connection")),
        (status, Some("close")),
        "{}",
        head.0
    );
    assert_eq!(client.read_end(), (Vec::new(), End::Fin));
}

#[test]
fn long_request_lines_are_414_while_they_are_read() {
    // 9110 15.5.15.
    let origin = Origin::ok("hello");
    let lb = Lb::before(origin.addr());
    for length in [8000, 16_000] {
        let mut client = lb.client();
        client.send(format!(
            "GET /{} HTTP/1.1\r\nHost: test\r\n\r\n",
            "x".repeat(length)
        ));
        assert_eq!(client.read_response().0.status(), 200);
    }
    // Whole, and without an end.
    for rest in [" HTTP/1.1\r\nHost: test\r\n\r\n", ""] {
        let mut client = lb.client();
        client.send(format!("GET /{}{rest}", "x".repeat(17_000)));
        refused(&mut client, 414);
    }
    let lb = Lb::with(origin.addr(), "limits = { uri = \"100B\" }");
    let mut client = lb.client();
    client.send(format!("GET /{}", "x".repeat(200)));
    refused(&mut client, 414);
}

#[test]
fn long_heads_are_431_while_they_are_read() {
    // RFC 6585 5.
    let origin = Origin::ok("hello");
    let lb = Lb::before(origin.addr());
    let field = |n: usize| format!("X-{n}: {}\r\n", "x".repeat(1000));
    let fields = |n: usize| (0..n).map(field).collect::<String>();
    let mut client = lb.client();
    client.send(format!(
        "GET / HTTP/1.1\r\nHost: test\r\n{}\r\n",
        fields(30)
    ));
    assert_eq!(client.read_response().0.status(), 200);
    for end in ["\r\n", ""] {
        let mut client = lb.client();
        client.send(format!(
            "GET / HTTP/1.1\r\nHost: test\r\n{}{end}",
            fields(40)
        ));
        refused(&mut client, 431);
    }
    let many = (0..101)
        .map(|n| format!("X-{n}: y\r\n"))
        .collect::<String>();
    let mut client = lb.client();
    client.send(format!("GET / HTTP/1.1\r\nHost: test\r\n{many}\r\n"));
    refused(&mut client, 431);
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn a_head_that_does_not_end_is_408() {
    let origin = Origin::ok("hello");
    let lb = Lb::with(
        origin.addr(),
        "timeouts = { http_request = \"1s\", keep_alive = \"10s\" }",
    );
    let mut client = lb.client();
    client.send("GET / HTTP/1.1\r\nHost:");
    refused(&mut client, 408);

    // Also on a connection that has carried requests, and however slowly it comes: the
    // deadline is that of the whole head.
    let mut client = lb.client();
    client.send(GET).read_response();
    client.send("GET / HTTP/1.1\r\nHost: test\r\nX: ");
    wait_until(PATIENCE, "an answer", || {
        !client.try_send("x") || !client.is_quiet()
    });
    assert_eq!(client.read_response().0.status(), 408);
}

#[test]
fn bodies_over_the_limit_are_413() {
    let origin = PlayedOrigin::listen();
    let lb = Lb::with(origin.addr(), "limits = { body = \"10KiB\" }");
    let length = |n: usize| format!("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: {n}\r\n\r\n");
    // Announced: refused before the body, and before a server is asked.
    let mut client = lb.client();
    client.send(length(10_241));
    refused(&mut client, 413);
    assert!(origin.poll_accept().is_none());

    // At the limit.
    let mut client = lb.client();
    client.send(length(10_240)).send(vec![b'x'; 10_240]);
    let mut server = origin.accept();
    server.read_head();
    server.read_bytes(10_240);
    server.send(OK);
    assert_eq!(client.read_response().0.status(), 200);

    // In chunks: the payload counts, not its framing.
    let chunked = "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n";
    client.send(chunked);
    for _ in 0..10_240 {
        client.send("0000001\r\nx\r\n");
    }
    client.send("0\r\n\r\n");
    server.read_head();
    assert_eq!(server.read_chunked().0.len(), 10_240);
    server.send(OK);
    assert_eq!(client.read_response().0.status(), 200);

    // One byte more, in one piece or bit by bit: the request is never completed.
    for pieces in [1, 100] {
        let mut client = lb.client();
        client.send(chunked);
        let all = format!("{:x}\r\n{}\r\n0\r\n\r\n", 10_241, "x".repeat(10_241));
        for piece in all.as_bytes().chunks(all.len().div_ceil(pieces)) {
            client.try_send(piece);
        }
        refused(&mut client, 413);
        let mut server = match pieces {
            1 => server.another(),
            _ => origin.accept(),
        };
        let (seen, _) = server.read_end();
        assert!(!seen.ends_with(b"0\r\n\r\n"), "completed");
    }
}

#[test]
fn connections_that_say_nothing_cost_nobody_a_request() {
    const SILENT: usize = 2_000;
    let origin = Origin::ok("hello");
    let lb = Lb::with(origin.addr(), "timeouts = { http_request = \"2s\" }");
    let mut silent: Vec<RawClient> = (0..SILENT).map(|_| lb.client()).collect();
    let mut client = lb.client();
    for _ in 0..100 {
        assert_eq!(client.send(GET).read_response().1, b"hello");
    }
    assert!(silent.iter_mut().all(RawClient::is_quiet));
    for connection in &mut silent {
        assert_eq!(connection.read_end(), (Vec::new(), End::Fin));
    }
}

#[test]
fn foreign_protocols_are_refused() {
    // HTTP.md 1.16.
    let origin = Origin::ok("hello");
    let lb = Lb::before(origin.addr());
    for bytes in [
        &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"GET /\r\n\r\n",
    ] {
        let mut client = lb.client();
        client.send(bytes);
        let (head, _) = client.read_response();
        assert!(matches!(head.status(), 400 | 505), "{}", head.0);
        assert_eq!(client.read_end(), (Vec::new(), End::Fin));
    }
    for (method, status) in [("CONNECT", 501), ("TRACE", 501)] {
        let target = if method == "CONNECT" { "test:80" } else { "/" };
        let mut client = lb.client();
        client.send(format!(
            "{method} {target} HTTP/1.1\r\nHost: test:80\r\n\r\n"
        ));
        refused(&mut client, status);
    }
    assert!(origin.requests().is_empty());
}
