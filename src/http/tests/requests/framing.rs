//! How long a request is, and what comes after it (9112 6, 9.3).

use super::*;

#[test]
fn request_framing_is_decided_once() {
    for (version, fields, expected) in [
        // 9112 6.3.
        ("1.1", "", Ok(Framing::None)),
        ("1.0", "", Ok(Framing::None)),
        ("1.1", "Content-Length: 0\r\n", Ok(Framing::Length(0))),
        ("1.1", "content-length:\t12 \r\n", Ok(Framing::Length(12))),
        ("1.0", "Content-Length: 12\r\n", Ok(Framing::Length(12))),
        (
            "1.1",
            "Content-Length: 5\r\nContent-Length: 05\r\n",
            Ok(Framing::Length(5)),
        ),
        (
            "1.1",
            "Transfer-Encoding: chunked\r\n",
            Ok(Framing::Chunked),
        ),
        (
            "1.1",
            "transfer-encoding: CHUNKED \r\n",
            Ok(Framing::Chunked),
        ),
        // 9110 8.6.
        (
            "1.1",
            "Content-Length: 5\r\nContent-Length: 6\r\n",
            Err(Refused::ContentLength),
        ),
        (
            "1.1",
            "Content-Length: 5, 6\r\n",
            Err(Refused::ContentLength),
        ),
        (
            "1.1",
            "Content-Length: 5, 5\r\n",
            Err(Refused::ContentLength),
        ),
        (
            "1.1",
            "Content-Length: 5 5\r\n",
            Err(Refused::ContentLength),
        ),
        ("1.1", "Content-Length: +5\r\n", Err(Refused::ContentLength)),
        ("1.1", "Content-Length: -5\r\n", Err(Refused::ContentLength)),
        (
            "1.1",
            "Content-Length: 0x5\r\n",
            Err(Refused::ContentLength),
        ),
        ("1.1", "Content-Length: 5a\r\n", Err(Refused::ContentLength)),
        (
            "1.1",
            "Content-Length: \"5\"\r\n",
            Err(Refused::ContentLength),
        ),
        ("1.1", "Content-Length: 5;\r\n", Err(Refused::ContentLength)),
        (
            "1.1",
            "Content-Length: \u{85}5\r\n",
            Err(Refused::ContentLength),
        ),
        ("1.1", "Content-Length:\r\n", Err(Refused::ContentLength)),
        (
            "1.1",
            "Content-Length: 5\r\nContent-Length:\r\n",
            Err(Refused::ContentLength),
        ),
        (
            "1.1",
            "Content-Length: 9223372036854775808\r\n",
            Err(Refused::ContentLength),
        ),
        (
            "1.1",
            "Content-Length: 99999999999999999999\r\n",
            Err(Refused::ContentLength),
        ),
        // 9112 6.1.
        (
            "1.1",
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            Err(Refused::TransferEncodingAndContentLength),
        ),
        (
            "1.1",
            "Transfer-Encoding: x\r\nContent-Length: 0\r\n",
            Err(Refused::TransferEncodingAndContentLength),
        ),
        (
            "1.0",
            "Transfer-Encoding: chunked\r\n",
            Err(Refused::TransferEncodingIn10),
        ),
        (
            "1.1",
            "Transfer-Encoding: gzip, chunked\r\n",
            Err(Refused::TransferCoding),
        ),
        (
            "1.1",
            "Transfer-Encoding: gzip\r\n",
            Err(Refused::TransferEncoding),
        ),
        (
            "1.1",
            "Transfer-Encoding: identity\r\n",
            Err(Refused::TransferEncoding),
        ),
        (
            "1.1",
            "Transfer-Encoding:\r\n",
            Err(Refused::TransferEncoding),
        ),
        (
            "1.1",
            "Transfer-Encoding: ,chunked\r\n",
            Err(Refused::TransferEncoding),
        ),
        (
            "1.1",
            "Transfer-Encoding: chunked;a=b\r\n",
            Err(Refused::TransferEncoding),
        ),
        (
            "1.1",
            "Transfer-Encoding: \"chunked\"\r\n",
            Err(Refused::TransferEncoding),
        ),
        (
            "1.1",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            Err(Refused::TransferEncoding),
        ),
        (
            "1.1",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
            Err(Refused::TransferEncoding),
        ),
        // CVE-2026-26365: decided before Connection takes anything away.
        (
            "1.1",
            "Connection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n",
            Ok(Framing::Chunked),
        ),
    ] {
        let head = format!("POST / HTTP/{version}\r\nHost: a\r\n{fields}\r\n");
        let framing = read(head.as_bytes(), |head| head.framing);
        assert_eq!(framing, expected.map(Some), "{version} {fields:?}");
    }
}

#[test]
fn bodies_are_framed_whatever_the_method() {
    // 9110 9.3.
    for method in ["GET", "HEAD", "DELETE", "OPTIONS", "PURGE"] {
        let head = format!("{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n");
        let framing = read(head.as_bytes(), |head| head.framing);
        assert_eq!(framing, Ok(Some(Framing::Length(3))), "{method}");
    }
}

