//! Bytes of a body are never read as a request, and bytes behind an answer never as an
//! answer: request smuggling and its relatives (HTTP.md 2.12, 3.4; RFC 9112 11.2).

use std::time::Duration;

use crate::support::{
    Answer, End, Lb, Origin, PATIENCE, PlayedOrigin, RawClient, Request, free_addr, wait_until,
};

const GET: &str = "GET /next HTTP/1.1\r\nHost: test\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
/// What must never be taken for a request.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: test\r\n\r\n";

fn line(request: &Request) -> String {
    request.head.first_line().to_owned()
}

fn post(length: usize) -> String {
    format!("POST /post HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n\r\n")
}

#[test]
fn a_whole_request_behind_a_body_that_was_refused_is_answered() {
    // Nobody listens: 503, but body and next request are whole.
    let lb = Lb::before(free_addr());
    let mut client = lb.client();
    client.send(post(SMUGGLED.len()) + SMUGGLED + GET);
    for _ in 0..2 {
        let (head, _) = client.read_response();
        assert_eq!(head.status(), 503);
        assert_eq!(head.field("connection"), None);
    }
    // Half a request behind it, then the rest: still a request of its own.
    let (start, rest) = GET.split_at(9);
    client.send(post(4) + "body" + start);
    assert_eq!(client.read_response().0.status(), 503);
    client.send(rest);
    assert_eq!(client.read_response().0.status(), 503);
    client
        .send("POST /empty HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n")
        .send(GET);
    for _ in 0..2 {
        let (head, _) = client.read_response();
        assert_eq!((head.status(), head.field("connection")), (503, None));
    }
}

#[test]
fn the_body_of_a_refused_request_is_no_request() {
    let lb = Lb::before(free_addr());
    let mut client = lb.client();
    // Only a part of the body is there when the answer is made.
    client.send(post(10 + SMUGGLED.len()) + "0123456789");
    let (head, _) = client.read_response();
    assert_eq!(
        (head.status(), head.field("connection")),
        (503, Some("close"))
    );
    client.try_send(SMUGGLED);
    assert_eq!(client.read_until_close(), b"");
}

#[test]
fn what_follows_a_bad_request_is_not_processed() {
    // 9112 2.2; requests before it are answered first.
    let origin = Origin::ok("hello");
    let lb = Lb::before(origin.addr());
    for bad in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: test\r\nHost: test\r\n\r\n",
        "GET /a b HTTP/1.1\r\nHost: test\r\n\r\n",
        "GET / HTTP/1.1\nHost: test\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.0\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: test\r\n folded: x\r\n\r\n",
    ] {
        let mut client = lb.client();
        client.send(format!("{GET}{bad}{SMUGGLED}"));
        assert_eq!(client.read_response().1, b"hello", "{bad:?}");
        let (head, _) = client.read_response();
        assert_eq!(
            (head.status(), head.field("connection")),
            (400, Some("close")),
            "{bad:?}"
        );
        assert_eq!(client.read_end(), (Vec::new(), End::Fin), "{bad:?}");
    }
    let seen: Vec<String> = origin.requests().iter().map(line).collect();
    assert!(
        seen.iter().all(|line| line == "GET /next HTTP/1.1"),
        "{seen:?}"
    );
}

#[test]
fn a_broken_chunked_body_ends_both_connections() {
    for broken in [
        "zz\r\n",
        "3\r\nabcX",
        "3\nabc",
        "0x3\r\nabc",
        "0\r\nT : x\r\n\r\n",
        "fffffffffffffffff\r\n",
    ] {
        let origin = PlayedOrigin::listen();
        let lb = Lb::before(origin.addr());
        let mut client = lb.client();
        client
            .send("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n");
        let mut server = origin.accept();
        server.read_head();
        assert_eq!(server.read_bytes(7), b"2\r\nhi\r\n");
        client.send(format!("{broken}\r\n{SMUGGLED}"));
        let (head, _) = client.read_response();
        assert_eq!(
            (head.status(), head.field("connection")),
            (400, Some("close")),
            "{broken:?}"
        );
        assert_eq!(client.read_until_close(), b"", "{broken:?}");
        let (rest, _) = server.read_end();
        assert!(!rest.ends_with(b"0\r\n\r\n"), "completed: {broken:?}");
        assert!(origin.poll_accept().is_none());
    }
}

