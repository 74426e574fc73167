//! Bodies, trailers, interim answers, resets: whole messages both ways.

use std::time::{Duration, Instant};

use http::HeaderMap;

use super::client::{Client, field, request, with_body};
use super::raw::*;
use super::{Raw, h2_to_h2, h2c};
use crate::support::{Answer, End, Origin, PATIENCE, PlayedOrigin, wait_until};

const INTERNAL: u32 = 2;
const CANCEL: u32 = 8;

/// To an HTTP/1 server directly, and through a second balancer by HTTP/2.
fn both(origin: std::net::SocketAddr, keys: &str, check: impl Fn(std::net::SocketAddr)) {
    let direct = h2c(origin, keys);
    check(direct.addr());
    let relayed = h2_to_h2(direct.addr(), keys);
    check(relayed.addr());
}

#[test]
fn bodies_of_any_size_arrive_whole() {
    let origin = Origin::answering(|request| {
        let mut answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
            request.body.len()
        );
        if request.head.field("transfer-encoding").is_some() {
            answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned();
        }
        let mut answer = answer.into_bytes();
        answer.extend(&request.body);
        Answer::Keep(answer)
    });
    let body: Vec<u8> = (0..3_000_000_u32)
        .map(|i| (i.wrapping_mul(i) >> 7) as u8)
        .collect();
    both(origin.addr(), "", |addr| {
        let mut client = Client::connect(addr);
        for size in [0, 1, 4095, 4096, 16_384, 16_385, 100_000, 3_000_000] {
            let body = &body[..size];
            let chunked = client.ask(with_body("POST", "/", body), None).unwrap();
            assert!(chunked.body == body, "{size} in chunks");
            let length = Box::leak(size.to_string().into_boxed_str());
            let sized = field(with_body("POST", "/", body), "content-length", length);
            let sized = client.ask(sized, None).unwrap();
            assert!(sized.body == body, "{size} by length");
            assert_eq!(sized.head.headers()["content-length"], *length);
        }
    });
    assert_eq!(origin.requests().len(), 32);
}

#[test]
fn trailers_go_both_ways_without_those_that_may_not() {
    let origin = Origin::answering(|request| {
        let told = String::from_utf8_lossy(&request.body).into_owned();
        Answer::Keep(
            format!(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                 {:x}\r\n{told}\r\n0\r\ngrpc-status: 0\r\nX-Sum: 1\r\nSet-Cookie: a\r\n\r\n",
                told.len()
            )
            .into_bytes(),
        )
    });
    both(origin.addr(), "", |addr| {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-digest", "7".parse().unwrap());
        trailers.insert("authorization", "no".parse().unwrap());
        let asked = with_body("POST", "/", b"hi");
        let answer = Client::connect(addr).ask(asked, Some(trailers)).unwrap();
        assert_eq!(&answer.body[..], b"2\r\nhi\r\n0\r\nx-digest: 7\r\n\r\n");
        let trailers = answer.trailers.unwrap();
        assert_eq!(trailers.len(), 2, "{trailers:?}");
        assert_eq!(trailers["grpc-status"], "0");
        assert_eq!(trailers["x-sum"], "1");
    });
}

