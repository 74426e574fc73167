//! Request heads: what is refused, and what is read out of the others.

mod framing;

use super::super::{Framing, MethodKind, Refused, Scheme, Version};
use super::{read, refused, with_fields};

#[test]
fn request_lines_are_exact() {
    for (line, expected) in [
        // 9112 3: method SP target SP version CRLF, single spaces.
        ("GET  / HTTP/1.1\r\n", Refused::Target),
        ("GET /  HTTP/1.1\r\n", Refused::VersionSyntax),
        ("GET\t/ HTTP/1.1\r\n", Refused::RequestLine),
        ("GET /\tHTTP/1.1\r\n", Refused::Target),
        (" GET / HTTP/1.1\r\n", Refused::RequestLine),
        ("GET / HTTP/1.1 \r\n", Refused::LineEnd),
        ("GET / HTTP/1.1 x\r\n", Refused::LineEnd),
        ("GET /a b HTTP/1.1\r\n", Refused::VersionSyntax),
        ("GET\r\n", Refused::RequestLine),
        ("G\"T / HTTP/1.1\r\n", Refused::RequestLine),
        ("G\u{e4}T / HTTP/1.1\r\n", Refused::RequestLine),
        ("GET / HTTP/1.1\n", Refused::LineEnd),
        ("GET / HTTP/1.1\r", Refused::LineEnd),
        // 9112 2.3; HTTP/0.9 is not spoken.
        ("GET /\r\n", Refused::Target),
        ("GET / \r\n", Refused::VersionSyntax),
        ("GET / http/1.1\r\n", Refused::VersionSyntax),
        ("GET / HTTP/1\r\n", Refused::VersionSyntax),
        ("GET / HTTP/11\r\n", Refused::VersionSyntax),
        ("GET / HTTP/1.10\r\n", Refused::LineEnd),
        ("GET / HTTP/1.20\r\n", Refused::LineEnd),
        ("GET / HTTP/+1.1\r\n", Refused::VersionSyntax),
        ("GET / HTTP/1,1\r\n", Refused::VersionSyntax),
        ("GET / HTTP/a.1\r\n", Refused::VersionSyntax),
        ("GET / ICY/1.1\r\n", Refused::VersionSyntax),
        ("GET / HTTP/0.9\r\n", Refused::Version),
        ("GET / HTTP/2.0\r\n", Refused::Version),
        ("GET / HTTP/3.0\r\n", Refused::Version),
        // 9112 3.2: nothing but visible ASCII in a target, no fragment.
        ("GET /\u{1} HTTP/1.1\r\n", Refused::Target),
        ("GET /\u{7f} HTTP/1.1\r\n", Refused::Target),
        ("GET /\u{e4} HTTP/1.1\r\n", Refused::Target),
        ("GET /#a HTTP/1.1\r\n", Refused::Target),
        ("GET a HTTP/1.1\r\n", Refused::Target),
        ("GET * HTTP/1.1\r\n", Refused::Target),
        ("GET http://u@a/ HTTP/1.1\r\n", Refused::Host),
        // 9110 9.3.6, 9.3.8.
        ("CONNECT a:443 HTTP/1.1\r\n", Refused::Method),
        ("CONNECT a HTTP/1.1\r\n", Refused::Target),
        ("TRACE / HTTP/1.1\r\n", Refused::Method),
    ] {
        let head = format!("{line}Host: a\r\n\r\n");
        assert_eq!(refused(head.as_bytes()), Some(expected), "{line:?}");
    }
}

