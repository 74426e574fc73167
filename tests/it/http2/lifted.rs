//! HTTP/1 clients of HTTP/2 servers.

use std::time::Duration;

use super::raw::*;
use super::{Raw, accept, answer, h2_to_h2, h2c};
use crate::support::real::{self, Part};
use crate::support::{
    Answer, End, Lb, Origin, PATIENCE, PlayedOrigin, RawClient, free_addr, temp_dir, wait_until,
};

const GET: &str = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";
const REFUSED_STREAM: u32 = 7;
const CANCEL: u32 = 8;

/// HTTP/1, then HTTP/2, then HTTP/1 again: what stands between speaks HTTP/2.
fn lifted(origin: std::net::SocketAddr, keys: &str) -> (Lb, Lb) {
    let lowers = h2c(origin, "");
    (h2_to_h2(lowers.addr(), keys), lowers)
}

#[test]
fn bodies_of_any_size_go_both_ways_on_one_connection() {
    let origin = Origin::answering(|request| {
        let chunked = request.head.field("transfer-encoding").is_some();
        let mut answer = match chunked {
            true => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
            false => format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
                request.body.len()
            ),
        }
        .into_bytes();
        answer.extend(&request.body);
        Answer::Keep(answer)
    });
    let (lb, _lowers) = lifted(origin.addr(), "");
    let body: Vec<u8> = (0..3_000_000_u32)
        .map(|i| (i.wrapping_mul(i) >> 7) as u8)
        .collect();
    let mut client = lb.client();
    for size in [0, 1, 4095, 4096, 16_385, 100_000, 3_000_000] {
        let body = &body[..size];
        let sized = format!("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: {size}\r\n\r\n");
        let mut sender = client.another();
        let (head, echoed) = std::thread::scope(|scope| {
            scope.spawn(|| sender.send(sized).send(body));
            client.read_response()
        });
        assert_eq!(head.status(), 200, "{size} by length");
        assert!(echoed == body, "{size} by length");
        let mut chunked =
            b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for piece in body.chunks(50_000) {
            chunked.extend(format!("{:x}\r\n", piece.len()).as_bytes());
            chunked.extend(piece);
            chunked.extend(b"\r\n");
        }
        chunked.extend(b"0\r\n\r\n");
        let (head, (echoed, _)) = std::thread::scope(|scope| {
            scope.spawn(|| sender.send(chunked));
            let head = client.read_head();
            (head, client.read_chunked())
        });
        assert_eq!(head.field("transfer-encoding"), Some("chunked"));
        assert!(echoed == body, "{size} in chunks");
    }
    assert_eq!(origin.requests().len(), 14);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let origin = Origin::answering(|request| {
        let line = request.head.first_line().to_owned();
        Answer::Keep(
            format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{line}",
                line.len()
            )
            .into(),
        )
    });
    let (lb, _lowers) = lifted(origin.addr(), "");
    let mut client = lb.client();
    let one = |n: u32| format!("POST /{n} HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n\r\nabc");
    client.send((0..5).map(one).collect::<String>());
    for n in 0..5 {
        let (_, line) = client.read_response();
        assert_eq!(line, format!("POST /{n} HTTP/1.1").into_bytes());
    }
}

#[test]
fn answers_without_a_body_and_interim_ones_keep_their_shape() {
    let origin = Origin::answering(|request| {
        let line = request.head.first_line();
        let answer = match line.split(' ').nth(1).unwrap() {
            "/204" => "HTTP/1.1 204 No Content\r\n\r\n",
            "/304" => "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\nETag: \"x\"\r\n\r\n",
            "/empty" => "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            "/hints" => {
                "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n\
                 HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
            }
            _ => "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
        };
        Answer::Keep(answer.into())
    });
    let (lb, _lowers) = lifted(origin.addr(), "");
    let mut client = lb.client();
    let mut ask = |method: &str, path: &str| {
        let request = format!("{method} {path} HTTP/1.1\r\nHost: test\r\n\r\n");
        client.send(request).read_head()
    };
    let head = ask("HEAD", "/");
    assert_eq!(
        (head.status(), head.field("content-length")),
        (200, Some("9"))
    );
    let head = ask("GET", "/204");
    assert_eq!((head.status(), head.field("content-length")), (204, None));
    assert_eq!(head.field("transfer-encoding"), None);
    let head = ask("GET", "/304");
    assert_eq!((head.status(), head.field("etag")), (304, Some("\"x\"")));
    let head = ask("GET", "/empty");
    assert_eq!(
        (head.status(), head.field("content-length")),
        (200, Some("0"))
    );
    let head = ask("GET", "/hints");
    assert_eq!((head.status(), head.field("link")), (103, Some("</a>")));
    let (head, body) = client.read_response();
    assert_eq!((head.status(), &body[..]), (200, &b"ok"[..]));
    // HTTP/1.0 is not told of what it does not know.
    let mut old = lb.client();
    let (head, body) = old
        .send("GET /hints HTTP/1.0\r\nHost: test\r\n\r\n")
        .read_response();
    assert_eq!((head.status(), &body[..]), (200, &b"ok"[..]));
    assert_eq!(head.field("connection"), Some("close"));
    assert_eq!(old.read_end(), (Vec::new(), End::Fin));
}

