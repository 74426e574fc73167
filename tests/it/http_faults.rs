//! Servers and clients that break off, lie or stall (HTTP.md 3.1 to 3.5, 4.7; RFC 9112 8).

use std::time::Duration;

use crate::support::{Answer, End, Lb, Origin, PATIENCE, PlayedOrigin, RawClient, wait_until};

const GET: &str = "GET /a HTTP/1.1\r\nHost: test\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A client and a server behind one pooled connection that has carried one request.
fn pooled(lb: &Lb, origin: &PlayedOrigin) -> (RawClient, RawClient) {
    let mut client = lb.client();
    client.send(GET);
    let mut server = origin.accept();
    server.read_head();
    server.send(OK);
    client.read_response();
    (client, server)
}

#[test]
fn what_is_no_answer_is_502() {
    // HTTP.md 3.1, 3.2, 3.9, 3.10.
    for garbage in [
        "",
        "x",
        "HTTP/1.1 200",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n",
        "ICY 200 OK\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 600 OK\r\n\r\n",
        "HTTP/1.1 200 O\0K\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA b: c\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 200 OK\r\n folded: x\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
        "<html>hello</html>",
    ] {
        let origin = Origin::answering(|_| Answer::Close(garbage.as_bytes().to_vec()));
        let lb = Lb::before(origin.addr());
        let mut client = lb.client();
        for requests in 1..3 {
            let (head, _) = client.send(GET).read_response();
            assert_eq!(head.status(), 502, "{garbage:?}");
            assert_eq!(head.field("connection"), None, "{garbage:?}");
            assert!(head.field("x-rlb-reason").is_some());
            assert_eq!(origin.requests().len(), requests, "{garbage:?}");
        }
    }
}

#[test]
fn answer_heads_have_limits() {
    let field = format!("X-Long: {}\r\n", "x".repeat(1000));
    for (fields, status) in [(30, 200), (120, 502)] {
        let answer = format!(
            "HTTP/1.1 200 OK\r\n{}Content-Length: 0\r\n\r\n",
            field.repeat(fields)
        );
        let origin = Origin::answering(move |_| Answer::Keep(answer.clone().into_bytes()));
        let lb = Lb::before(origin.addr());
        assert_eq!(lb.client().send(GET).read_head().status(), status);
    }
    let many = "X: y\r\n".repeat(201);
    let answer = format!("HTTP/1.1 200 OK\r\n{many}Content-Length: 0\r\n\r\n");
    let origin = Origin::answering(move |_| Answer::Keep(answer.clone().into_bytes()));
    let lb = Lb::before(origin.addr());
    assert_eq!(lb.client().send(GET).read_head().status(), 502);
}

#[test]
fn a_cut_body_is_seen_as_cut() {
    let lengths = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345";
    let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n";
    let half = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n12345";
    let broken = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n";
    for (answer, rest, version, end) in [
        (lengths, "", "1.1", End::Fin),
        (lengths, "", "1.0", End::Fin),
        (chunks, "", "1.1", End::Fin),
        (half, "", "1.1", End::Fin),
        (broken, "zz\r\n", "1.1", End::Fin),
        // Here the close is the end of the body, so that a cut must be a reset.
        (chunks, "", "1.0", End::Reset),
        (half, "", "1.0", End::Reset),
        (broken, "zz\r\n", "1.0", End::Reset),
    ] {
        let origin = PlayedOrigin::listen();
        let lb = Lb::before(origin.addr());
        let mut client = lb.client();
        client.send(format!("GET / HTTP/{version}\r\nHost: test\r\n\r\n"));
        let mut server = origin.accept();
        server.read_head();
        server.send(answer);
        let head = client.read_head();
        assert_eq!(head.status(), 200);
        match head.field("transfer-encoding") {
            Some(_) => assert_eq!(client.read_bytes(10), b"5\r\n12345\r\n"),
            None => assert_eq!(client.read_bytes(5), b"12345"),
        }
        server.send(rest);
        drop(server);
        assert_eq!(
            client.read_end(),
            (Vec::new(), end),
            "{answer:?} {rest:?} {version}"
        );
    }
}

#[test]
fn a_close_delimited_answer_that_is_reset_is_seen_as_cut() {
    for (version, end) in [("1.1", End::Fin), ("1.0", End::Reset)] {
        let origin = PlayedOrigin::listen();
        let lb = Lb::before(origin.addr());
        let mut client = lb.client();
        client.send(format!("GET / HTTP/{version}\r\nHost: test\r\n\r\n"));
        let mut server = origin.accept();
        server.read_head();
        server.send("HTTP/1.0 200 OK\r\n\r\n12345");
        client.read_head();
        let body = if version == "1.1" { 10 } else { 5 };
        client.read_bytes(body);
        server.reset();
        assert_eq!(client.read_end(), (Vec::new(), end));
    }
}

