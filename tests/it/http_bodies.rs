//! Bodies: framing, trailers, sizes, both directions at once (RFC 9112 6 and 7).

use std::io::{Read as _, Write as _};
use std::thread;

use sha2::{Digest as _, Sha256};

use crate::support::{Answer, End, Lb, Origin, PlayedOrigin, RawClient};

const GET: &str = "GET /a HTTP/1.1\r\nHost: test\r\n\r\n";

/// A client that has sent `request`, and the server that has read its head.
fn asked(lb: &Lb, origin: &PlayedOrigin, request: &str) -> (RawClient, RawClient) {
    let mut client = lb.client();
    client.send(request);
    let mut server = origin.accept();
    server.read_head();
    (client, server)
}

/// `n` bytes that repeat late enough for a block out of place to show.
fn noise(n: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut bytes = Vec::with_capacity(n + 4);
    while bytes.len() < n {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        bytes.extend_from_slice(&state.to_be_bytes());
    }
    bytes.truncate(n);
    bytes
}

#[test]
fn a_chunked_request_with_trailers_stays_chunked() {
    // HTTP.md 2.8, 2.9: extensions are dropped, trailers filtered.
    let origin = Origin::ok("hello");
    let lb = Lb::before(origin.addr());
    let mut client = lb.client();
    client.send(
        "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: CHUNKED\r\nTrailer: X-Sum\r\n\r\n\
         3;a=b;c=\"d\\\"e\"\r\nabc\r\n000a\r\n0123456789\r\n00\r\nX-Sum: 7\r\nHost: evil\r\n\
         Content-Length: 3\r\nTransfer-Encoding: x\r\nX-Forwarded-For: evil\r\nAuthorization: evil\r\n\r\n",
    );
    client.send(GET);
    assert_eq!(client.read_response().1, b"hello");
    assert_eq!(client.read_response().1, b"hello");
    let seen = &origin.requests()[0];
    assert_eq!(seen.head.field("transfer-encoding"), Some("chunked"));
    let body = String::from_utf8(seen.body.clone()).unwrap();
    assert_eq!(body, "d\r\nabc0123456789\r\n0\r\nX-Sum: 7\r\n\r\n");
}

#[test]
fn a_chunked_answer_with_trailers_stays_chunked() {
    let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
        3;x\r\nabc\r\n0\r\nX-Sum: 7\r\nSet-Cookie: evil\r\nContent-Length: 9\r\nConnection: x\r\n\r\n";
    let origin = Origin::answering(|_| Answer::Keep(answer.as_bytes().to_vec()));
    let lb = Lb::before(origin.addr());
    let mut client = lb.client();
    for _ in 0..3 {
        let head = client.send(GET).read_head();
        assert_eq!(head.field("transfer-encoding"), Some("chunked"));
        assert_eq!(head.field("trailer"), Some("X-Sum"));
        let (body, trailers) = client.read_chunked();
        assert_eq!(body, b"abc");
        assert!(trailers.contains(&"X-Sum: 7".to_owned()), "{trailers:?}");
        for forbidden in ["content-length", "connection"] {
            let named = |line: &String| line.to_ascii_lowercase().starts_with(forbidden);
            assert!(!trailers.iter().any(named), "{trailers:?}");
        }
    }
    assert_eq!(origin.connections(), 1);
    // Never chunked to 1.0 (9112 6.1).
    let mut old = lb.client();
    old.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    let head = old.read_head();
    assert_eq!(head.field("transfer-encoding"), None);
    assert_eq!(head.field("trailer"), None);
    assert_eq!(head.field("connection"), Some("close"));
    assert_eq!(old.read_end(), (b"abc".to_vec(), End::Fin));
}

