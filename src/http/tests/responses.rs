//! Response heads: what is 502, and what is read out of the others.

use super::super::{Asked, BadResponse, ResponseFraming, Version};
use super::{asked, read_response};

fn bad(bytes: &[u8]) -> Option<BadResponse> {
    read_response(bytes, Asked::default(), |_| ()).err()
}

#[test]
fn status_lines_are_exact() {
    // 9112 4.
    for (line, expected) in [
        ("HTTP/1.1 20 OK\r\n", BadResponse::StatusLine),
        ("HTTP/1.1 2000 OK\r\n", BadResponse::StatusLine),
        ("HTTP/1.1 2x0 OK\r\n", BadResponse::StatusLine),
        ("HTTP/1.1  200 OK\r\n", BadResponse::StatusLine),
        ("HTTP/1.1\t200 OK\r\n", BadResponse::StatusLine),
        ("HTTP/1.1 200\tOK\r\n", BadResponse::StatusLine),
        ("HTTP/1.1 200 O\0K\r\n", BadResponse::StatusLine),
        ("HTTP/1.1 200 O\rK\r\n", BadResponse::StatusLine),
        ("HTTP/1.1 200 O\u{1b}K\r\n", BadResponse::StatusLine),
        ("HTTP/1.1 200 O\u{7f}\r\n", BadResponse::StatusLine),
        ("HTTP/1.1 200 OK\n", BadResponse::LineEnd),
        ("HTTP/1.1 200\n", BadResponse::LineEnd),
        ("HTTP/2.0 200 OK\r\n", BadResponse::StatusLine),
        ("HTTP/1.x 200 OK\r\n", BadResponse::StatusLine),
        ("HTTP/1.10 200 OK\r\n", BadResponse::StatusLine),
        ("http/1.1 200 OK\r\n", BadResponse::StatusLine),
        ("ICY 200 OK\r\n", BadResponse::StatusLine),
        ("<html>\r\n", BadResponse::StatusLine),
        ("\r\nHTTP/1.1 200 OK\r\n", BadResponse::StatusLine),
        (" HTTP/1.1 200 OK\r\n", BadResponse::StatusLine),
        ("HTTP/1.2 2x0 OK\r\n", BadResponse::StatusLine),
        ("HTTP/1.2 200 O\u{1}\r\n", BadResponse::StatusLine),
        ("HTTP/1.2 200 OK\n", BadResponse::StatusLine),
        // 9110 15.
        ("HTTP/1.1 000 x\r\n", BadResponse::Status),
        ("HTTP/1.1 099 x\r\n", BadResponse::Status),
        ("HTTP/1.1 600 x\r\n", BadResponse::Status),
        ("HTTP/1.1 999 x\r\n", BadResponse::Status),
        // 9110 7.8: nobody asked.
        (
            "HTTP/1.1 101 x\r\nUpgrade: websocket\r\n",
            BadResponse::Switching,
        ),
    ] {
        let head = format!("{line}A: b\r\n\r\n");
        assert_eq!(bad(head.as_bytes()), Some(expected), "{line:?}");
    }
}

#[test]
fn the_reason_is_optional_and_opaque() {
    // 9112 4.
    for (line, reason) in [
        (&b"HTTP/1.1 200 OK"[..], &b"OK"[..]),
        (b"HTTP/1.1 200 ", b""),
        (b"HTTP/1.1 200", b""),
        (b"HTTP/1.1 200 Not\tquite so", b"Not\tquite so"),
        (b"HTTP/1.1 200 \xe4\xff", b"\xe4\xff"),
        (b"HTTP/1.2 200 \xe4\xff", b"\xe4\xff"),
        (b"HTTP/1.0 200 OK", b"OK"),
    ] {
        let head = [line, b"\r\n\r\n"].concat();
        let seen = read_response(&head, Asked::default(), |head| head.reason.to_vec());
        assert_eq!(seen, Ok(Some(reason.to_vec())), "{}", line.escape_ascii());
    }
}

#[test]
fn higher_minor_versions_are_1_1() {
    // 9110 2.5.
    let head = b"HTTP/1.3 404 no\r\nContent-Length: 3\r\n\r\n";
    let seen = read_response(head, Asked::default(), |head| {
        (head.version, head.status, head.framing, head.len)
    });
    let framing = ResponseFraming::Length(3);
    assert_eq!(seen, Ok(Some((Version::Http11, 404, framing, head.len()))));
}

#[test]
fn field_lines_are_exact() {
    for (fields, expected) in [
        // 9112 5.1, 5.2, 2.2; 9110 5.5.
        ("X : a\r\n", BadResponse::FieldName),
        (": a\r\n", BadResponse::FieldName),
        ("X\r\n", BadResponse::FieldName),
        ("X: a\r\n b\r\n", BadResponse::FieldName),
        ("X: a\0\r\n", BadResponse::FieldValue),
        ("X: a\rb\r\n", BadResponse::FieldValue),
        ("X: a\u{7f}\r\n", BadResponse::FieldValue),
        ("X: a\n", BadResponse::LineEnd),
        ("\n", BadResponse::LineEnd),
    ] {
        let head = format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
        assert_eq!(bad(head.as_bytes()), Some(expected), "{fields:?}");
    }
}

