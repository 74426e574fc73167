//! What holds for any bytes: `crate::internal` says what, proptest finds bytes.

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::{Decoder, Framing, Slots, parse_request};
use crate::config::RequestLimits;
use crate::internal::http as rules;

/// Pieces that meet in messages, good and bad.
const PIECES: [&str; 60] = [
    "GET",
    "HEAD",
    "POST",
    "OPTIONS",
    " ",
    "\t",
    "\r\n",
    "\r\n\r\n",
    "\n",
    "\r",
    "/",
    "/a?b",
    "*",
    "http://b",
    "HTTP/1.1",
    "HTTP/1.0",
    "HTTP/1.2",
    "HTTP/2.0",
    "Host",
    "Host: a\r\n",
    "Host: [::1]:80\r\n",
    ":",
    ": ",
    ",",
    ";",
    "\"",
    "_",
    "Content-Length",
    "Content-Length: 3\r\n",
    "Content-Length: 0\r\n",
    "Transfer-Encoding",
    "Transfer-Encoding: chunked\r\n",
    "chunked",
    "Connection",
    "Connection: close\r\n",
    "Connection: keep-alive\r\n",
    "Connection: X, upgrade\r\n",
    "X: y\r\n",
    "Upgrade: websocket\r\n",
    "Expect: 100-continue\r\n",
    "X-Forwarded-For: 1.1.1.1\r\n",
    "X_Forwarded_For: 1\r\n",
    "Cookie: a=b\r\n",
    "Via:1.1 x\r\n",
    "TE: trailers\r\n",
    "Max-Forwards: 1\r\n",
    "abc",
    "0",
    "3",
    "f",
    "0\r\n\r\n",
    "3\r\nabc\r\n",
    "1;a=\"b\"\r\nz\r\n",
    "Trailer: X\r\n",
    "\0",
    "\u{7f}",
    "\u{e4}",
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.1 101 x\r\n",
    "HTTP/1.0 204 No\r\n",
];

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(0..PIECES.len(), 0..24).prop_map(|at| {
        let pieces: Vec<_> = at.into_iter().map(|at| PIECES[at]).collect();
        pieces.concat().into_bytes()
    })
}

/// Mostly good, so that rules behind the parser are reached.
fn request() -> impl Strategy<Value = Vec<u8>> {
    let start = prop::sample::select(vec![
        "GET / HTTP/1.1\r\nHost: a\r\n",
        "POST /a?b HTTP/1.1\r\nhost:a:80 \r\n",
        "OPTIONS * HTTP/1.1\r\nHost: [::1]\r\n",
        "PUT http://b/c HTTP/1.1\r\nHost: a\r\n",
        "HEAD / HTTP/1.0\r\n",
        "GET /a HTTP/1.3\r\nHost: a\r\n",
        "\r\nM / HTTP/1.0\r\nConnection: keep-alive\r\n",
    ]);
    (start, vec(field(), 0..8), bytes())
        .prop_map(|(start, fields, rest)| message(start, &fields, &rest))
}

fn response() -> impl Strategy<Value = Vec<u8>> {
    let start = prop::sample::select(vec![
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.0 404 \r\n",
        "HTTP/1.1 304\r\n",
        "HTTP/1.1 204 \u{e4}\r\n",
        "HTTP/1.5 503 x\r\n",
        "HTTP/1.1 103 x\r\n",
        "HTTP/1.1 101 x\r\nUpgrade: websocket\r\n",
    ]);
    (start, vec(field(), 0..8), bytes())
        .prop_map(|(start, fields, rest)| message(start, &fields, &rest))
}

fn field() -> impl Strategy<Value = String> {
    let known = prop::sample::select(
        PIECES
            .iter()
            .filter(|piece| piece.ends_with("\r\n") && piece.contains(':'))
            .map(|piece| (*piece).to_owned())
            .collect::<Vec<_>>(),
    );
    let any = "[A-Za-z_-]{1,12}:[ \t]{0,2}[ -~]{0,20}[ \t]{0,2}\r\n";
    prop_oneof![known, any]
}

fn message(start: &str, fields: &[String], rest: &[u8]) -> Vec<u8> {
    let head = [start, &fields.concat(), "\r\n"].concat();
    [head.as_bytes(), rest].concat()
}

/// A chunked body and its payload.
fn chunked() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let chunk = (
        vec(any::<u8>(), 1..40),
        "(;[a-z]{1,3}(=\"[ -!#-Z]{0,4}\")?)?",
        0_usize..4,
    );
    vec(chunk, 0..8).prop_map(|chunks| {
        let (mut body, mut payload) = (Vec::new(), Vec::new());
        for (data, extension, zeros) in chunks {
            let size = format!("{}{:X}{extension}\r\n", "0".repeat(zeros), data.len());
            body.extend_from_slice(size.as_bytes());
            body.extend_from_slice(&data);
            body.extend_from_slice(b"\r\n");
            payload.extend_from_slice(&data);
        }
        body.extend_from_slice(b"0\r\n\r\n");
        (body, payload)
    })
}