#[test]
fn trailers_go_both_ways_and_expectations_are_passed_on() {
    let origin = PlayedOrigin::listen();
    let (lb, _lowers) = lifted(origin.addr(), "");
    let mut client = lb.client();
    client.send(
        "POST / HTTP/1.1\r\nHost: test\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\
         Expect: 100-continue\r\n\r\n",
    );
    let mut server = origin.accept();
    assert_eq!(server.read_head().field("expect"), Some("100-continue"));
    server.send("HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(client.read_head().status(), 100);
    client.send("2\r\nhi\r\n0\r\nX-Sum: 1\r\nHost: evil\r\n\r\n");
    let (body, trailers) = server.read_chunked();
    assert_eq!(body, b"hi");
    assert_eq!(trailers.len(), 1, "{trailers:?}");
    assert_eq!(trailers[0].to_lowercase(), "x-sum: 1");
    server.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-End\r\n\r\n3\r\nyes\r\n0\r\nX-End: 2\r\n\r\n");
    let head = client.read_head();
    assert_eq!(head.field("transfer-encoding"), Some("chunked"));
    let (body, trailers) = client.read_chunked();
    assert_eq!(body, b"yes");
    assert_eq!(trailers[0].to_lowercase(), "x-end: 2");
}

#[test]
fn the_server_is_told_what_an_http1_server_is_told() {
    let origin = Origin::ok("ok");
    let (lb, _lowers) = lifted(origin.addr(), "");
    let mut client = lb.client();
    let (head, _) = client
        .send(
            "GET /a?b HTTP/1.1\r\nHost: Shop.test:80\r\nConnection: upgrade, x-hop\r\n\
             Upgrade: websocket\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nX-Own: 2\r\nCookie: a=b\r\n\r\n",
        )
        .read_response();
    assert_eq!(head.status(), 200);
    let request = &origin.requests()[0].head;
    assert_eq!(request.first_line(), "GET /a?b HTTP/1.1");
    assert_eq!(request.field("host"), Some("Shop.test:80"));
    assert_eq!(request.field("x-own"), Some("2"));
    assert_eq!(request.field("cookie"), Some("a=b"));
    assert_eq!(request.field("x-forwarded-host"), Some("Shop.test:80"));
    for gone in ["upgrade", "x-hop", "keep-alive", "connection"] {
        assert_eq!(request.field(gone), None, "{gone}");
    }
    // HTTP/1.0 may leave the host out, HTTP/2 may not: it is told what HTTP/1.1 would be.
    let (head, _) = lb.client().send("GET / HTTP/1.0\r\n\r\n").read_response();
    assert_eq!(head.status(), 200);
    assert_eq!(origin.requests()[1].head.field("host"), Some("localhost"));
}

#[test]
fn bodies_over_the_limit_and_broken_ones_are_refused() {
    let origin = Origin::ok("ok");
    let (lb, _lowers) = lifted(origin.addr(), "limits = { body = \"10B\" }");
    let chunked = "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (body, status) in [("b\r\n12345678901\r\n0\r\n\r\n", 413), ("zz\r\n", 400)] {
        let mut client = lb.client();
        let (head, _) = client.send([chunked, body].concat()).read_response();
        assert_eq!(head.status(), status, "{body}");
        assert_eq!(head.field("connection"), Some("close"));
        assert_eq!(client.read_end().1, End::Fin);
    }
}

