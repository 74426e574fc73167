//! Connections that stay: the client's, the server's, and requests sent ahead
//! (RFC 9112 9.3).

use std::time::Duration;

use crate::support::{Answer, End, Lb, Origin, PATIENCE, PlayedOrigin, RawClient, wait_until};

const GET: &str = "GET /a HTTP/1.1\r\nHost: test\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Answers each request with its own target and body.
fn echo() -> Origin {
    Origin::answering(|request| {
        let target = request.head.0.split(' ').nth(1).unwrap_or_default();
        let body = format!("{target}:{}", String::from_utf8_lossy(&request.body));
        Answer::Keep(
            format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )
            .into_bytes(),
        )
    })
}

#[test]
fn both_connections_carry_many_requests() {
    let origin = Origin::ok("hello");
    let lb = Lb::before(origin.addr());
    let mut client = lb.client();
    for _ in 0..50 {
        let (head, body) = client.send(GET).read_response();
        assert_eq!((head.status(), body.as_slice()), (200, &b"hello"[..]));
        assert_eq!(head.field("connection"), None);
    }
    assert_eq!(origin.connections(), 1);
    assert_eq!(origin.requests().len(), 50);
}

#[test]
fn clients_share_pooled_connections() {
    let origin = Origin::ok("hello");
    let lb = Lb::before(origin.addr());
    for _ in 0..5 {
        lb.client().send(GET).read_response();
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn without_a_pool_each_request_dials() {
    let origin = Origin::ok("hello");
    let lb = Lb::with(origin.addr(), "pool_max = 0");
    let mut client = lb.client();
    for _ in 0..3 {
        client.send(GET).read_response();
    }
    assert_eq!(origin.connections(), 3);
}

#[test]
fn pooled_connections_are_closed_after_their_idle_time() {
    let origin = PlayedOrigin::listen();
    let lb = Lb::with(origin.addr(), "timeouts = { pool_idle = \"100ms\" }");
    let mut client = lb.client();
    client.send(GET);
    let mut server = origin.accept();
    server.read_head();
    server.send(OK);
    client.read_response();
    assert_eq!(server.read_end(), (Vec::new(), End::Fin));
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    // 9112 9.3.2.
    let origin = echo();
    let lb = Lb::before(origin.addr());
    let mut client = lb.client();
    let mut all = String::new();
    for n in 0..200 {
        all += &match n % 3 {
            0 => format!("GET /{n} HTTP/1.1\r\nHost: test\r\n\r\n"),
            1 => {
                format!("POST /{n} HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nGET ")
            }
            _ => format!(
                "PUT /{n} HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
            ),
        };
    }
    client.send(all);
    for n in 0..200 {
        let (head, body) = client.read_response();
        assert_eq!(head.status(), 200);
        let body = String::from_utf8(body).unwrap();
        assert!(body.starts_with(&format!("/{n}:")), "{n}: {body}");
        match n % 3 {
            0 => assert_eq!(body, format!("/{n}:")),
            1 => assert_eq!(body, format!("/{n}:GET ")),
            _ => assert!(body.contains("abc"), "{body}"),
        }
    }
}

#[test]
fn every_split_of_the_bytes_gives_the_same_answers() {
    // HTTP.md 2.11.
    let origin = echo();
    let lb = Lb::before(origin.addr());
    let bytes = b"POST /1 HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhello\
        GET /2 HTTP/1.1\r\nHost: test\r\n\r\n\
        PUT /3 HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n2;x=\"1\"\r\nab\r\n0\r\nT: t\r\n\r\n\
        GET /4 HTTP/1.1\r\nHost: test\r\n\r\n";
    let mut client = lb.client();
    for at in 1..bytes.len() {
        client.send(&bytes[..at]);
        // The first piece is on its way by itself; whether it is read by itself is up to
        // the machine, and must not matter.
        std::thread::yield_now();
        client.send(&bytes[at..]);
        for target in ["/1:hello", "/2:", "/3:", "/4:"] {
            let (head, body) = client.read_response();
            let body = String::from_utf8(body).unwrap();
            assert_eq!(head.status(), 200, "split at {at}");
            assert!(body.starts_with(target), "split at {at}: {body}");
        }
    }
}

#[test]
fn a_request_may_come_byte_by_byte() {
    let origin = echo();
    let lb = Lb::before(origin.addr());
    let mut client = lb.client();
    let request = "POST /slow HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhello";
    for byte in request.as_bytes() {
        client.send([*byte]);
        std::thread::yield_now();
    }
    assert_eq!(client.read_response().1, b"/slow:hello");
}

#[test]
fn an_answer_may_come_byte_by_byte() {
    let origin = Origin::raw(|stream, _| {
        let mut server = RawClient::over(stream);
        server.read_head();
        let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: t\r\n\r\n\
            3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: u\r\n\r\n";
        for byte in answer.as_bytes() {
            server.send([*byte]);
            std::thread::yield_now();
        }
    });
    let lb = Lb::before(origin.addr());
    let mut client = lb.client();
    assert_eq!(client.send(GET).read_head().status(), 200);
    let (body, trailers) = client.read_chunked();
    assert_eq!(body, b"abcde");
    assert_eq!(trailers, ["T: u"]);
}

#[test]
fn the_client_may_ask_to_close() {
    // 9112 9.6: what stands behind is not processed.
    let origin = echo();
    let lb = Lb::before(origin.addr());
    let mut client = lb.client();
    client
        .send("GET /1 HTTP/1.1\r\nHost: test\r\nConnection: foo, Close\r\n\r\n")
        .send("GET /2 HTTP/1.1\r\nHost: test\r\n\r\n");
    let (head, body) = client.read_response();
    assert_eq!(body, b"/1:");
    assert_eq!(head.field("connection"), Some("close"));
    assert_eq!(client.read_end(), (Vec::new(), End::Fin));
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn a_limit_of_requests_ends_the_connection_with_its_last_answer() {
    let origin = echo();
    let lb = Lb::with(origin.addr(), "keep_alive_requests = 3");
    let mut client = lb.client();
    let request = |n| format!("GET /{n} HTTP/1.1\r\nHost: test\r\n\r\n");
    // At once: who is late finds the connection closed.
    client.send((0..6).map(request).collect::<String>());
    for n in 0..3 {
        let (head, _) = client.read_response();
        assert_eq!(head.field("connection").is_some(), n == 2, "{n}");
    }
    assert_eq!(client.read_end(), (Vec::new(), End::Fin));
}

#[test]
fn the_last_answer_survives_requests_that_nobody_reads() {
    // HTTP.md 4.10: closing with unread input resets the connection, and a reset eats answers
    // that the client has not read yet.
    let origin = echo();
    let lb = Lb::with(origin.addr(), "keep_alive_requests = 3");
    for turn in 1..=20 {
        let mut client = lb.client();
        client.send("GET /many HTTP/1.1\r\nHost: test\r\n\r\n".repeat(2_000));
        wait_until(PATIENCE, "all answers", || {
            origin.requests().len() == 3 * turn
        });
        for _ in 0..3 {
            assert_eq!(client.read_response().1, b"/many:");
        }
        assert_eq!(client.read_end(), (Vec::new(), End::Fin));
    }
}

#[test]
fn own_answers_count_for_the_limit_of_requests() {
    let lb = Lb::start(
        "[[frontend]]\nname = \"web\"\nbind = \"127.0.0.1:0\"\nkeep_alive_requests = 2\n",
    );
    let mut client = lb.client();
    client.send(GET).send(GET);
    assert_eq!(client.read_response().0.field("connection"), None);
    let (head, _) = client.read_response();
    assert_eq!(
        (head.status(), head.field("connection")),
        (503, Some("close"))
    );
    assert_eq!(client.read_end(), (Vec::new(), End::Fin));
}

#[test]
fn http_1_0_closes_unless_asked_otherwise() {
    // 9112 9.3; the own version goes out both ways (9110 2.5).
    let origin = echo();
    let lb = Lb::before(origin.addr());
    let mut client = lb.client();
    let (head, _) = client.send("GET /1 HTTP/1.0\r\n\r\n").read_response();
    assert_eq!(head.first_line(), "HTTP/1.1 200 OK");
    assert_eq!(head.field("connection"), Some("close"));
    assert_eq!(client.read_end(), (Vec::new(), End::Fin));

    let mut client = lb.client();
    for _ in 0..3 {
        let (head, _) = client
            .send("GET /2 HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n")
            .read_response();
        assert_eq!(head.field("connection"), Some("keep-alive"));
    }
    let seen = origin.requests();
    assert!(
        seen[0].head.0.starts_with("GET /1 HTTP/1.1\r\nHost: "),
        "{:?}",
        seen[0]
    );
}

#[test]
fn http_1_0_servers_close_unless_they_say_otherwise() {
    let origin = Origin::answering(|request| match request.head.0.contains("/keep") {
        true => Answer::Keep(
            b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok".to_vec(),
        ),
        // It says nothing of keep-alive, but leaves the connection open.
        false => Answer::Keep(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec()),
    });
    let lb = Lb::before(origin.addr());
    let mut client = lb.client();
    for (target, connections) in [
        ("/keep", 1),
        ("/keep", 1),
        ("/close", 1),
        ("/close", 2),
        ("/keep", 3),
    ] {
        client.send(format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n"));
        let (head, body) = client.read_response();
        assert_eq!(
            (head.first_line(), body.as_slice()),
            ("HTTP/1.1 200 OK", &b"ok"[..])
        );
        assert_eq!(head.field("connection"), None);
        assert_eq!(origin.connections(), connections, "{target}");
    }
}

#[test]
fn close_of_the_server_does_not_close_the_client() {
    // 9112 9.6.
    let origin = Origin::answering(|_| {
        Answer::Close(
            b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok".to_vec(),
        )
    });
    let lb = Lb::before(origin.addr());
    let mut client = lb.client();
    for n in 1..4 {
        let (head, _) = client.send(GET).read_response();
        assert_eq!(head.field("connection"), None);
        assert_eq!(origin.connections(), n);
    }
}

#[test]
fn a_fin_behind_a_whole_request_is_answered() {
    // DESIGN.md 9.21.
    let origin = PlayedOrigin::listen();
    let lb = Lb::before(origin.addr());
    let mut client = lb.client();
    client.send(GET).finish_sending();
    let mut server = origin.accept();
    server.read_head();
    server.send(OK);
    assert_eq!(client.read_response().1, b"ok");
    assert_eq!(client.read_end(), (Vec::new(), End::Fin));

    let mut client = lb.client();
    client
        .send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\nhi")
        .send(GET)
        .finish_sending();
    for length in [2, 0] {
        server.read_head();
        server.read_bytes(length);
        server.send(OK);
        assert_eq!(client.read_response().1, b"ok");
    }
    assert_eq!(client.read_end(), (Vec::new(), End::Fin));
}

#[test]
fn an_idle_client_is_closed_after_its_time() {
    let origin = Origin::ok("hello");
    let lb = Lb::with(origin.addr(), "timeouts = { keep_alive = \"100ms\" }");
    let mut client = lb.client();
    client.send(GET).read_response();
    assert_eq!(client.read_end(), (Vec::new(), End::Fin));
}

#[test]
fn requests_sent_ahead_wait_their_turn_in_bounded_memory() {
    // HTTP.md 4.8: one exchange at a time, and reading stops.
    let origin = PlayedOrigin::listen();
    let lb = Lb::before(origin.addr());
    let mut client = lb.client();
    client.send(GET);
    let mut server = origin.accept();
    server.read_head();
    let many = GET.repeat(1_000_000);
    let sent = client.send_until_full(many.as_bytes(), Duration::from_millis(300));
    assert!(sent < many.len(), "everything was read ahead");
    assert!(server.is_quiet(), "a second request was begun");
    assert!(origin.poll_accept().is_none());
    server.send(OK);
    assert_eq!(client.read_response().1, b"ok");
    server.read_head();
}

#[test]
fn a_reset_while_waiting_ends_the_exchange_at_the_server() {
    let origin = PlayedOrigin::listen();
    let lb = Lb::before(origin.addr());
    let mut client = lb.client();
    client.send(GET);
    let mut server = origin.accept();
    server.read_head();
    client.reset();
    assert_eq!(server.read_until_close(), b"");
}

#[test]
fn a_connection_with_nothing_to_say_is_closed_without_a_word() {
    let origin = Origin::ok("hello");
    let lb = Lb::with(origin.addr(), "timeouts = { http_request = \"1s\" }");
    let mut silent = lb.client();
    assert_eq!(silent.read_end(), (Vec::new(), End::Fin));
    let mut empty_lines = lb.client();
    empty_lines.send("\r\n");
    assert_eq!(empty_lines.read_head().status(), 408);
    wait_until(PATIENCE, "the service goes on", || {
        lb.client().send(GET).read_response().0.status() == 200
    });
}