#[test]
fn response_framing_is_decided_once() {
    use ResponseFraming::{Chunked, Length, None, UntilClose};
    for (start, fields, expected) in [
        // 9112 6.3.
        ("1.1 200", "", Ok(UntilClose)),
        ("1.0 200", "", Ok(UntilClose)),
        ("1.1 200", "Content-Length: 5\r\n", Ok(Length(5))),
        ("1.0 200", "Content-Length: 5\r\n", Ok(Length(5))),
        (
            "1.1 200",
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            Ok(Length(5)),
        ),
        ("1.1 200", "Transfer-Encoding: chunked\r\n", Ok(Chunked)),
        (
            "1.1 200",
            "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
            Ok(Chunked),
        ),
        ("1.1 204", "Content-Length: 5\r\n", Ok(None)),
        ("1.1 204", "Transfer-Encoding: chunked\r\n", Ok(None)),
        ("1.1 304", "Content-Length: 5\r\n", Ok(None)),
        ("1.1 103", "Content-Length: 5\r\n", Ok(None)),
        (
            "1.1 200",
            "Content-Length: 5\r\nContent-Length: 6\r\n",
            Err(BadResponse::ContentLength),
        ),
        (
            "1.1 200",
            "Content-Length: 5, 5\r\n",
            Err(BadResponse::ContentLength),
        ),
        (
            "1.1 200",
            "Content-Length:\r\n",
            Err(BadResponse::ContentLength),
        ),
        (
            "1.1 200",
            "Content-Length: +5\r\n",
            Err(BadResponse::ContentLength),
        ),
        (
            "1.1 304",
            "Content-Length: x\r\n",
            Err(BadResponse::ContentLength),
        ),
        (
            "1.1 200",
            "Transfer-Encoding: gzip\r\n",
            Err(BadResponse::TransferEncoding),
        ),
        (
            "1.1 200",
            "Transfer-Encoding: gzip, chunked\r\n",
            Err(BadResponse::TransferEncoding),
        ),
        (
            "1.1 200",
            "Transfer-Encoding:\r\n",
            Err(BadResponse::TransferEncoding),
        ),
        (
            "1.1 200",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            Err(BadResponse::TransferEncoding),
        ),
        // 9112 6.1.
        (
            "1.0 200",
            "Transfer-Encoding: chunked\r\n",
            Err(BadResponse::TransferEncoding),
        ),
    ] {
        let head = format!("HTTP/{start} x\r\n{fields}\r\n");
        let seen = read_response(head.as_bytes(), Asked::default(), |head| head.framing);
        assert_eq!(seen, expected.map(Some), "{start} {fields:?}");
    }
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    let seen = read_response(head, asked("HEAD", ""), |head| head.framing);
    assert_eq!(seen, Ok(Some(None)));
}

#[test]
fn a_servers_connection_is_used_again_only_when_sound() {
    // 9112 9.3.
    for (start, fields, expected) in [
        ("1.1 200", "Content-Length: 0\r\n", true),
        ("1.1 204", "", true),
        ("1.1 200", "Transfer-Encoding: chunked\r\n", true),
        ("1.1 200", "", false),
        (
            "1.1 200",
            "Content-Length: 0\r\nConnection: close\r\n",
            false,
        ),
        ("1.0 200", "Content-Length: 0\r\n", false),
        (
            "1.0 200",
            "Content-Length: 0\r\nConnection: keep-alive\r\n",
            true,
        ),
        ("1.0 200", "Connection: keep-alive\r\n", false),
        // 9112 6.3: one of the two lengths is wrong.
        (
            "1.1 200",
            "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
            false,
        ),
    ] {
        let head = format!("HTTP/{start} x\r\n{fields}\r\n");
        let seen = read_response(head.as_bytes(), Asked::default(), |head| head.keep_alive);
        assert_eq!(seen, Ok(Some(expected)), "{start} {fields:?}");
    }
}

#[test]
fn switching_needs_a_protocol_that_was_offered() {
    // 9110 7.8.
    let offer = asked(
        "GET",
        "Connection: upgrade\r\nUpgrade: WebSocket, foo/2\r\n",
    );
    for (fields, expected) in [
        ("Upgrade: websocket\r\n", true),
        ("Upgrade: Foo/2\r\n", true),
        ("Upgrade: foo/2, websocket\r\n", true),
        ("Upgrade: foo\r\n", false),
        ("Upgrade: h2c\r\n", false),
        ("Upgrade: websocket, h2c\r\n", false),
        ("Upgrade: websocket\r\nUpgrade: h2c\r\n", false),
        ("Upgrade:\r\n", false),
        ("", false),
    ] {
        let head = format!("HTTP/1.1 101 x\r\nConnection: upgrade\r\n{fields}\r\n");
        let seen = read_response(head.as_bytes(), offer, |head| head.framing);
        let expected = if expected {
            Ok(Some(ResponseFraming::None))
        } else {
            Err(BadResponse::Switching)
        };
        assert_eq!(seen, expected, "{fields:?}");
        assert_eq!(bad(head.as_bytes()), Some(BadResponse::Switching));
    }
}