#[test]
fn a_close_delimited_answer_is_chunked_for_1_1() {
    // 9112 6.3.
    for body in [String::new(), "abc".to_owned(), "x".repeat(100_000)] {
        let answer = format!("HTTP/1.0 200 OK\r\nX: y\r\n\r\n{body}");
        let origin = Origin::answering(move |_| Answer::Close(answer.clone().into_bytes()));
        let lb = Lb::before(origin.addr());
        let mut client = lb.client();
        for _ in 0..3 {
            let (head, got) = client.send(GET).read_response();
            assert_eq!(head.field("transfer-encoding"), Some("chunked"));
            assert_eq!(head.field("connection"), None);
            assert_eq!(got, body.as_bytes());
        }
        let mut old = lb.client();
        old.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        let head = old.read_head();
        assert_eq!(head.field("connection"), Some("close"));
        assert_eq!(old.read_end(), (body.clone().into_bytes(), End::Fin));
    }
}

#[test]
fn answers_without_a_body_end_with_their_head() {
    for (request, answer) in [
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
        (
            "HEAD",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        ),
        ("HEAD", "HTTP/1.1 200 OK\r\n\r\n"),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n"),
        (
            "GET",
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
        ),
        ("GET", "HTTP/1.1 304 Not Modified\r\n\r\n"),
        ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        (
            "GET",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
    ] {
        let origin = Origin::answering(|_| Answer::Keep(answer.as_bytes().to_vec()));
        let lb = Lb::before(origin.addr());
        let mut client = lb.client();
        for _ in 0..3 {
            client.send(format!("{request} / HTTP/1.1\r\nHost: test\r\n\r\n"));
            let head = client.read_head();
            assert_eq!(head.first_line(), answer.split("\r\n").next().unwrap());
            assert_eq!(head.field("connection"), None);
            if answer.ends_with("0\r\n\r\n") && answer.contains("chunked") {
                assert_eq!(client.read_chunked().0, b"");
            } else if answer.contains("Content-Length: 5") {
                assert_eq!(head.field("content-length"), Some("5"));
            }
        }
        assert!(client.is_quiet());
        assert_eq!(origin.connections(), 1, "{answer:?}");
    }
}

#[test]
fn pieces_are_passed_on_at_once() {
    // HTTP.md 3.11: no wait for more, in either direction.
    let origin = PlayedOrigin::listen();
    let lb = Lb::before(origin.addr());
    let post = "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n";
    let (mut client, mut server) = asked(&lb, &origin, post);
    // An echo: the answer begins before the request has ended.
    server.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    let head = client.read_head();
    assert_eq!(head.field("connection"), Some("close"));
    for n in 0..50 {
        let piece = format!("3\r\n{n:03}\r\n");
        client.send(&piece);
        assert_eq!(server.read_bytes(8), piece.as_bytes());
        server.send(&piece);
        assert_eq!(client.read_bytes(8), piece.as_bytes());
    }
    client.send("0\r\n\r\n");
    assert_eq!(server.read_chunked().0, b"");
    server.send("0\r\n\r\n");
    assert_eq!(client.read_end(), (b"0\r\n\r\n".to_vec(), End::Fin));
}

#[test]
fn sizes_around_every_buffer_arrive_whole() {
    let origin = Origin::answering(|request| {
        let mut answer = match request.head.field("content-length") {
            Some(length) => format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"),
            None => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
        }
        .into_bytes();
        answer.extend_from_slice(&request.body);
        Answer::Keep(answer)
    });
    let lb = Lb::before(origin.addr());
    let mut client = lb.client();
    let sizes = [4 << 10, 8 << 10, 32 << 10, 64 << 10, 72 << 10, 256 << 10];
    for size in sizes
        .into_iter()
        .flat_map(|size| (size - 200..size + 40).step_by(19))
    {
        let body = noise(size);
        client.send(format!(
            "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: {size}\r\n\r\n"
        ));
        client.send(&body);
        assert!(client.read_response().1 == body, "{size} with a length");
        client.send("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n");
        for chunk in body.chunks(30_000) {
            client
                .send(format!("{:x}\r\n", chunk.len()))
                .send(chunk)
                .send("\r\n");
        }
        client.send("0\r\n\r\n");
        assert!(client.read_response().1 == body, "{size} chunked");
    }
    assert_eq!(origin.connections(), 1);
}

/// 64 MiB, by length or in chunks.
const LARGE: usize = 64 << 20;

#[test]
fn large_answers_arrive_unchanged() {
    let body = noise(1 << 20);
    let digest = |times: usize| {
        let mut sum = Sha256::new();
        (0..times).for_each(|_| sum.update(&body));
        sum.finalize()
    };
    let wanted = digest(LARGE >> 20);
    let block = body.clone();
    let origin = Origin::raw(move |mut stream, _| {
        let mut server = RawClient::over(stream.try_clone().unwrap());
        loop {
            let chunked = server.read_head().first_line().contains("/chunked");
            if chunked {
                server.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            } else {
                server.send(format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n"
                ));
            }
            for _ in 0..LARGE >> 20 {
                if chunked {
                    write!(stream, "{:x}\r\n", block.len()).unwrap();
                }
                stream.write_all(&block).unwrap();
                if chunked {
                    stream.write_all(b"\r\n").unwrap();
                }
            }
            if chunked {
                return stream.write_all(b"0\r\n\r\n").unwrap();
            }
        }
    });
    let lb = Lb::before(origin.addr());
    let mut client = lb.client();
    client
        .send("GET /length HTTP/1.1\r\nHost: test\r\n\r\n")
        .read_head();
    let mut sum = Sha256::new();
    for _ in 0..LARGE >> 16 {
        sum.update(client.read_bytes(1 << 16));
    }
    assert_eq!(sum.finalize(), wanted);
    client.send("GET /chunked HTTP/1.1\r\nHost: test\r\n\r\n");
    let (_, body) = client.read_response();
    assert_eq!(body.len(), LARGE);
    assert_eq!(Sha256::digest(body), wanted);
}