#[test]
fn resets_of_the_server_become_what_http1_knows() {
    let origin = PlayedOrigin::listen();
    let lb = h2_to_h2(origin.addr(), "");
    // Before an answer: 502, and the connection stays.
    let mut client = lb.client();
    client.send(GET);
    let mut server = accept(&origin);
    assert_eq!(server.read_kind(HEADERS).stream, 1);
    server.send(RST_STREAM, 0, 1, &CANCEL.to_be_bytes());
    assert_eq!(client.read_response().0.status(), 502);
    // One that was not looked at is sent again, whatever it is.
    client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n");
    let stream = server.read_kind(HEADERS).stream;
    server.send(RST_STREAM, 0, stream, &REFUSED_STREAM.to_be_bytes());
    let stream = server.read_kind(HEADERS).stream;
    answer(&mut server, stream, 0, &[("content-length", "2")]);
    server.send(DATA, END_STREAM, stream, b"ok");
    assert_eq!(client.read_response().1, b"ok");
    // Amid a body the close tells it, where the length or the chunks do not.
    client.send(GET);
    let stream = server.read_kind(HEADERS).stream;
    answer(&mut server, stream, 0, &[("content-length", "10")]);
    server.send(DATA, 0, stream, b"half");
    assert_eq!(client.read_head().status(), 200);
    assert_eq!(client.read_bytes(4), b"half");
    server.send(RST_STREAM, 0, stream, &CANCEL.to_be_bytes());
    assert_eq!(client.read_end(), (Vec::new(), End::Fin));
    let mut old = lb.client();
    old.send("GET / HTTP/1.0\r\nHost: test\r\n\r\n");
    let stream = server.read_kind(HEADERS).stream;
    answer(&mut server, stream, 0, &[]);
    server.send(DATA, 0, stream, b"half");
    assert_eq!(old.read_head().status(), 200);
    assert_eq!(old.read_bytes(4), b"half");
    server.send(RST_STREAM, 0, stream, &CANCEL.to_be_bytes());
    assert_eq!(old.read_end(), (Vec::new(), End::Reset));
}

#[test]
fn a_client_that_leaves_takes_its_request_back() {
    let origin = PlayedOrigin::listen();
    let lb = h2_to_h2(origin.addr(), "");
    let mut client = lb.client();
    client.send(GET);
    let mut server = accept(&origin);
    let stream = server.read_kind(HEADERS).stream;
    client.reset();
    assert_eq!(server.verdict(), Verdict::Reset(stream, CANCEL));
    // A FIN behind a whole request does not.
    let mut client = lb.client();
    client.send(GET).finish_sending();
    let stream = server.read_kind(HEADERS).stream;
    answer(&mut server, stream, END_STREAM, &[]);
    let (head, _) = client.read_response();
    assert_eq!(
        (head.status(), head.field("content-length")),
        (200, Some("0"))
    );
    // Amid its body it does.
    let mut client = lb.client();
    client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 9\r\n\r\nhalf");
    let stream = server.read_kind(HEADERS).stream;
    server.read_kind(DATA);
    drop(client);
    assert_eq!(server.verdict(), Verdict::Reset(stream, CANCEL));
    assert!(server.is_alive(), "the connection is of use to others");
}

#[test]
fn who_is_too_slow_is_told() {
    let origin = PlayedOrigin::listen();
    let keys = "timeouts = { server = \"200ms\", client = \"200ms\" }";
    let lb = h2_to_h2(origin.addr(), keys);
    let mut client = lb.client();
    client.send(GET);
    let mut server = accept(&origin);
    server.read_kind(HEADERS);
    assert_eq!(client.read_response().0.status(), 504);
    let mut client = lb.client();
    client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 9\r\n\r\nhalf");
    assert_eq!(client.read_response().0.status(), 408);
    // Nobody there at all.
    let lb = h2_to_h2(free_addr(), "retries = 1");
    let mut client = lb.client();
    for _ in 0..2 {
        assert_eq!(client.send(GET).read_response().0.status(), 503);
    }
}

