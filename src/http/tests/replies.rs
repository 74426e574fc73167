//! Response heads as sent to the client.

use super::super::{Asked, Reply, ResponseFraming, Version, reply_framing, write_response};
use super::{asked, read_response};

const DATE: &[u8; 29] = b"Sun, 06 Nov 1994 08:49:37 GMT";

fn sent_for(head: &str, asked: Asked, version: Version, keep_alive: bool) -> String {
    let mut out = Vec::new();
    read_response(head.as_bytes(), asked, |head| {
        let reply = Reply {
            version,
            keep_alive,
            framing: reply_framing(head, version),
            date: DATE,
            via: None,
            cookie: None,
        };
        write_response(head, &reply, &mut out);
    })
    .unwrap()
    .unwrap();
    String::from_utf8(out).unwrap()
}

fn sent(head: &str) -> String {
    sent_for(head, Asked::default(), Version::Http11, true)
}

#[test]
fn a_head_is_built_anew() {
    // 9110 2.5, 6.6.1: our version, a Date.
    assert_eq!(
        sent("HTTP/1.0 200 OK\r\nSet-Cookie: a\r\nset-cookie:b \r\nContent-Length: 05\r\n\r\n"),
        "HTTP/1.1 200 OK\r\nSet-Cookie: a\r\nset-cookie: b\r\n\
         Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 5\r\n\r\n"
    );
    assert_eq!(
        sent("HTTP/1.1 404\r\nDate: x\r\nContent-Length: 0\r\n\r\n"),
        "HTTP/1.1 404 \r\nDate: x\r\nContent-Length: 0\r\n\r\n"
    );
}

#[test]
fn hop_by_hop_fields_are_removed() {
    // 9110 7.6.1.
    let start = "HTTP/1.1 200 OK\r\nDate: x\r\n";
    let end = "Content-Length: 0\r\n\r\n";
    for (came, goes) in [
        ("Connection: close\r\n", ""),
        ("Keep-Alive: timeout=5\r\nConnection: keep-alive\r\n", ""),
        ("Proxy-Connection: close\r\n", ""),
        ("Upgrade: h2c\r\n", ""),
        ("TE: x\r\n", ""),
        ("Trailer: X\r\n", ""),
        (
            "X: 1\r\nConnection: x, Set-Cookie\r\nSet-Cookie: a\r\n",
            "Set-Cookie: a\r\n",
        ),
        (
            "X_Forwarded_For: 1\r\nVia: 1.1 x\r\n",
            "X_Forwarded_For: 1\r\nVia: 1.1 x\r\n",
        ),
    ] {
        let head = format!("{start}{came}{end}");
        assert_eq!(sent(&head), format!("{start}{goes}{end}"), "{came:?}");
    }
}

#[test]
fn bodies_are_framed_for_the_client() {
    // 9112 6.1, 6.3.
    use ResponseFraming::{Chunked, UntilClose};
    for (fields, version, framing, line) in [
        (
            "",
            Version::Http11,
            Chunked,
            "Transfer-Encoding: chunked\r\n",
        ),
        ("", Version::Http10, UntilClose, ""),
        (
            "Transfer-Encoding: chunked\r\n",
            Version::Http11,
            Chunked,
            "Transfer-Encoding: chunked\r\n",
        ),
        (
            "Transfer-Encoding: chunked\r\n",
            Version::Http10,
            UntilClose,
            "",
        ),
        (
            "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
            Version::Http11,
            Chunked,
            "Transfer-Encoding: chunked\r\n",
        ),
    ] {
        let head = format!("HTTP/1.1 200 OK\r\nDate: x\r\n{fields}\r\n");
        let seen = read_response(head.as_bytes(), Asked::default(), |head| {
            reply_framing(head, version)
        });
        assert_eq!(seen, Ok(Some(framing)), "{fields:?}");
        let expected = format!("HTTP/1.1 200 OK\r\nDate: x\r\n{line}Connection: close\r\n\r\n");
        assert_eq!(sent_for(&head, Asked::default(), version, false), expected);
    }
}

#[test]
fn trailer_is_announced_beside_trailers_alone() {
    let head = "HTTP/1.1 200 OK\r\nDate: x\r\nTrailer: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert!(sent(head).contains("Trailer: a\r\n"));
    let old = sent_for(head, Asked::default(), Version::Http10, false);
    assert!(!old.contains("Trailer"), "{old}");
}

#[test]
fn persistence_is_said_where_it_is_not_the_default() {
    // 9112 9.3.
    let head = "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 0\r\n\r\n";
    for (version, keep_alive, line) in [
        (Version::Http11, true, ""),
        (Version::Http11, false, "Connection: close\r\n"),
        (Version::Http10, true, "Connection: keep-alive\r\n"),
        (Version::Http10, false, "Connection: close\r\n"),
    ] {
        let expected = format!("HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 0\r\n{line}\r\n");
        assert_eq!(
            sent_for(head, Asked::default(), version, keep_alive),
            expected
        );
    }
}

#[test]
fn lengths_without_a_body_pass_where_they_mean_something() {
    // 9110 8.6.
    let head = |status| format!("HTTP/1.1 {status} x\r\nDate: x\r\nContent-Length: 5\r\n\r\n");
    assert!(sent(&head(304)).contains("Content-Length: 5\r\n"));
    assert!(!sent(&head(204)).contains("Content-Length"));
    let to_head = sent_for(&head(200), asked("HEAD", ""), Version::Http11, true);
    assert!(to_head.contains("Content-Length: 5\r\n"), "{to_head}");
    let chunked = "HTTP/1.1 204 x\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert!(!sent(chunked).contains("Transfer-Encoding"));
}

#[test]
fn interim_heads_have_fields_alone() {
    // 9110 15.2, 8.6.
    assert_eq!(
        sent(
            "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nContent-Length: 5\r\nConnection: close\r\n\r\n"
        ),
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    );
    assert_eq!(sent("HTTP/1.1 100\r\n\r\n"), "HTTP/1.1 100 \r\n\r\n");
}

#[test]
fn switching_says_what_to() {
    // 9110 7.8.
    let asked = asked("GET", "Connection: upgrade\r\nUpgrade: websocket\r\n");
    let head = "HTTP/1.1 101 x\r\nupgrade: WebSocket\r\nconnection: upgrade\r\n\
                Sec-WebSocket-Accept: a\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(
        sent_for(head, asked, Version::Http11, true),
        "HTTP/1.1 101 x\r\nSec-WebSocket-Accept: a\r\nConnection: Upgrade\r\n\
         Upgrade: WebSocket\r\n\r\n"
    );
}

#[test]
fn via_is_appended_with_the_version_as_received() {
    // 9110 7.6.3.
    let mut out = Vec::new();
    let head = b"HTTP/1.0 200 OK\r\nDate: x\r\nContent-Length: 0\r\n\r\n";
    read_response(head, Asked::default(), |head| {
        let reply = Reply {
            version: Version::Http11,
            keep_alive: true,
            framing: head.framing,
            date: DATE,
            via: Some("rlb"),
            cookie: None,
        };
        write_response(head, &reply, &mut out);
    })
    .unwrap();
    assert_eq!(
        out,
        b"HTTP/1.1 200 OK\r\nDate: x\r\nVia: 1.0 rlb\r\nContent-Length: 0\r\n\r\n"
    );
}