#[test]
fn large_requests_arrive_unchanged() {
    let body = noise(1 << 20);
    let mut wanted = Sha256::new();
    (0..LARGE >> 20).for_each(|_| wanted.update(&body));
    let wanted = wanted.finalize();
    let origin = Origin::raw(|mut stream, _| {
        let mut server = RawClient::over(stream.try_clone().unwrap());
        loop {
            let mut sum = Sha256::new();
            let chunked = server.read_head().field("transfer-encoding").is_some();
            if chunked {
                sum.update(server.read_chunked().0);
            } else {
                let mut bytes = vec![0; 1 << 16];
                let ahead = server.read_ahead();
                sum.update(&ahead);
                let mut left = LARGE - ahead.len();
                while left > 0 {
                    let n = stream.read(&mut bytes).unwrap();
                    sum.update(&bytes[..n]);
                    left -= n;
                }
            }
            let digest = sum.finalize();
            server.send(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
                digest.len()
            ));
            server.send(digest);
            if chunked {
                return;
            }
        }
    });
    let lb = Lb::before(origin.addr());
    let mut client = lb.client();
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: {LARGE}\r\n\r\n"
    ));
    for _ in 0..LARGE >> 20 {
        client.send(&body);
    }
    assert_eq!(client.read_response().1, wanted.to_vec());
    client.send("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n");
    for _ in 0..LARGE >> 20 {
        client
            .send(format!("{:x}\r\n", body.len()))
            .send(&body)
            .send("\r\n");
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.read_response().1, wanted.to_vec());
}

#[test]
fn a_large_body_flows_both_ways_at_once() {
    let origin = Origin::raw(|mut stream, _| {
        let mut server = RawClient::over(stream.try_clone().unwrap());
        let head = server.read_head();
        let length = head.field("content-length").unwrap();
        server.send(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"
        ));
        stream.write_all(&server.read_ahead()).unwrap();
        let mut bytes = vec![0; 1 << 16];
        while let Ok(n @ 1..) = stream.read(&mut bytes) {
            stream.write_all(&bytes[..n]).unwrap();
        }
    });
    let lb = Lb::before(origin.addr());
    let body = noise(16 << 20);
    let mut client = lb.client();
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n",
        body.len()
    ));
    let mut sending = client.another();
    let sent = body.clone();
    let sender = thread::spawn(move || {
        sending.send(sent);
    });
    client.read_head();
    let got = client.read_bytes(body.len());
    assert!(got == body);
    sender.join().unwrap();
}