#[test]
fn a_request_body_cut_short_is_not_completed() {
    // HTTP.md 2.10.
    for framing in ["Content-Length: 10", "Transfer-Encoding: chunked"] {
        let origin = PlayedOrigin::listen();
        let lb = Lb::before(origin.addr());
        let mut client = lb.client();
        client.send(format!(
            "POST / HTTP/1.1\r\nHost: test\r\n{framing}\r\n\r\n5\r\n12345"
        ));
        let mut server = origin.accept();
        server.read_head();
        client.finish_sending();
        let (body, _) = server.read_end();
        assert!(body.starts_with(b"5\r\n12345"), "{body:?}");
        assert!(!body.ends_with(b"0\r\n\r\n"), "{body:?}");
        let said = client.read_until_close();
        assert!(!said.starts_with(b"HTTP/1.1 200"));
    }
}

#[test]
fn an_idempotent_request_is_sent_again_past_a_stale_connection() {
    // 9110 9.2.2: nothing of the answer was seen.
    let bodies = [String::new(), "x".repeat(10), "x".repeat(3000)];
    for body in bodies {
        let origin = PlayedOrigin::listen();
        let lb = Lb::before(origin.addr());
        let (mut client, mut server) = pooled(&lb, &origin);
        client.send(format!(
            "PUT /b HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ));
        let first = server.read_head();
        drop(server);
        let mut fresh = origin.accept();
        assert_eq!(fresh.read_head(), first);
        assert_eq!(fresh.read_bytes(body.len()), body.as_bytes());
        fresh.send(OK);
        assert_eq!(client.read_response().1, b"ok");
        // Once, not again and again: this connection is pooled now and dies as well.
        client.send(GET);
        fresh.read_head();
        drop(fresh);
        drop(origin.accept());
        assert_eq!(client.read_response().0.status(), 502);
        assert!(origin.poll_accept().is_none());
    }
}

#[test]
fn a_request_whose_body_is_not_held_any_more_is_not_sent_again() {
    for (length, chunked) in [(6000, false), (6000, true), (200_000, false)] {
        let origin = PlayedOrigin::listen();
        let lb = Lb::before(origin.addr());
        let (mut client, mut server) = pooled(&lb, &origin);
        let body = "x".repeat(length);
        if chunked {
            client.send("PUT /b HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n");
            client.send(format!("{length:x}\r\n{body}\r\n0\r\n\r\n"));
        } else {
            client.send(format!(
                "PUT /b HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n\r\n{body}"
            ));
        }
        server.read_head();
        server.read_bytes(length);
        if chunked {
            server.read_bytes(11);
        }
        drop(server);
        assert_eq!(client.read_response().0.status(), 502, "{length}");
        assert!(origin.poll_accept().is_none());
    }
}

#[test]
fn a_post_is_never_sent_twice() {
    for method in ["POST", "PATCH", "FROB"] {
        let origin = PlayedOrigin::listen();
        let lb = Lb::before(origin.addr());
        let (mut client, mut server) = pooled(&lb, &origin);
        client.send(format!(
            "{method} /b HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\nhi"
        ));
        server.read_head();
        server.read_bytes(2);
        drop(server);
        assert_eq!(client.read_response().0.status(), 502, "{method}");
        assert!(origin.poll_accept().is_none(), "{method}");
    }
}

#[test]
fn nothing_is_sent_again_once_the_answer_has_begun() {
    let origin = PlayedOrigin::listen();
    let lb = Lb::before(origin.addr());
    let (mut client, mut server) = pooled(&lb, &origin);
    client.send(GET);
    server.read_head();
    server.send("HTTP/1.1 2");
    drop(server);
    assert_eq!(client.read_response().0.status(), 502);
    assert!(origin.poll_accept().is_none());
}

#[test]
fn a_post_takes_a_fresh_connection_past_a_dead_one() {
    let origin = PlayedOrigin::listen();
    let lb = Lb::before(origin.addr());
    let (mut client, server) = pooled(&lb, &origin);
    drop(server);
    client.send("POST /b HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\nhi");
    let mut fresh = origin.accept();
    fresh.read_head();
    fresh.read_bytes(2);
    fresh.send(OK);
    assert_eq!(client.read_response().1, b"ok");
}

#[test]
fn a_refused_connect_goes_to_another_server() {
    let origin = Origin::ok("hello");
    let lb = Lb::start(&format!(
        "[[listen]]\nname = \"web\"\nbind = \"127.0.0.1:0\"\nserver = [\"{}\", \"{}\"]\n",
        crate::support::free_addr(),
        origin.addr()
    ));
    let mut client = lb.client();
    for _ in 0..10 {
        client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\nhi");
        assert_eq!(client.read_response().0.status(), 200);
    }
    assert_eq!(origin.requests().len(), 10);
}

#[test]
fn a_silent_server_is_504() {
    let origin = PlayedOrigin::listen();
    let lb = Lb::with(origin.addr(), "timeouts = { server = \"100ms\" }");
    let mut client = lb.client();
    for _ in 0..2 {
        client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\nhi");
        let mut server = origin.accept();
        server.read_head();
        let (head, _) = client.read_response();
        assert_eq!((head.status(), head.field("connection")), (504, None));
        assert_eq!(server.read_until_close(), b"hi");
    }
}

#[test]
fn a_server_that_stalls_within_its_body_is_cut() {
    for (version, end) in [("1.1", End::Fin), ("1.0", End::Reset)] {
        let origin = PlayedOrigin::listen();
        let lb = Lb::with(origin.addr(), "timeouts = { server = \"1s\" }");
        let mut client = lb.client();
        client.send(format!("GET / HTTP/{version}\r\nHost: test\r\n\r\n"));
        let mut server = origin.accept();
        server.read_head();
        server.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n");
        client.read_head();
        let (body, seen) = client.read_end();
        assert!(!body.ends_with(b"0\r\n\r\n"));
        assert_eq!(seen, end);
        assert_eq!(server.read_until_close(), b"");
    }
}

#[test]
fn a_client_that_stalls_within_its_body_is_408() {
    let origin = PlayedOrigin::listen();
    let lb = Lb::with(origin.addr(), "timeouts = { client = \"100ms\" }");
    let mut client = lb.client();
    client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 9\r\n\r\nhi");
    let mut server = origin.accept();
    server.read_head();
    let (head, _) = client.read_response();
    assert_eq!(
        (head.status(), head.field("connection")),
        (408, Some("close"))
    );
    assert_eq!(client.read_end(), (Vec::new(), End::Fin));
    assert_eq!(server.read_until_close(), b"hi");
}

#[test]
fn a_client_that_stalls_is_cut_while_it_is_answered() {
    // The answer has begun, so that there is no 408 any more.
    let origin = PlayedOrigin::listen();
    let lb = Lb::with(
        origin.addr(),
        "timeouts = { client = \"1s\", server = \"2s\" }",
    );
    let mut client = lb.client();
    client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 9\r\n\r\nhi");
    let mut server = origin.accept();
    server.read_head();
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi");
    assert_eq!(client.read_head().status(), 200);
    assert_eq!(client.read_until_close(), b"hi");
    assert_eq!(server.read_until_close(), b"hi");
}

#[test]
fn a_client_that_never_reads_holds_the_server_back_and_is_cut() {
    let origin = PlayedOrigin::listen();
    let lb = Lb::with(origin.addr(), "timeouts = { client = \"300ms\" }");
    let mut client = lb.client();
    client.send(GET);
    let mut server = origin.accept();
    server.read_head();
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
    let block = vec![b'x'; 64 << 20];
    let sent = server.send_until_full(&block, Duration::from_millis(150));
    assert!(sent < block.len(), "64 MiB lie somewhere");
    server.read_until_close();
    client.read_until_close();
    // The session is gone, and nothing else with it.
    let (mut client, _server) = pooled(&lb, &origin);
    assert!(client.is_quiet());
}

#[test]
fn a_client_cut_for_its_slowness_can_tell() {
    // The close would be the end of the body, so that this one must be a reset.
    let origin = PlayedOrigin::listen();
    let lb = Lb::with(origin.addr(), "timeouts = { client = \"200ms\" }");
    let mut client = lb.client();
    client.send("GET / HTTP/1.0\r\n\r\n");
    let mut server = origin.accept();
    server.read_head();
    server.send("HTTP/1.1 200 OK\r\n\r\n");
    server.send_until_full(&vec![b'x'; 64 << 20], Duration::from_millis(100));
    server.read_until_close();
    assert_eq!(client.read_end().1, End::Reset);
}

#[test]
fn a_client_that_never_takes_its_answer_holds_nothing_up() {
    // Own answers, too: pipelined requests whose answers nobody reads.
    let lb = Lb::start(
        "[[frontend]]\nname = \"web\"\nbind = \"127.0.0.1:0\"\ntimeouts = { client = \"200ms\" }\n",
    );
    let mut client = lb.client();
    let many = GET.repeat(400_000);
    let sent = client.send_until_full(many.as_bytes(), Duration::from_secs(1));
    assert!(sent < many.len());
    wait_until(PATIENCE, "the client is sent away", || {
        !client.try_send(GET)
    });
    assert_eq!(lb.client().send(GET).read_response().0.status(), 503);
}

#[test]
fn a_client_that_leaves_stops_the_transfer() {
    let origin = PlayedOrigin::listen();
    let lb = Lb::before(origin.addr());
    let mut client = lb.client();
    client.send(GET);
    let mut server = origin.accept();
    server.read_head();
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\nabc");
    client.read_head();
    drop(client);
    wait_until(PATIENCE, "the server is told", || {
        !server.try_send(vec![b'x'; 1 << 20])
    });
}
