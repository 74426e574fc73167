//! Clients that leave while we connect to their server (HTTP.md 4.9, 4.11; HAProxy's `CC`).

use std::net::SocketAddr;

use crate::support::authority::{Authority, GET as TLS_GET};
use crate::support::{DeafOrigin, Lb, PATIENCE, RawClient, wait_until};

const GET: &str = "GET /a HTTP/1.1\r\nHost: test\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
/// What the client of these does, its server never says: there is no other way to an end.
const FOR_EVER: &str =
    "retries = 0\ntimeouts = { connect = \"1h\", server = \"1h\", client = \"1h\" }";

fn before(server: SocketAddr, keys: &str) -> Lb {
    Lb::start(&format!(
        "[[listen]]\nname = \"web\"\nbind = \"127.0.0.1:0\"\nserver = {{ name = \"s1\", address = \"{server}\" }}\n\
         {keys}\n{FOR_EVER}\n"
    ))
}

/// Under way at the server are so many.
#[track_caller]
fn under_way(lb: &Lb, requests: u64) {
    let what = format!("{requests} under way");
    wait_until(PATIENCE, &what, || {
        lb.server("web", "s1").current == requests
    });
}

#[test]
fn a_reset_is_noticed_whatever_was_sent() {
    let origin = DeafOrigin::listen();
    let lb = before(origin.addr(), "");
    let body = "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 9\r\n\r\nhalf";
    let chunk = "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n";
    for request in [GET, &GET.repeat(3), body, chunk] {
        let mut client = lb.client();
        client.send(request);
        under_way(&lb, 1);
        client.reset();
        under_way(&lb, 0);
    }
    // Also behind a FIN, and behind more than anybody reads ahead.
    let mut client = lb.client();
    client.send(GET.repeat(1000)).finish_sending();
    under_way(&lb, 1);
    client.reset();
    under_way(&lb, 0);
    assert_eq!(lb.server("web", "s1").aborts, (0, 0), "as HAProxy counts");
    assert_eq!(lb.server("web", "s1").connect_errors, 0);
}

#[test]
fn a_fin_amid_a_body_is_noticed() {
    let origin = DeafOrigin::listen();
    let lb = before(origin.addr(), "");
    for request in [
        "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 9\r\n\r\nhalf",
        "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 9\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ] {
        let mut client = lb.client();
        client.send(request);
        under_way(&lb, 1);
        client.finish_sending();
        under_way(&lb, 0);
        client.read_end();
    }
}

#[test]
fn a_fin_behind_a_whole_request_is_not_the_end() {
    let origin = DeafOrigin::listen();
    let lb = before(origin.addr(), "");
    let big = format!(
        "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 100000\r\n\r\n{}",
        "x".repeat(100_000)
    );
    let chunked =
        "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n\r\n";
    let mut clients: Vec<RawClient> = [GET, &big, chunked]
        .iter()
        .map(|request| {
            let mut client = lb.client();
            client.send(request).finish_sending();
            client
        })
        .collect();
    under_way(&lb, 3);
    let origin = origin.hear();
    for _ in &clients {
        let mut server = origin.accept();
        let head = server.read_head();
        if head.field("content-length").is_some() {
            server.read_bytes(100_000);
        }
        server.send(OK);
    }
    for client in &mut clients {
        assert_eq!(client.read_response().1, b"ok");
    }
}

#[test]
fn a_reset_under_tls_is_noticed() {
    let (ca, origin) = (Authority::new("ca"), DeafOrigin::listen());
    let file = ca.write("a.pem", &["a.test"]);
    let lb = Lb::start(&format!(
        "[[listen]]\nname = \"web\"\nbind = {{ address = \"127.0.0.1:0\", tls = true }}\n\
         tls = {{ certificates = [{file:?}] }}\n\
         server = {{ name = \"s1\", address = \"{}\" }}\n{FOR_EVER}\n",
        origin.addr(),
    ));
    let mut client = ca.connect(lb.addr(), "a.test");
    std::io::Write::write_all(&mut client, TLS_GET.as_bytes()).unwrap();
    under_way(&lb, 1);
    RawClient::over(client.sock).reset();
    under_way(&lb, 0);
}

#[test]
fn a_session_that_says_nothing_and_ends_is_over_and_one_that_spoke_is_not() {
    let origin = DeafOrigin::listen();
    let lb = before(origin.addr(), "mode = \"tcp\"");
    let mut client = lb.client();
    under_way(&lb, 1);
    client.finish_sending();
    under_way(&lb, 0);
    client.read_end();
    let mut client = lb.client();
    client.send("hello");
    under_way(&lb, 1);
    client.reset();
    under_way(&lb, 0);
    let mut client = lb.client();
    client.send("hello").finish_sending();
    under_way(&lb, 1);
    let mut server = origin.hear().accept();
    assert_eq!(server.read_until_close(), b"hello");
    server.send("bye");
    drop(server);
    assert_eq!(client.read_until_close(), b"bye");
}