/// Where the body of `head` ends, by the letter of 9112 6.3; `None`: refuse.
fn naive_framing(head: &str) -> Option<Framing> {
    let values = |wanted: &str| {
        head.split("\r\n")
            .skip(1)
            .filter_map(|line| line.split_once(':'))
            .filter(|(name, _)| name.eq_ignore_ascii_case(wanted))
            .map(|(_, value)| value.trim_matches([' ', '\t']).to_owned())
            .collect::<Vec<_>>()
    };
    let (lengths, codings) = (values("content-length"), values("transfer-encoding"));
    match (&lengths[..], &codings[..]) {
        ([], []) => Some(Framing::None),
        ([], [coding]) if coding.eq_ignore_ascii_case("chunked") => {
            head.contains(" HTTP/1.1\r\n").then_some(Framing::Chunked)
        }
        ([first, rest @ ..], []) => {
            let parse = |text: &String| {
                let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
                digits.then(|| text.parse::<u64>().ok())?
            };
            let length = parse(first)?;
            rest.iter()
                .all(|other| parse(other) == Some(length))
                .then_some(Framing::Length(length))
        }
        _ => None,
    }
}

fn framing_fields() -> impl Strategy<Value = String> {
    let line = prop::sample::select(vec![
        "Content-Length: 3\r\n",
        "content-length:003\t\r\n",
        "Content-Length: 4\r\n",
        "Content-Length: \r\n",
        "Content-Length: 3,3\r\n",
        "Content-Length: +3\r\n",
        "Transfer-Encoding: chunked\r\n",
        "TRANSFER-ENCODING:Chunked\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding:\r\n",
        "Transfer_Encoding: chunked\r\n",
        "Connection: Content-Length, Transfer-Encoding\r\n",
        "X: chunked\r\n",
    ]);
    vec(line, 0..4).prop_map(|lines| lines.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_bytes_as_a_request(data in prop_oneof![bytes(), request(), vec(any::<u8>(), 0..200)]) {
        rules::request_head(&data);
    }

    #[test]
    fn any_bytes_as_a_response(data in prop_oneof![bytes(), response(), vec(any::<u8>(), 0..200)]) {
        rules::response_head(&data);
    }

    #[test]
    fn any_bytes_as_a_chunked_body(data in prop_oneof![bytes(), vec(any::<u8>(), 0..200)]) {
        rules::chunked(&data);
    }

    #[test]
    fn hyper_takes_what_we_take(data in prop_oneof![bytes(), request(), response()]) {
        rules::differential(&data);
    }

    #[test]
    fn hyper_reads_the_same_bodies(
        (body, _) in chunked(),
        trailers in vec("[A-Za-z-]{1,8}: ?[ -~]{0,9}\r\n", 0..3),
    ) {
        let body = body.strip_suffix(b"\r\n").unwrap();
        let fields = "Host: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        for start in ["POST / HTTP/1.1\r\n", "HTTP/1.1 200 OK\r\n"] {
            let head = [start, fields].concat();
            let end = [&trailers.concat(), "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"].concat();
            rules::differential(&[head.as_bytes(), body, end.as_bytes()].concat());
        }
    }

    #[test]
    fn chunked_bodies_come_back_at_any_segmentation(
        (body, payload) in chunked(),
        cuts in vec(1_usize..50, 1..20),
    ) {
        let mut decoder = Decoder::from(Framing::Chunked);
        let (mut got, mut rest) = (Vec::new(), &body[..]);
        for cut in cuts.iter().cycle() {
            let (piece, later) = rest.split_at((*cut).min(rest.len()));
            let mut buf = piece.to_vec();
            let done = decoder.decode(&mut buf).unwrap();
            prop_assert_eq!(done.consumed, piece.len());
            got.extend_from_slice(&buf[..done.data]);
            rest = later;
            if done.end {
                break;
            }
        }
        prop_assert!(decoder.finished() && rest.is_empty());
        prop_assert_eq!(got, payload);
        rules::chunked(&body);
    }

    #[test]
    fn framing_is_that_of_the_rfc(
        version in prop::sample::select(vec!["1.0", "1.1"]),
        fields in framing_fields(),
    ) {
        let head = format!("POST / HTTP/{version}\r\nHost: a\r\n{fields}\r\n");
        let mut slots = Slots::new();
        let ours = parse_request(head.as_bytes(), &RequestLimits::default(), &mut slots);
        let ours = ours.ok().flatten().map(|head| head.framing);
        prop_assert_eq!(ours, naive_framing(&head));
    }
}
