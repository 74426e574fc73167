//! Interim answers and upgrades (RFC 9110 10.1.1, 15.2, 7.8; RFC 6455).

use std::io::{Read as _, Write as _};

use crate::support::{End, Lb, Origin, PATIENCE, PlayedOrigin, RawClient, wait_until};

const GET: &str = "GET /a HTTP/1.1\r\nHost: test\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const CONTINUE: &str = "HTTP/1.1 100 Continue\r\n\r\n";
const EXPECT: &str =
    "POST /b HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
const UPGRADE: &str = "GET /ws HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// A client that has sent `request`, and the server that has read its head.
fn asked(lb: &Lb, origin: &PlayedOrigin, request: &str) -> (RawClient, RawClient) {
    let mut client = lb.client();
    client.send(request);
    let mut server = origin.accept();
    server.read_head();
    (client, server)
}

#[test]
fn a_client_may_wait_for_100() {
    let origin = PlayedOrigin::listen();
    let lb = Lb::before(origin.addr());
    let (mut client, mut server) = asked(&lb, &origin, EXPECT);
    assert!(server.is_quiet());
    server.send(CONTINUE);
    assert_eq!(client.read_head().0, "HTTP/1.1 100 Continue");
    client.send("hi");
    assert_eq!(server.read_bytes(2), b"hi");
    server.send(OK);
    assert_eq!(client.read_response().1, b"ok");
    // Both connections stay.
    client.send(GET);
    server.read_head();
    server.send(OK);
    assert_eq!(client.read_response().0.field("connection"), None);
}

#[test]
fn expect_is_passed_on_and_a_client_need_not_wait() {
    let origin = PlayedOrigin::listen();
    let lb = Lb::before(origin.addr());
    let mut client = lb.client();
    client.send(EXPECT).send("hi");
    let mut server = origin.accept();
    assert_eq!(server.read_head().field("expect"), Some("100-continue"));
    assert_eq!(server.read_bytes(2), b"hi");
    server.send(CONTINUE).send(OK);
    assert_eq!(client.read_head().status(), 100);
    assert_eq!(client.read_response().1, b"ok");
}

#[test]
fn a_final_answer_without_100_ends_the_connection() {
    let origin = PlayedOrigin::listen();
    let lb = Lb::before(origin.addr());
    let (mut client, mut server) = asked(&lb, &origin, EXPECT);
    server.send("HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno");
    let (head, body) = client.read_response();
    assert_eq!((head.status(), body.as_slice()), (401, &b"no"[..]));
    assert_eq!(head.field("connection"), Some("close"));
    // The body that may still come is not read as a request.
    client.try_send("hi");
    assert_eq!(client.read_until_close(), b"");
    assert_eq!(server.read_until_close(), b"");
}

#[test]
fn early_hints_come_before_the_answer() {
    // RFC 8297: with their fields; hop-by-hop ones and framing removed.
    let origin = PlayedOrigin::listen();
    let lb = Lb::before(origin.addr());
    let (mut client, mut server) = asked(&lb, &origin, GET);
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nConnection: x\r\nX: 1\r\nContent-Length: 5\r\n\r\n";
    server.send(hints);
    assert_eq!(
        client.read_head().0,
        "HTTP/1.1 103 Early Hints\r\nLink: </a.css>"
    );
    // Several at once, and the final one right behind.
    server.send(format!("{hints}{CONTINUE}{OK}"));
    assert_eq!(client.read_head().status(), 103);
    assert_eq!(client.read_head().status(), 100);
    assert_eq!(client.read_response().1, b"ok");
}

#[test]
fn http_1_0_clients_get_no_interim_answer() {
    // 9110 15.2; also when the final answer comes in the same segment.
    let origin = PlayedOrigin::listen();
    let lb = Lb::before(origin.addr());
    for at_once in [true, false] {
        let (mut client, mut server) = asked(&lb, &origin, "GET / HTTP/1.0\r\n\r\n");
        if at_once {
            server.send(format!("{CONTINUE}{CONTINUE}{OK}"));
        } else {
            server.send(CONTINUE);
            server.send(OK);
        }
        assert_eq!(client.read_response().0.status(), 200);
        assert_eq!(client.read_end(), (Vec::new(), End::Fin));
        // One connection each: what was pooled would be used again.
        drop(server);
    }
}

#[test]
fn interim_answers_are_bounded() {
    let origin = PlayedOrigin::listen();
    let lb = Lb::before(origin.addr());
    let (mut client, mut server) = asked(&lb, &origin, GET);
    server.try_send(CONTINUE.repeat(10_000));
    let mut interims = 0;
    while client.read_head().status() == 100 {
        interims += 1;
    }
    assert_eq!(interims, 100);
    server.read_until_close();
}