#[test]
fn persistence_follows_version_and_options() {
    // 9112 9.3.
    for (version, fields, expected) in [
        ("1.1", "", true),
        ("1.2", "", true),
        ("1.0", "", false),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "Connection: Close , x\r\n", false),
        ("1.1", "Connection: x\r\nconnection: close\r\n", false),
        ("1.1", "Connection: keep-alive, close\r\n", false),
        ("1.1", "Connection: closed\r\n", true),
        ("1.1", "X: close\r\n", true),
        ("1.1", "Proxy-Connection: close\r\n", true),
        ("1.0", "Connection: Keep-Alive\r\n", true),
        ("1.0", "Connection: keep-alive, close\r\n", false),
        ("1.0", "Proxy-Connection: keep-alive\r\n", false),
    ] {
        let head = format!("GET / HTTP/{version}\r\nHost: a\r\n{fields}\r\n");
        let keep_alive = read(head.as_bytes(), |head| head.keep_alive);
        assert_eq!(keep_alive, Ok(Some(expected)), "{version} {fields:?}");
    }
}

#[test]
fn expectations_are_100_continue() {
    // 9110 10.1.1.
    for (version, fields, expected) in [
        (
            "1.1",
            "Expect: 100-continue\r\nContent-Length: 1\r\n",
            Ok(true),
        ),
        (
            "1.1",
            "expect: 100-Continue\r\nTransfer-Encoding: chunked\r\n",
            Ok(true),
        ),
        ("1.1", "Expect: 100-continue\r\n", Ok(false)),
        (
            "1.0",
            "Expect: 100-continue\r\nContent-Length: 1\r\n",
            Ok(false),
        ),
        ("1.1", "Expect: 200-ok\r\n", Err(Refused::Expectation)),
        ("1.1", "Expect:\r\n", Err(Refused::Expectation)),
        (
            "1.1",
            "Expect: 100-continue\r\nExpect: x\r\n",
            Err(Refused::Expectation),
        ),
    ] {
        let head = format!("PUT / HTTP/{version}\r\nHost: a\r\n{fields}\r\n");
        let expects = read(head.as_bytes(), |head| head.expect_continue);
        assert_eq!(expects, expected.map(Some), "{version} {fields:?}");
    }
}

#[test]
fn upgrade_passes_under_conditions() {
    // 9110 7.8.
    for (version, fields, expected) in [
        (
            "1.1",
            "Connection: Upgrade\r\nUpgrade: websocket\r\n",
            Some("websocket"),
        ),
        (
            "1.1",
            "Connection: keep-alive, upgrade\r\nUpgrade: a/1, b\r\n",
            Some("a/1, b"),
        ),
        (
            "1.1",
            "Connection: upgrade\r\nUpgrade: a\r\nContent-Length: 0\r\n",
            Some("a"),
        ),
        ("1.1", "Upgrade: websocket\r\n", None),
        ("1.0", "Connection: upgrade\r\nUpgrade: websocket\r\n", None),
        ("1.1", "Connection: upgrade\r\n", None),
        ("1.1", "Connection: upgrade\r\nUpgrade:\r\n", None),
        (
            "1.1",
            "Connection: upgrades\r\nUpgrade: websocket\r\n",
            None,
        ),
        (
            "1.1",
            "Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n",
            None,
        ),
        (
            "1.1",
            "Connection: upgrade\r\nUpgrade: a\r\nTransfer-Encoding: chunked\r\n",
            None,
        ),
        ("1.1", "Connection: upgrade\r\nUpgrade: h2c\r\n", None),
        (
            "1.1",
            "Connection: upgrade\r\nUpgrade: websocket, H2C\r\n",
            None,
        ),
        (
            "1.1",
            "Connection: upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n",
            None,
        ),
        ("1.1", "Connection: upgrade\r\nUpgrade: a b\r\n", None),
        (
            "1.1",
            "Connection: upgrade\r\nUpgrade: a, b, c, d, e\r\n",
            None,
        ),
    ] {
        let head = format!("GET / HTTP/{version}\r\nHost: a\r\n{fields}\r\n");
        let upgrade = read(head.as_bytes(), |head| head.upgrade.map(<[u8]>::to_vec));
        let expected = expected.map(|value| value.as_bytes().to_vec());
        assert_eq!(upgrade, Ok(Some(expected)), "{fields:?}");
    }
}

#[test]
fn max_forwards_counts_for_options() {
    // 9110 7.6.2.
    for (method, fields, expected) in [
        ("OPTIONS", "Max-Forwards: 0\r\n", Ok(Some(0))),
        ("OPTIONS", "Max-Forwards: 10\r\n", Ok(Some(10))),
        ("OPTIONS", "", Ok(None)),
        ("GET", "Max-Forwards: x\r\n", Ok(None)),
        ("OPTIONS", "Max-Forwards: x\r\n", Err(Refused::MaxForwards)),
        (
            "OPTIONS",
            "Max-Forwards: 1\r\nMax-Forwards: 1\r\n",
            Err(Refused::MaxForwards),
        ),
    ] {
        let head = format!("{method} / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        let hops = read(head.as_bytes(), |head| head.max_forwards);
        assert_eq!(hops, expected.map(Some), "{method} {fields:?}");
    }
}

#[test]
fn connection_options_are_bounded() {
    let options = |count| with_fields(&format!("Connection: {}\r\n", "a,".repeat(count)));
    assert_eq!(refused(&options(64)), None);
    assert_eq!(refused(&options(65)), Some(Refused::ConnectionOptions));
}