#[test]
fn a_body_cut_by_a_dying_server_is_no_request() {
    let origin = PlayedOrigin::listen();
    let lb = Lb::before(origin.addr());
    // Once while the server is waited for, once while it is being written to.
    for sent in [1 << 10, 64 << 20] {
        let mut client = lb.client();
        client.send(post(128 << 20));
        client.send_until_full(&vec![b'x'; sent], Duration::from_millis(200));
        let mut server = origin.accept();
        server.read_head();
        server.reset();
        let (head, _) = client.read_response();
        assert_eq!(
            (head.status(), head.field("connection")),
            (502, Some("close")),
            "{sent}"
        );
        client.try_send(SMUGGLED);
        assert_eq!(client.read_until_close(), b"");
        assert!(origin.poll_accept().is_none());
    }
}

#[test]
fn an_early_answer_leaves_the_rest_of_the_body_unread() {
    // HTTP.md 2.12: also when the body's bytes come much later.
    let origin = PlayedOrigin::listen();
    let lb = Lb::before(origin.addr());
    let mut client = lb.client();
    client.send(post(5 + SMUGGLED.len()) + "12345");
    let mut server = origin.accept();
    server.read_head();
    server.read_bytes(5);
    server.send(OK);
    let (head, body) = client.read_response();
    assert_eq!(
        (head.field("connection"), body.as_slice()),
        (Some("close"), &b"ok"[..])
    );
    client.try_send(SMUGGLED);
    assert_eq!(client.read_until_close(), b"");
    // A connection with an unfinished request is not used again.
    server.read_until_close();
    let mut other = lb.client();
    other.send(GET);
    let mut fresh = origin.accept();
    assert_eq!(fresh.read_head().first_line(), "GET /next HTTP/1.1");
}

#[test]
fn a_413_of_the_server_that_closes_at_once_arrives() {
    let origin = Origin::raw(|stream, _| {
        let mut server = RawClient::over(stream);
        server.read_head();
        server.send(
            "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig",
        );
        // Unread bytes: the kernel sends RST.
    });
    let lb = Lb::before(origin.addr());
    for _ in 0..20 {
        let mut client = lb.client();
        client.send(post(8 << 20));
        client.try_send(vec![b'x'; 1 << 20]);
        let (head, body) = client.read_response();
        assert_eq!((head.status(), body.as_slice()), (413, &b"big"[..]));
        assert_eq!(head.field("connection"), Some("close"));
    }
}

#[test]
fn excess_bytes_behind_an_answer_reach_nobody() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokEXCESS",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nEXCESS",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nEXCESS",
    ] {
        let origin = Origin::answering(|_| Answer::Keep(answer.as_bytes().to_vec()));
        let lb = Lb::before(origin.addr());
        let mut client = lb.client();
        for connections in 1..4 {
            let (head, body) = client.send(GET).read_response();
            assert_eq!((head.status(), body.as_slice()), (200, &b"ok"[..]));
            assert_eq!(origin.connections(), connections);
        }
        assert!(client.is_quiet());
    }
}

#[test]
fn excess_bytes_behind_a_large_body_reach_nobody() {
    // Large bodies of known length are spliced: not a byte more than theirs.
    let body = "x".repeat(300_000);
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n{body}EXCESS");
    let origin = Origin::answering(move |_| Answer::Keep(answer.clone().into_bytes()));
    let lb = Lb::before(origin.addr());
    let mut client = lb.client();
    for connections in 1..4 {
        let (_, got) = client.send(GET).read_response();
        assert!(got == body.as_bytes());
        assert_eq!(origin.connections(), connections);
    }
    assert!(client.is_quiet());
}