#[test]
fn neither_side_is_read_faster_than_the_other_takes() {
    let origin = PlayedOrigin::listen();
    let lb = h2_to_h2(origin.addr(), "");
    let mut client = lb.client();
    client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1000000000\r\n\r\n");
    let mut server = accept(&origin);
    let stream = server.read_kind(HEADERS).stream;
    let sent = client.send_until_full(&[b'x'; 64 << 10], Duration::from_millis(300));
    assert!(
        sent < 16 << 20,
        "{sent} bytes taken with a window of 64 KiB"
    );
    let mut taken = 0;
    while taken < 65_535 {
        let data = server.read_kind(DATA);
        assert_eq!(data.stream, stream);
        taken += data.payload.len();
    }
    assert_eq!(taken, 65_535, "all that its window allows");
    // The answer of another: more than its client takes does not leave the server.
    let mut idle = lb.client();
    idle.send(GET);
    let stream = server.read_kind(HEADERS).stream;
    answer(&mut server, stream, 0, &[]);
    server.send(DATA, 0, stream, &[b'y'; 16_384]);
    server.send(DATA, 0, stream, &[b'y'; 16_384]);
    assert_eq!(idle.read_head().status(), 200);
    let updates = |server: &mut Raw| server.read_kind(WINDOW_UPDATE);
    updates(&mut server);
    drop((client, idle));
}

#[test]
fn what_came_of_it_is_logged_and_counted() {
    let (dir, origin) = (temp_dir(), Origin::ok("hello"));
    let file = dir.path().join("access.json");
    let lowers = h2c(origin.addr(), "");
    let log = format!(
        "protocol = \"h2\"\n[[log]]\ntarget = \"file:{}\"\nformat = \"json\"\n",
        file.display()
    );
    let lb = h2c(lowers.addr(), &log);
    let mut client = lb.client();
    for _ in 0..2 {
        assert_eq!(client.send(GET).read_response().1, b"hello");
    }
    let text = || std::fs::read_to_string(&file).unwrap_or_default();
    wait_until(PATIENCE, "two lines", || text().lines().count() == 2);
    for line in text().lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["version"], "HTTP/1.1");
        assert_eq!((&line["status"], &line["end"]), (&200.into(), &"--".into()));
        assert!(line["bytes_out"].as_u64().unwrap() > 5, "{line}");
        assert!(line["server"].is_string(), "{line}");
    }
    assert_eq!(lowers.connections(), 1, "one connection carries both");
}

#[test]
fn curl_reaches_an_nginx_that_speaks_http2_alone() {
    let addr = free_addr();
    let directives =
        format!("listen {addr} http2;\nlocation / {{ return 200 \"$server_protocol\"; }}");
    let Some(_nginx) = real::nginx(&directives) else {
        return;
    };
    let lb = h2_to_h2(addr, "");
    let (head, body) = lb.client().send(GET).read_response();
    assert_eq!((head.status(), &body[..]), (200, &b"HTTP/2.0"[..]));
    let Some(curl) = real::tool(Part::Curl) else {
        return;
    };
    let url = format!("http://{}/", lb.addr());
    let said = curl.run(["-sS", "--http1.1", "--max-time", "10", &url, &url]);
    assert_eq!(said.stdout, "HTTP/2.0HTTP/2.0", "{}", said.stderr);
}

/// A server that takes requests and never answers a PING.
#[test]
fn a_server_that_answers_no_ping_is_given_up() {
    let origin = PlayedOrigin::listen();
    let lb = h2_to_h2(origin.addr(), "http2 = { ping = \"1s\" }");
    let mut client: RawClient = lb.client();
    // Not to be sent twice.
    client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n");
    let mut server = accept(&origin);
    server.read_kind(HEADERS);
    assert_eq!(server.read_kind(PING).flags, 0);
    // Long before timeouts.server, which is a minute.
    assert_eq!(client.read_response().0.status(), 502);
    assert!(matches!(server.read_end(), End::Fin | End::Reset));
    // The next goes on a connection of its own, and one that answers is kept.
    client.send(GET);
    let mut server = accept(&origin);
    let stream = server.read_kind(HEADERS).stream;
    for _ in 0..3 {
        let ping = server.read_kind(PING);
        server.send(PING, ACK, 0, &ping.payload);
    }
    answer(&mut server, stream, END_STREAM, &[]);
    assert_eq!(client.read_response().0.status(), 200);
}