#[test]
fn answers_without_a_body_end_with_their_head() {
    let origin = Origin::answering(|request| {
        let answer = match request.head.first_line().split(' ').nth(1).unwrap() {
            "/head" => "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n",
            "/204" => "HTTP/1.1 204 No Content\r\n\r\n",
            "/304" => "HTTP/1.1 304 Not Modified\r\nContent-Length: 12\r\nETag: \"a\"\r\n\r\n",
            _ => "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        };
        Answer::Keep(answer.into())
    });
    both(origin.addr(), "", |addr| {
        let mut client = Client::connect(addr);
        let head = client.ask(request("HEAD", "/head"), None).unwrap();
        assert_eq!(head.head.headers()["content-length"], "1000");
        assert_eq!(client.get("/204").head.status(), 204);
        let unchanged = client.get("/304");
        assert_eq!(unchanged.head.headers()["etag"], "\"a\"");
        assert_eq!(client.get("/").head.headers()["content-length"], "0");
    });
}

#[test]
fn a_body_that_ends_with_the_close_is_whole_and_a_cut_one_is_reset() {
    let origin = Origin::answering(|request| {
        Answer::Close(match request.head.first_line() {
            line if line.contains("/close") => b"HTTP/1.1 200 OK\r\n\r\nhello".to_vec(),
            line if line.contains("/cut") => {
                b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhell".to_vec()
            }
            line if line.contains("/bad") => {
                b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n".to_vec()
            }
            _ => Vec::new(),
        })
    });
    both(origin.addr(), "", |addr| {
        let mut client = Client::connect(addr);
        assert_eq!(&client.get("/close").body[..], b"hello");
        match client.ask(request("GET", "/cut"), None) {
            Err(cut) => assert_eq!(cut.reason(), Some(h2::Reason::INTERNAL_ERROR)),
            // Behind another balancer the reset may come before the head was read.
            Ok(cut) => assert_eq!(cut.head.status(), 502),
        }
        let bad = client.get("/bad");
        assert_eq!(bad.head.status(), 502);
        assert_eq!(
            bad.head.headers()["x-rlb-reason"],
            "bad answer from the server"
        );
        let none = client.get("/none");
        assert_eq!(
            (none.head.status().as_u16(), &none.body[..]),
            (502, &b"502 Bad Gateway\n"[..])
        );
        assert_eq!(
            &client.get("/close").body[..],
            b"hello",
            "the connection is as good as before"
        );
    });
}

#[test]
fn interim_answers_are_passed_on() {
    let origin = PlayedOrigin::listen();
    let lb = h2c(origin.addr(), "");
    let mut raw = Raw::connect(lb.addr());
    let expecting = head("POST", &[("expect", "100-continue")]);
    raw.send(HEADERS, END_HEADERS, 1, &expecting);
    let mut server = origin.accept();
    assert_eq!(server.read_head().field("expect"), Some("100-continue"));
    server.send("HTTP/1.1 100 Continue\r\n\r\n");
    let interim = raw.read_kind(HEADERS);
    assert_eq!(interim.flags & END_STREAM, 0);
    raw.send(DATA, END_STREAM, 1, b"body");
    assert_eq!(server.read_chunked().0, b"body");
    server.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
    raw.read_kind(HEADERS);
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    assert_eq!(raw.read_kind(HEADERS).flags & END_STREAM, 0);
    assert_eq!(raw.body(1), b"ok");
}

#[test]
fn a_body_over_the_limit_is_answered_413() {
    let origin = Origin::ok("hello");
    let lb = h2c(origin.addr(), "limits = { body = \"10B\" }");
    let mut client = Client::connect(lb.addr());
    let said = field(
        with_body("POST", "/", b"eleven byte"),
        "content-length",
        "11",
    );
    assert_eq!(client.ask(said, None).unwrap().head.status(), 413);
    let unsaid = client
        .ask(with_body("POST", "/", b"eleven byte"), None)
        .unwrap();
    assert_eq!(unsaid.head.status(), 413);
    let fits = client
        .ask(with_body("POST", "/", b"ten bytes!"), None)
        .unwrap();
    assert_eq!(fits.head.status(), 200);
}

#[test]
fn a_request_taken_back_is_seen_by_the_server_at_once() {
    let origin = PlayedOrigin::listen();
    let direct = h2c(origin.addr(), "");
    let relayed = h2_to_h2(direct.addr(), "");
    for addr in [direct.addr(), relayed.addr()] {
        let mut raw = Raw::connect(addr);
        raw.get(1);
        let mut server = origin.accept();
        server.read_head();
        raw.send(RST_STREAM, 0, 1, &CANCEL.to_be_bytes());
        let since = Instant::now();
        assert_eq!(server.read_end(), (Vec::new(), End::Fin));
        let took = since.elapsed();
        eprintln!("a cancelled request left its server after {took:?}");
        assert!(raw.is_alive());
        // In the middle of an answer, too.
        raw.get(3);
        let mut server = origin.accept();
        server.read_head();
        server.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhell");
        raw.read_kind(DATA);
        raw.send(RST_STREAM, 0, 3, &CANCEL.to_be_bytes());
        server.read_end();
        // And with the connection.
        raw.get(5);
        let mut server = origin.accept();
        server.read_head();
        drop(raw);
        server.read_end();
    }
}

#[test]
fn who_is_too_slow_is_told_or_reset() {
    let origin = PlayedOrigin::listen();
    let lb = h2c(
        origin.addr(),
        "timeouts = { server = \"1s\", client = \"1s\" }",
    );
    let mut client = Client::connect(lb.addr());
    let silent = client.get("/");
    assert_eq!(silent.head.status(), 504);
    // A body that does not come.
    let mut raw = Raw::connect(lb.addr());
    raw.send(HEADERS, END_HEADERS, 1, &head("POST", &[]));
    let verdict = raw.verdict();
    assert!(matches!(verdict, Verdict::Answer(1, _)), "{verdict:?}");
    let reset = raw.read_kind(RST_STREAM);
    assert_eq!(reset.stream, 1, "its rest is not wanted");
    // An answer that stops.
    while origin.poll_accept().is_some() {}
    raw.get(3);
    let mut server = origin.accept();
    server.read_head();
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhell");
    raw.read_kind(DATA);
    let reset = raw.read_kind(RST_STREAM);
    assert_eq!(
        (reset.stream, reset.payload),
        (3, INTERNAL.to_be_bytes().to_vec())
    );
}

#[test]
fn a_window_that_does_not_open_ends_its_stream_alone() {
    let origin = PlayedOrigin::listen();
    let lb = h2c(origin.addr(), "timeouts = { client = \"300ms\" }");
    let mut raw = Raw::connect(lb.addr());
    // No byte for answers.
    raw.send(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    raw.get(1);
    let mut server = origin.accept();
    server.read_head();
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    raw.read_kind(HEADERS);
    assert_eq!(raw.verdict(), Verdict::Reset(1, INTERNAL));
    assert!(raw.is_alive());
    server.read_end();
}

#[test]
fn a_window_that_opens_by_single_bytes_is_as_good_as_shut() {
    let origin = PlayedOrigin::listen();
    let lb = h2c(origin.addr(), "timeouts = { client = \"300ms\" }");
    let mut raw = Raw::connect(lb.addr());
    raw.send(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    raw.get(1);
    let mut server = origin.accept();
    server.read_head();
    server
        .send("HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n")
        .send([b'x'; 10_000]);
    let mut trickled = 0;
    loop {
        // As soon as one has come, the next is asked for.
        raw.send(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]);
        let frame = raw.read();
        match frame.kind {
            DATA => trickled += frame.payload.len(),
            RST_STREAM => break,
            _ => {}
        }
        assert!(trickled < 10_000, "it was sent byte by byte");
        let since = Instant::now();
        wait_until(PATIENCE, "a moment", || {
            since.elapsed() > Duration::from_millis(5)
        });
    }
    assert!(raw.is_alive());
}

#[test]
fn a_server_is_not_read_faster_than_its_client_takes() {
    let origin = PlayedOrigin::listen();
    let lb = h2c(origin.addr(), "timeouts = { client = \"5s\" }");
    let mut raw = Raw::connect(lb.addr());
    raw.get(1);
    let mut server = origin.accept();
    server.read_head();
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n");
    let taken = server.send_until_full(&vec![0; 100_000_000], Duration::from_millis(500));
    // The client's window (64 KiB), what we hold, and what sockets hold.
    assert!(taken < 10_000_000, "{taken}");
}

#[test]
fn exchanges_share_pooled_connections_and_stale_ones_are_replaced() {
    let origin = Origin::ok("hello");
    let lb = h2c(origin.addr(), "");
    let mut client = Client::connect(lb.addr());
    for _ in 0..10 {
        assert_eq!(&client.get("/").body[..], b"hello");
        client.ask(with_body("POST", "/", b"x"), None).unwrap();
    }
    assert_eq!(origin.connections(), 1);
    // Answers once, then closes when it is asked again.
    let fickle = Origin::raw(|stream, _| {
        let mut client = crate::support::RawClient::over(stream);
        client.read_head();
        client.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        client.read_head();
    });
    let lb = h2c(fickle.addr(), "");
    let mut client = Client::connect(lb.addr());
    for _ in 0..5 {
        assert_eq!(&client.get("/").body[..], b"ok");
    }
    assert_eq!(fickle.connections(), 5);
}

#[test]
fn a_server_that_refuses_connects_is_passed_over() {
    let (origin, nobody) = (Origin::ok("hello"), crate::support::free_addr());
    let lb = crate::support::Lb::start(&format!(
        "[[listen]]\nname = \"web\"\nbind = {{ address = \"127.0.0.1:0\", protocol = \"h2\" }}\n\
         server = [\"{nobody}\", \"{}\"]\n",
        origin.addr()
    ));
    let mut client = Client::connect(lb.addr());
    for _ in 0..4 {
        assert_eq!(&client.get("/").body[..], b"hello");
    }
    let lb = h2c(nobody, "");
    let answer = Client::connect(lb.addr()).get("/");
    assert_eq!(answer.head.status(), 503);
    assert_eq!(answer.head.headers()["retry-after"], "5");
}

#[test]
fn streams_of_many_clients_share_few_connections_to_an_http2_server() {
    let origin = PlayedOrigin::listen();
    let direct = h2c(origin.addr(), "");
    let lb = h2_to_h2(direct.addr(), "[listen.http2]\nstreams = 3");
    let mut clients: Vec<Raw> = (0..5).map(|_| Raw::connect(lb.addr())).collect();
    let mut servers = Vec::new();
    for client in &mut clients {
        client.get(1);
        let mut server = origin.accept();
        server.read_head();
        servers.push(server);
    }
    // Three streams each, five of them.
    assert_eq!(direct.connections(), 2);
    for (client, server) in clients.iter_mut().zip(&mut servers) {
        server.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        assert_eq!(client.body(1), b"ok");
    }
    wait_until(PATIENCE, "idle ones are closed", || {
        direct.connections() == 0
    });
}

#[test]
fn a_route_that_denies_answers_here() {
    let origin = Origin::ok("ok");
    let keys =
        "route = [{ path_prefix = \"/no\", deny = true }, { path_prefix = \"/many\", deny = 429 }]";
    let lb = h2c(origin.addr(), keys);
    let mut client = Client::connect(lb.addr());
    for (path, status) in [("/no/x", 403), ("/many", 429), ("/", 200)] {
        let answer = client.ask(request("GET", path), None).unwrap();
        assert_eq!(answer.head.status(), status, "{path}");
        let reason = answer.head.headers().get("x-rlb-reason");
        assert_eq!(reason.is_some(), status != 200);
    }
    assert_eq!(origin.requests().len(), 1);
}