#[test]
fn a_request_right_behind_a_large_body_is_the_next_one() {
    let origin = Origin::ok("hello");
    let lb = Lb::before(origin.addr());
    let mut client = lb.client();
    client.send(post(300_000) + &SMUGGLED.repeat(300_000).as_str()[..300_000] + GET);
    for _ in 0..2 {
        assert_eq!(client.read_response().1, b"hello");
    }
    let lines: Vec<String> = origin.requests().iter().map(line).collect();
    assert_eq!(lines, ["POST /post HTTP/1.1", "GET /next HTTP/1.1"]);
}

#[test]
fn a_body_where_none_may_be_reaches_nobody() {
    // 9112 6.3: HEAD, 204, 304.
    for (request, answer, status) in [
        (
            "HEAD",
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nBODY",
            200,
        ),
        (
            "GET",
            "HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nBODY",
            204,
        ),
        (
            "GET",
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\nBODY",
            304,
        ),
        (
            "HEAD",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nBODY\r\n0\r\n\r\n",
            200,
        ),
    ] {
        let origin = Origin::answering(|_| Answer::Keep(answer.as_bytes().to_vec()));
        let lb = Lb::before(origin.addr());
        let mut client = lb.client();
        for connections in 1..4 {
            client.send(format!("{request} / HTTP/1.1\r\nHost: test\r\n\r\n"));
            let head = client.read_head();
            assert_eq!(head.status(), status);
            assert_eq!(head.field("connection"), None);
            if status == 204 {
                assert_eq!(head.field("content-length"), None);
            }
            assert_eq!(origin.connections(), connections, "{answer:?}");
        }
        assert!(client.is_quiet());
    }
}

#[test]
fn an_answer_on_an_idle_connection_reaches_nobody() {
    // HTTP.md 3.4.
    let origin = PlayedOrigin::listen();
    let lb = Lb::before(origin.addr());
    let mut client = lb.client();
    client.send(GET);
    let mut server = origin.accept();
    server.read_head();
    server.send(OK);
    client.read_response();
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL");
    client.send(GET);
    let mut fresh = origin.accept();
    fresh.read_head();
    fresh.send(OK);
    assert_eq!(client.read_response().1, b"ok");
    assert_eq!(server.read_until_close(), b"");
}

#[test]
fn a_late_second_answer_reaches_nobody() {
    // The first answer comes before the request's body has been sent: whoever answers twice
    // must not answer somebody else.
    let origin = PlayedOrigin::listen();
    let lb = Lb::before(origin.addr());
    let mut client = lb.client();
    client.send("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n");
    let mut server = origin.accept();
    server.read_head();
    server.send(OK);
    assert_eq!(client.read_response().1, b"ok");
    client.try_send("0\r\n\r\n");
    server.try_send(OK);
    let mut other = lb.client();
    other.send(GET);
    let mut fresh = origin.accept();
    fresh.read_head();
    fresh.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother");
    assert_eq!(other.read_response().1, b"other");
}

#[test]
fn an_upgrade_that_was_declined_leaves_http_behind_it() {
    // HTTP.md 3.9.
    let origin = Origin::ok("hello");
    let lb = Lb::before(origin.addr());
    let mut client = lb.client();
    client
        .send("GET /ws HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        .send(GET);
    assert_eq!(client.read_response().1, b"hello");
    assert_eq!(client.read_response().1, b"hello");
    assert_eq!(origin.requests()[1].head.first_line(), "GET /next HTTP/1.1");
}

#[test]
fn after_a_refused_body_the_client_has_time_to_read_the_answer() {
    // HTTP.md 4.10: closing with unread input would reset the connection.
    let lb = Lb::with(free_addr(), "limits = { body = \"1KiB\" }");
    let mut client = lb.client();
    client.send(post(128 << 10));
    client.try_send(vec![b'x'; 64 << 10]);
    wait_until(PATIENCE, "an answer", || !client.is_quiet());
    std::thread::yield_now();
    client.try_send(vec![b'x'; 64 << 10]);
    let (head, _) = client.read_response();
    assert_eq!(head.status(), 413);
    assert_eq!(client.read_end(), (Vec::new(), End::Fin));
}