#[test]
fn bytes_above_0x7f_in_a_target_are_refused_even_if_not_utf8() {
    // 9112 3.2.
    assert_eq!(
        refused(b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n"),
        Some(Refused::Target)
    );
}

#[test]
fn other_protocols_are_named() {
    // 9113 3.4.
    assert_eq!(
        refused(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        Some(Refused::Http2)
    );
    assert_eq!(refused(b"\x16\x03\x01\x02\x00\x01\x00"), Some(Refused::Tls));
    assert_eq!(refused(b"\x80\x2e\x01\x00\x02"), Some(Refused::RequestLine));
    assert_eq!(refused(b"SSH-2.0-x\r\n"), Some(Refused::RequestLine));
}

#[test]
fn field_lines_are_exact() {
    for (fields, expected) in [
        // 9112 5.1: no whitespace before the colon, a token for a name.
        ("X : a\r\n", Refused::FieldName),
        ("X\t: a\r\n", Refused::FieldName),
        (": a\r\n", Refused::FieldName),
        ("X\r\n", Refused::FieldName),
        ("X Y: a\r\n", Refused::FieldName),
        ("X(Y): a\r\n", Refused::FieldName),
        ("X\0: a\r\n", Refused::FieldName),
        ("X\u{e4}: a\r\n", Refused::FieldName),
        ("\"X\": a\r\n", Refused::FieldName),
        // 9112 5.2: obs-fold.
        ("X: a\r\n b\r\n", Refused::FieldName),
        ("X: a\r\n\tb\r\n", Refused::FieldName),
        ("X:\r\n a\r\n", Refused::FieldName),
        // 9110 5.5: controls.
        ("X: a\0b\r\n", Refused::FieldValue),
        ("X: a\u{1}\r\n", Refused::FieldValue),
        ("X: \u{b}a\r\n", Refused::FieldValue),
        ("X: a\u{c}\r\n", Refused::FieldValue),
        ("X: a\u{7f}\r\n", Refused::FieldValue),
        ("X: a\u{1b}[0m\r\n", Refused::FieldValue),
        ("X: a\rb\r\n", Refused::FieldValue),
        ("X: a\r\r\n", Refused::FieldValue),
        // 9112 2.2: CRLF, not LF.
        ("X: a\n", Refused::LineEnd),
        ("X: a\nY: b\r\n", Refused::LineEnd),
        ("X:\n", Refused::LineEnd),
        ("\n", Refused::LineEnd),
    ] {
        let head = with_fields(fields);
        assert_eq!(refused(&head), Some(expected), "{fields:?}");
    }
    for head in [
        &b"GET / HTTP/1.1\nHost: a\r\n\r\n"[..],
        b"GET / HTTP/1.1\r\nHost: a\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\n",
        b"GET / HTTP/1.1\nHost: a\n\n",
        b"GET / HTTP/1.0\n\n",
        b"GET / HTTP/1.0\r\n\n",
    ] {
        assert_eq!(
            refused(head),
            Some(Refused::LineEnd),
            "{}",
            head.escape_ascii()
        );
    }
    // 9112 2.2: whitespace between the request line and the first field.
    let head = b"GET / HTTP/1.1\r\n Host: a\r\n\r\n";
    assert_eq!(refused(head), Some(Refused::FieldName));
}

#[test]
fn each_byte_a_value_may_not_hold_is_refused_wherever_it_stands() {
    // 9110 5.5; httparse looks at 8, 16 or 32 bytes at a time.
    for byte in 0..=255_u8 {
        let allowed = byte == b'\t' || (byte >= b' ' && byte != 0x7f);
        for before in 0..70 {
            let pad = "a".repeat(before);
            let mut head = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {pad}").into_bytes();
            head.push(byte);
            head.extend_from_slice(b"aaaa\r\n\r\n");
            let result = read(&head, |head| head.fields[1].value.to_vec());
            if allowed {
                let value = result.unwrap().unwrap();
                assert!(value.ends_with(b"aaaa"), "{byte} {before}");
            } else {
                assert!(result.is_err(), "{byte} {before}");
            }
        }
    }
}

#[test]
fn values_lose_their_whitespace_and_nothing_else() {
    // 9110 5.5: OWS is SP and HTAB; obs-text is opaque.
    for (line, value) in [
        (&b"X: a"[..], &b"a"[..]),
        (b"X:a", b"a"),
        (b"X: \t a b\t ", b"a b"),
        (b"X:", b""),
        (b"X:  \t", b""),
        (b"X: \x85\xa0a\xff", b"\x85\xa0a\xff"),
        (b"X: \xc3\xa4", b"\xc3\xa4"),
        (b"X: :a:", b":a:"),
    ] {
        let head = [b"GET / HTTP/1.1\r\nHost: a\r\n", line, b"\r\n\r\n"].concat();
        let read = read(&head, |head| head.fields[1].value.to_vec());
        assert_eq!(read, Ok(Some(value.to_vec())), "{}", line.escape_ascii());
    }
}

#[test]
fn host_is_there_once_and_valid() {
    // 9112 3.2.
    for (head, expected) in [
        ("GET / HTTP/1.1\r\n\r\n", Refused::HostMissing),
        ("GET http://a/ HTTP/1.1\r\n\r\n", Refused::HostMissing),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            Refused::HostTwice,
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n",
            Refused::HostTwice,
        ),
        (
            "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n",
            Refused::HostTwice,
        ),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", Refused::Host),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", Refused::Host),
        ("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", Refused::Host),
        ("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", Refused::Host),
        ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", Refused::Host),
        ("GET / HTTP/1.1\r\nHost: a:x\r\n\r\n", Refused::Host),
        ("GET / HTTP/1.1\r\nHost: http://a\r\n\r\n", Refused::Host),
        ("GET / HTTP/1.0\r\nHost: a/b\r\n\r\n", Refused::Host),
        // A bad Host counts even where another authority wins.
        ("GET http://a/ HTTP/1.1\r\nHost: a/b\r\n\r\n", Refused::Host),
    ] {
        assert_eq!(refused(head.as_bytes()), Some(expected), "{head:?}");
    }
    let none = read(b"GET / HTTP/1.0\r\n\r\n", |head| head.host.to_vec());
    assert_eq!(none, Ok(Some(Vec::new())));
}

