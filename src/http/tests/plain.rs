//! What is read as plain means what httparse makes of it, and is written as it would be.

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::field::Fields;
use super::super::forward::put_fields;
use super::super::{plain, request, response};
use crate::config::RequestLimits;

/// Whether `data` is a plain request; checked against httparse.
fn request_agrees(data: &[u8]) -> bool {
    let (mut ours, mut theirs) = (Fields::new(), Fields::new());
    let Some((line, len)) = plain::read_request(data, 100, &mut ours) else {
        return false;
    };
    let limits = RequestLimits::default();
    let careful = request::read_with_care(data, &limits, false, &mut theirs);
    let (other, other_len) = careful.unwrap().unwrap();
    assert_eq!(
        (line.method, line.target, line.version, line.len, len),
        (
            other.method,
            other.target,
            other.version,
            other.len,
            other_len
        ),
    );
    fields_agree(&data[..len], &ours, &theirs);
    true
}

/// Whether `data` is a plain response; checked against httparse.
fn response_agrees(data: &[u8]) -> bool {
    let (mut ours, mut theirs) = (Fields::new(), Fields::new());
    let Some((line, len)) = plain::read_response(data, 100, &mut ours) else {
        return false;
    };
    let careful = response::read_with_care(data, 100, &mut theirs);
    let (other, other_len) = careful.unwrap().unwrap();
    assert_eq!(
        (line.version, line.status, line.reason, len),
        (other.version, other.status, other.reason, other_len),
    );
    fields_agree(&data[..len], &ours, &theirs);
    true
}

fn fields_agree(text: &[u8], ours: &Fields<'_>, theirs: &Fields<'_>) {
    let all = |fields: &Fields<'_>| -> Vec<(Vec<u8>, Vec<u8>)> {
        let each = fields.iter();
        each.map(|f| (f.name.to_vec(), f.value.to_vec())).collect()
    };
    assert_eq!(all(ours), all(theirs));
    // Every third one left out, each in turn.
    for skipped in 0..3 {
        let written = |plain, fields: &Fields<'_>| {
            let (mut out, mut count) = (Vec::new(), 0);
            put_fields(&mut out, plain, fields, |_| {
                count += 1;
                count % 3 != skipped
            });
            out
        };
        assert_eq!(written(Some(text), ours), written(None, theirs));
    }
}

#[test]
fn what_everybody_sends_is_plain() {
    for head in [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n\r\n",
        "POST /a?b=c%20d HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc",
        "GET /a HTTP/1.1\r\nHost: a\r\nCookie: a=b; c=\"d\"\r\nX-Umlaut: \u{fc}\r\n\r\nGET /next",
    ] {
        assert!(request_agrees(head.as_bytes()), "{head}");
    }
    for head in [
        "HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.0 404 Not Found\r\n\r\nno",
        "HTTP/1.1 204 \r\nA: b\r\n\r\n",
        "HTTP/1.1 200  all right \r\nA: b\r\n\r\n",
        "HTTP/1.1 200 \u{fc}\r\nA: b\r\n\r\n",
    ] {
        assert!(response_agrees(head.as_bytes()), "{head}");
    }
}

#[test]
fn the_rest_is_left_to_httparse() {
    for head in [
        "",
        "GET",
        "GET / HTTP/1.1\r\nHost: a\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\r",
        "GET / HTTP/1.1\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\n",
        "GET / HTTP/1.2\r\nHost: a\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET  HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /\u{e4} HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost:a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost:  a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost:\ta\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a \r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\tb\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: \r\n\r\n",
        "GET / HTTP/1.1\r\n: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\x00b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\x7fb\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n",
        "GET / HTTP/1.1\r\nX_Y: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost@: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost[: a\r\n\r\n",
    ] {
        assert!(!request_agrees(head.as_bytes()), "{}", head.escape_debug());
    }
    for head in [
        "HTTP/1.1 200",
        "HTTP/1.1 200 OK",
        "HTTP/1.1 200\r\nServer: nginx\r\n\r\n",
        "HTTP/1.1 2x0 OK\r\nServer: nginx\r\n\r\n",
        "HTTP/1.1  200 OK\r\nServer: nginx\r\n\r\n",
        "HTTP/1.1 200 O\x08K\r\nServer: nginx\r\n\r\n",
        "HTTP/2.1 200 OK\r\nServer: nginx\r\n\r\n",
    ] {
        assert!(!response_agrees(head.as_bytes()), "{}", head.escape_debug());
    }
}

#[test]
fn each_byte_is_judged_wherever_it_stands() {
    // Sixteen are looked at together, and the last of them once more.
    for at in 0..40 {
        for byte in 0..=255 {
            for part in ["name", "value", "target"] {
                let text = |wanted| {
                    let mut text = vec![b'a'; 40];
                    if wanted == part {
                        text[at] = byte;
                    }
                    text
                };
                let head = [
                    b"GET /",
                    &text("target")[..],
                    b" HTTP/1.1\r\n",
                    &text("name"),
                    b": ",
                    &text("value"),
                    b"\r\n\r\n",
                ]
                .concat();
                request_agrees(&head);
                let good = match part {
                    "name" => byte == b'-' || byte.is_ascii_alphanumeric(),
                    "value" => {
                        let is_end = at == 0 || at == 39;
                        byte > b' ' && byte != 0x7f || byte == b' ' && !is_end
                    }
                    _ => byte.is_ascii_graphic(),
                };
                assert_eq!(request_agrees(&head), good, "{byte} at {at} of the {part}");
            }
        }
    }
}

#[test]
fn more_fields_than_are_allowed_are_not_plain() {
    let head = |fields| format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(fields));
    assert!(request_agrees(head(100).as_bytes()));
    assert!(!request_agrees(head(101).as_bytes()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn nearly_plain_heads(
        start in prop::sample::select(vec!["GET / HTTP/1.1\r\n", "HTTP/1.1 200 OK\r\n"]),
        fields in vec("[!-~]{0,3}[A-Za-z-]{0,20}:? {0,2}[ -~\t]{0,40}\r?\n", 0..6),
        end in prop::sample::select(vec!["\r\n", "\n", "\r", "", "\r\n\r\n", " \r\n"]),
        flip in any::<(prop::sample::Index, Option<u8>)>(),
    ) {
        let mut data = [start, &fields.concat(), end].concat().into_bytes();
        if let (at, Some(byte)) = flip {
            let at = at.index(data.len());
            data[at] = byte;
        }
        for len in 0..=data.len() {
            request_agrees(&data[..len]);
            response_agrees(&data[..len]);
        }
    }
}