#[test]
fn websocket_bytes_flow_both_ways_after_101() {
    let origin = Origin::raw(|stream, _| {
        let mut server = RawClient::over(stream.try_clone().unwrap());
        let head = server.read_head();
        assert_eq!(head.field("upgrade"), Some("websocket"));
        assert_eq!(head.field("connection"), Some("Upgrade"));
        // The server's first frame comes with its head.
        server.send(format!("{SWITCHING}first"));
        let mut stream = stream;
        let mut bytes = [0; 4096];
        while let Ok(n @ 1..) = stream.read(&mut bytes) {
            stream.write_all(&bytes[..n]).unwrap();
        }
        stream.write_all(b"bye").unwrap();
    });
    let lb = Lb::before(origin.addr());
    let mut client = lb.client();
    client.send(UPGRADE);
    let head = client.read_head();
    assert_eq!(head.status(), 101);
    assert_eq!(head.field("upgrade"), Some("websocket"));
    assert_eq!(head.field("connection"), Some("Upgrade"));
    assert_eq!(
        head.field("sec-websocket-accept"),
        Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    );
    assert_eq!(head.field("date"), None);
    assert_eq!(client.read_bytes(5), b"first");
    for _ in 0..100 {
        client.send(b"\x81\x05hello");
        assert_eq!(client.read_bytes(7), b"\x81\x05hello");
    }
    client.finish_sending();
    assert_eq!(client.read_end(), (b"bye".to_vec(), End::Fin));
}

#[test]
fn bytes_sent_before_101_wait_for_it() {
    // HTTP.md 3.9: no tunnel before the server has agreed.
    let origin = PlayedOrigin::listen();
    let lb = Lb::before(origin.addr());
    let mut client = lb.client();
    client.send(UPGRADE).send("early");
    let mut server = origin.accept();
    server.read_head();
    assert!(server.is_quiet());
    server.send(SWITCHING);
    assert_eq!(client.read_head().status(), 101);
    assert_eq!(server.read_bytes(5), b"early");
    // A FIN passes one way, the other flows on.
    client.finish_sending();
    assert_eq!(server.read_end(), (Vec::new(), End::Fin));
    server.send("late");
    drop(server);
    assert_eq!(client.read_end(), (b"late".to_vec(), End::Fin));
}

#[test]
fn a_fin_before_101_is_passed_on_after_it() {
    let origin = PlayedOrigin::listen();
    let lb = Lb::before(origin.addr());
    let mut client = lb.client();
    client.send(UPGRADE).send("early").finish_sending();
    let mut server = origin.accept();
    server.read_head();
    server.send(SWITCHING);
    assert_eq!(client.read_head().status(), 101);
    assert_eq!(server.read_end(), (b"early".to_vec(), End::Fin));
    server.send("late");
    drop(server);
    assert_eq!(client.read_end(), (b"late".to_vec(), End::Fin));
}

#[test]
fn a_reset_passes_through_a_tunnel() {
    let origin = PlayedOrigin::listen();
    let lb = Lb::before(origin.addr());
    for client_resets in [true, false] {
        let (mut client, mut server) = asked(&lb, &origin, UPGRADE);
        server.send(SWITCHING);
        client.read_head();
        let mut left = if client_resets {
            client.reset();
            server
        } else {
            server.reset();
            client
        };
        assert_eq!(left.read_end(), (Vec::new(), End::Reset));
    }
}

#[test]
fn an_idle_tunnel_is_cut_after_its_time() {
    let origin = PlayedOrigin::listen();
    let lb = Lb::with(
        origin.addr(),
        "timeouts = { tunnel = \"1500ms\", client = \"1s\", server = \"1s\" }",
    );
    let (mut client, mut server) = asked(&lb, &origin, UPGRADE);
    server.send(SWITCHING);
    client.read_head();
    client.read_until_close();
    server.read_until_close();
}

#[test]
fn an_upgrade_is_not_passed_on_with_a_body_or_to_http_2() {
    // HTTP.md 3.9, 4.3.
    let origin = Origin::ok("hello");
    let lb = Lb::before(origin.addr());
    for request in [
        "POST / HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\nhi",
        "GET / HTTP/1.1\r\nHost: test\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    ] {
        assert_eq!(lb.client().send(request).read_response().0.status(), 200);
        let seen = origin.requests().pop().unwrap().head;
        for field in ["upgrade", "connection", "http2-settings"] {
            assert_eq!(seen.field(field), None, "{request}");
        }
    }
}

#[test]
fn a_tunnel_has_left_the_pool() {
    let origin = PlayedOrigin::listen();
    let lb = Lb::before(origin.addr());
    let (mut client, mut server) = asked(&lb, &origin, UPGRADE);
    server.send(SWITCHING);
    client.read_head();
    let (mut other, mut fresh) = asked(&lb, &origin, GET);
    fresh.send(OK);
    assert_eq!(other.read_response().1, b"ok");
    drop(client);
    wait_until(PATIENCE, "the server is told", || !server.is_quiet());
    server.read_until_close();
}