#[test]
fn the_authority_of_an_absolute_target_wins() {
    // 9112 3.2.2.
    let head = b"GET HTTPS://b:81/c?d HTTP/1.1\r\nHost: a\r\n\r\n";
    read(head, |head| {
        assert_eq!(head.host, b"b:81");
        assert_eq!(head.target, b"/c?d");
        assert_eq!(head.scheme, Some(Scheme::Https));
        assert!(head.misdirected(false) && !head.misdirected(true));
    })
    .unwrap()
    .unwrap();
    read(&with_fields(""), |head| assert!(!head.misdirected(true))).unwrap();
}

#[test]
fn methods_are_case_sensitive_and_unknown_ones_pass() {
    // 9110 9.1.
    for (method, kind, idempotent) in [
        ("GET", MethodKind::Get, true),
        ("PUT", MethodKind::Put, true),
        ("DELETE", MethodKind::Delete, true),
        ("HEAD", MethodKind::Head, true),
        ("OPTIONS", MethodKind::Options, true),
        ("POST", MethodKind::Post, false),
        ("PATCH", MethodKind::Other, false),
        ("get", MethodKind::Other, false),
        ("connect", MethodKind::Other, false),
        ("M-SEARCH", MethodKind::Other, false),
        ("!#$%&'*+-.^_`|~", MethodKind::Other, false),
    ] {
        let head = format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n");
        let seen = read(head.as_bytes(), |head| (head.method.to_owned(), head.kind));
        assert_eq!(seen, Ok(Some((method.to_owned(), kind))));
        assert_eq!(kind.is_idempotent(), idempotent, "{method}");
    }
}

#[test]
fn higher_minor_versions_are_1_1() {
    // 9110 2.5.
    let head = b"GET /a HTTP/1.2\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
    let seen = read(head, |head| {
        (head.version, head.framing, head.target.to_vec(), head.len)
    });
    let len = head.len() - 3;
    let expected = (Version::Http11, Framing::Length(3), b"/a".to_vec(), len);
    assert_eq!(seen, Ok(Some(expected)));
    let bare = b"GET /a HTTP/1.9\r\nHost: a\n\r\n";
    assert_eq!(refused(bare), Some(Refused::LineEnd));
}

#[test]
fn few_empty_lines_are_skipped() {
    // 9112 2.2.
    let head = [b"\r\n".repeat(4), with_fields("")].concat();
    assert_eq!(read(&head, |head| head.len), Ok(Some(head.len())));
    let flood = b"\r\n".repeat(5);
    assert_eq!(refused(&flood), Some(Refused::EmptyLines));
    assert_eq!(refused(b"\nGET / HTTP/1.1\r\n"), Some(Refused::LineEnd));
    assert_eq!(refused(b"\rGET / HTTP/1.1\r\n"), Some(Refused::LineEnd));
    assert_eq!(refused(b"\r\n\r"), None);
}

#[test]
fn every_refusal_has_its_status() {
    for (refusal, status) in [
        (Refused::Tls, 400),
        (Refused::Http2, 400),
        (Refused::LineEnd, 400),
        (Refused::UriTooLong, 414),
        (Refused::Expectation, 417),
        (Refused::HeadTooLong, 431),
        (Refused::TooManyFields, 431),
        (Refused::Method, 501),
        (Refused::TransferCoding, 501),
        (Refused::Version, 505),
    ] {
        assert_eq!(refusal.status(), status);
        assert_eq!(refusal.to_string(), refusal.reason());
    }
}
