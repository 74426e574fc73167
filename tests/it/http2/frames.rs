//! Every rule of a frame, broken on purpose (RFC 9113 sections 4 to 6, RFC 7541).

use super::raw::*;
use super::{Raw, h2c};
use crate::support::{Answer, Origin, PlayedOrigin};
use Verdict::{GoAway, Reset};

const PROTOCOL: u32 = 1;
const FLOW_CONTROL: u32 = 3;
const STREAM_CLOSED: u32 = 5;
const FRAME_SIZE: u32 = 6;
const REFUSED: u32 = 7;

/// What the library says to a block that cannot be decoded; 9113 4.3 has a code of
/// its own (9). The connection ends either way, and so does what it could decode.
const COMPRESSION: u32 = PROTOCOL;

/// One rule: the frames that break it, and what may come of it.
type Case<'a> = (&'a str, Vec<Vec<u8>>, &'a [Verdict]);

fn hold(cases: Vec<Case<'_>>) {
    // An answer to what must be refused would be seen, and so would its absence.
    let origin = Origin::answering(|_| Answer::Silence);
    let lb = h2c(origin.addr(), "");
    let mut wrong = Vec::new();
    for (name, frames, expected) in cases {
        let mut raw = Raw::connect(lb.addr());
        for frame in frames {
            raw.0.try_send(frame);
        }
        let verdict = raw.verdict();
        if !expected.contains(&verdict) {
            wrong.push(format!("{name}: {verdict:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A POST whose body is to come.
fn post(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &head("POST", &[]))
}

fn get(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &head("GET", &[]))
}

fn word(number: u32) -> [u8; 4] {
    number.to_be_bytes()
}

fn setting(id: u16, value: u32) -> Vec<u8> {
    let mut payload = id.to_be_bytes().to_vec();
    payload.extend(value.to_be_bytes());
    frame(SETTINGS, 0, 0, &payload)
}

#[test]
fn sizes_of_frames() {
    let too_small = [0_u8; 8];
    hold(vec![
        (
            "DATA over the size announced",
            vec![post(1), frame(DATA, 0, 1, &[0; 16_385])],
            &[GoAway(FRAME_SIZE)],
        ),
        (
            "PING of 7",
            vec![frame(PING, 0, 0, &too_small[..7])],
            &[GoAway(FRAME_SIZE)],
        ),
        (
            "PING of 9",
            vec![frame(PING, 0, 0, &[0; 9])],
            &[GoAway(FRAME_SIZE)],
        ),
        (
            "RST_STREAM of 3",
            vec![get(1), frame(RST_STREAM, 0, 1, &too_small[..3])],
            &[GoAway(FRAME_SIZE)],
        ),
        (
            "SETTINGS of 5",
            vec![frame(SETTINGS, 0, 0, &too_small[..5])],
            &[GoAway(FRAME_SIZE)],
        ),
        (
            "SETTINGS ACK with a payload",
            vec![frame(SETTINGS, ACK, 0, &[0; 6])],
            &[GoAway(FRAME_SIZE)],
        ),
        (
            "WINDOW_UPDATE of 3",
            vec![frame(WINDOW_UPDATE, 0, 0, &too_small[..3])],
            &[GoAway(FRAME_SIZE)],
        ),
        (
            "PRIORITY of 4",
            vec![frame(PRIORITY, 0, 1, &too_small[..4])],
            &[GoAway(FRAME_SIZE), Reset(1, FRAME_SIZE)],
        ),
        (
            "GOAWAY of 7",
            vec![frame(GOAWAY, 0, 0, &too_small[..7])],
            &[GoAway(FRAME_SIZE)],
        ),
    ]);
}

#[test]
fn streams_of_frames() {
    hold(vec![
        ("an even stream", vec![get(2)], &[GoAway(PROTOCOL)]),
        (
            "a stream below the last",
            vec![get(5), get(3)],
            &[GoAway(PROTOCOL), GoAway(STREAM_CLOSED)],
        ),
        (
            "DATA on stream 0",
            vec![frame(DATA, 0, 0, b"x")],
            &[GoAway(PROTOCOL)],
        ),
        ("HEADERS on stream 0", vec![get(0)], &[GoAway(PROTOCOL)]),
        (
            "RST_STREAM on stream 0",
            vec![frame(RST_STREAM, 0, 0, &word(8))],
            &[GoAway(PROTOCOL)],
        ),
        (
            "PRIORITY on stream 0",
            vec![frame(PRIORITY, 0, 0, &[0; 5])],
            &[GoAway(PROTOCOL)],
        ),
        (
            "CONTINUATION on stream 0",
            vec![frame(CONTINUATION, END_HEADERS, 0, &[])],
            &[GoAway(PROTOCOL)],
        ),
        (
            "PING on a stream",
            vec![frame(PING, 0, 1, &[0; 8])],
            &[GoAway(PROTOCOL)],
        ),
        (
            "SETTINGS on a stream",
            vec![frame(SETTINGS, 0, 1, &[])],
            &[GoAway(PROTOCOL)],
        ),
        (
            "GOAWAY on a stream",
            vec![frame(GOAWAY, 0, 1, &[0; 8])],
            &[GoAway(PROTOCOL)],
        ),
        (
            "DATA on an idle stream",
            vec![frame(DATA, 0, 1, b"x")],
            &[GoAway(PROTOCOL)],
        ),
        (
            "RST_STREAM on an idle stream",
            vec![frame(RST_STREAM, 0, 1, &word(8))],
            &[GoAway(PROTOCOL)],
        ),
        (
            "WINDOW_UPDATE on an idle stream",
            vec![frame(WINDOW_UPDATE, 0, 1, &word(8))],
            &[GoAway(PROTOCOL)],
        ),
        (
            "DATA behind the end",
            vec![get(1), frame(DATA, 0, 1, b"x")],
            &[
                Reset(1, STREAM_CLOSED),
                GoAway(STREAM_CLOSED),
                GoAway(PROTOCOL),
            ],
        ),
        (
            "HEADERS behind the end",
            vec![get(1), get(1)],
            &[
                Reset(1, STREAM_CLOSED),
                GoAway(STREAM_CLOSED),
                GoAway(PROTOCOL),
            ],
        ),
        (
            "DATA behind a reset",
            vec![
                post(1),
                frame(RST_STREAM, 0, 1, &word(8)),
                frame(DATA, 0, 1, b"x"),
            ],
            &[
                Reset(1, STREAM_CLOSED),
                GoAway(STREAM_CLOSED),
                GoAway(PROTOCOL),
            ],
        ),
        (
            "a client's PUSH_PROMISE",
            vec![post(1), frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2])],
            &[GoAway(PROTOCOL)],
        ),
        (
            "a stream that depends on itself",
            vec![frame(PRIORITY, 0, 1, &[0, 0, 0, 1, 0])],
            &[Reset(1, PROTOCOL), GoAway(PROTOCOL)],
        ),
    ]);
}

#[test]
fn header_blocks_are_whole_and_of_one_stream() {
    let head = head("GET", &[]);
    let open = frame(HEADERS, END_STREAM, 1, &head[..10]);
    hold(vec![
        (
            "another frame within",
            vec![open.clone(), frame(PING, 0, 0, &[0; 8])],
            &[GoAway(PROTOCOL)],
        ),
        (
            "another stream within",
            vec![open.clone(), get(3)],
            &[GoAway(PROTOCOL)],
        ),
        (
            "continued on another stream",
            vec![
                open.clone(),
                frame(CONTINUATION, END_HEADERS, 3, &head[10..]),
            ],
            &[GoAway(PROTOCOL)],
        ),
        (
            "an unknown frame within",
            vec![open, frame(0x42, 0, 1, b"?")],
            &[GoAway(PROTOCOL)],
        ),
        (
            "continued without a beginning",
            vec![frame(CONTINUATION, END_HEADERS, 1, &head)],
            &[GoAway(PROTOCOL)],
        ),
        (
            "continued behind its end",
            vec![get(1), frame(CONTINUATION, END_HEADERS, 1, &head)],
            &[GoAway(PROTOCOL)],
        ),
    ]);
}

#[test]
fn windows() {
    let most = word(0x7fff_ffff);
    hold(vec![
        (
            "a connection's by nothing",
            vec![frame(WINDOW_UPDATE, 0, 0, &word(0))],
            &[GoAway(PROTOCOL)],
        ),
        (
            "a stream's by nothing",
            vec![get(1), frame(WINDOW_UPDATE, 0, 1, &word(0))],
            &[Reset(1, PROTOCOL), GoAway(PROTOCOL)],
        ),
        (
            "a connection's past the most",
            vec![frame(WINDOW_UPDATE, 0, 0, &most)],
            &[GoAway(FLOW_CONTROL)],
        ),
        (
            "a stream's past the most",
            vec![get(1), frame(WINDOW_UPDATE, 0, 1, &most)],
            &[Reset(1, FLOW_CONTROL), GoAway(FLOW_CONTROL)],
        ),
        (
            "all streams' past the most",
            vec![
                get(1),
                frame(WINDOW_UPDATE, 0, 1, &word(1)),
                setting(4, 0x7fff_ffff),
            ],
            &[GoAway(FLOW_CONTROL)],
        ),
        (
            "an initial one past the most",
            vec![setting(4, 0x8000_0000)],
            &[GoAway(FLOW_CONTROL), GoAway(PROTOCOL)],
        ),
        (
            "more DATA than a stream's",
            [vec![post(1)], vec![frame(DATA, 0, 1, &[0; 16_384]); 200]].concat(),
            &[Reset(1, FLOW_CONTROL), GoAway(FLOW_CONTROL)],
        ),
    ]);
}

#[test]
fn settings_and_padding() {
    hold(vec![
        ("ENABLE_PUSH of 2", vec![setting(2, 2)], &[GoAway(PROTOCOL)]),
        (
            "MAX_FRAME_SIZE too small",
            vec![setting(5, 16_383)],
            &[GoAway(PROTOCOL)],
        ),
        (
            "MAX_FRAME_SIZE too large",
            vec![setting(5, 1 << 24)],
            &[GoAway(PROTOCOL)],
        ),
        (
            "padding as long as DATA",
            vec![post(1), frame(DATA, PADDED, 1, &[2, 0])],
            &[GoAway(PROTOCOL)],
        ),
        (
            "padding as long as HEADERS",
            vec![frame(HEADERS, PADDED | END_HEADERS, 1, &[2, 0])],
            &[GoAway(PROTOCOL)],
        ),
    ]);
}

#[test]
fn compression() {
    let head = |bytes: &[u8]| vec![frame(HEADERS, END_HEADERS | END_STREAM, 1, bytes)];
    let expected: &[Verdict] = &[GoAway(COMPRESSION)];
    hold(vec![
        ("index 0", head(&[0x80]), expected),
        ("an index nobody set", head(&[0xc0]), expected),
        (
            "a name's index nobody set",
            head(&[0x7e, 1, b'x']),
            expected,
        ),
        (
            "an integer without end",
            head(&[
                0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
            ]),
            expected,
        ),
        (
            "a table larger than announced",
            head(&[0x3f, 0xe2, 0x1f]),
            expected,
        ),
        (
            "a table resized behind a field",
            head(&[0x82, 0x20]),
            expected,
        ),
        (
            "a string longer than the block",
            head(&[0x00, 5, b'x']),
            expected,
        ),
        // Huffman, one byte: EOS begins so, and no more than seven bits may.
        (
            "padding of eight bits",
            head(&[0x00, 0x82, 0xff, 0xff, 1, b'x']),
            expected,
        ),
        (
            "padding of zeros",
            head(&[0x00, 0x81, 0x00, 1, b'x']),
            expected,
        ),
        (
            "EOS",
            head(&[0x00, 0x84, 0xff, 0xff, 0xff, 0xff, 1, b'x']),
            expected,
        ),
    ]);
}

#[test]
fn what_is_unknown_is_ignored() {
    let origin = Origin::ok("hello");
    let lb = h2c(origin.addr(), "");
    let mut raw = Raw::connect(lb.addr());
    raw.0.send(setting(0x77, 5));
    raw.send(0x42, 0xff, 0, b"whatever");
    raw.send(PRIORITY, 0, 1, &[0, 0, 0, 0, 5]);
    raw.get(1);
    raw.send(0x42, 0xff, 1, b"whatever");
    assert_eq!(raw.body(1), b"hello");
    assert!(raw.is_alive());
}

#[test]
fn another_preface_is_not_answered_as_one() {
    let origin = Origin::ok("hello");
    let lb = h2c(origin.addr(), "");
    let mut client = lb.client();
    client.send("PRI * HTTP/2.0\r\n\r\nSX\r\n\r\n");
    client.send(frame(SETTINGS, 0, 0, &[]));
    let (bytes, _) = client.read_end();
    // Its own hello may be out already; then only a goodbye follows.
    assert!(!bytes.starts_with(b"HTTP/1"), "{bytes:?}");
    let mut raw = Raw(lb.client());
    raw.0.send(PREFACE);
    raw.send(PING, 0, 0, &[0; 8]);
    assert_eq!(raw.verdict(), GoAway(PROTOCOL));
}

#[test]
fn a_window_made_smaller_holds_back_what_is_on_its_way() {
    let origin = PlayedOrigin::listen();
    let lb = h2c(origin.addr(), "");
    let mut raw = Raw::connect(lb.addr());
    raw.0.send(setting(4, 50));
    raw.get(1);
    let mut server = origin.accept();
    server.read_head();
    server
        .send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
        .send([b'x'; 100]);
    assert_eq!(raw.read_kind(DATA).payload.len(), 50);
    // 50 are used, so the window is at -40 now.
    raw.0.send(setting(4, 10));
    raw.send(WINDOW_UPDATE, 0, 1, &word(40));
    assert!(raw.is_alive(), "and no DATA came before the answer");
    raw.send(WINDOW_UPDATE, 0, 1, &word(7));
    assert_eq!(raw.read_kind(DATA).payload.len(), 7);
    raw.send(WINDOW_UPDATE, 0, 1, &word(1000));
    assert_eq!(raw.body(1).len(), 43);
}

#[test]
fn padding_counts_for_windows_and_is_given_back() {
    let origin = Origin::answering(|request| {
        let body = request.body.len();
        Answer::Keep(
            format!("HTTP/1.1 200 OK\r\nX-Body: {body}\r\nContent-Length: 0\r\n\r\n").into(),
        )
    });
    let lb = h2c(origin.addr(), "");
    let mut raw = Raw::connect(lb.addr());
    raw.send(HEADERS, END_HEADERS, 1, &head("POST", &[]));
    let mut window = 65_536_i64;
    let mut padded = vec![255];
    padded.extend([b'x'; 1000]);
    padded.extend([0; 255]);
    for _ in 0..200 {
        while window < padded.len() as i64 {
            let update = raw.read_kind(WINDOW_UPDATE);
            if update.stream == 1 {
                window += i64::from(u32::from_be_bytes(update.payload.try_into().unwrap()));
            }
        }
        raw.send(DATA, PADDED, 1, &padded);
        window -= padded.len() as i64;
    }
    raw.send(DATA, END_STREAM, 1, &[]);
    raw.read_kind(HEADERS);
    let body = origin.requests()[0].body.len();
    assert!(body > 200_000, "{body}");
}

#[test]
fn streams_over_the_limit_are_refused_and_their_heads_read() {
    let origin = PlayedOrigin::listen();
    let lb = h2c(origin.addr(), "pool_max = 0\n[listen.http2]\nstreams = 2");
    let mut raw = Raw::connect(lb.addr());
    raw.get(1).get(3);
    let mut servers = [origin.accept(), origin.accept()];
    // It puts a field into the table (RFC 7541 6.2.1), which a later one names.
    let mut indexing = head("GET", &[]);
    indexing.extend([0x40, 3, b'x', b'-', b'a', 1, b'1']);
    raw.send(HEADERS, END_HEADERS | END_STREAM, 5, &indexing);
    assert_eq!(raw.verdict(), Reset(5, REFUSED));
    for server in &mut servers {
        server.read_head();
        server.send("HTTP/1.1 204 No Content\r\n\r\n");
    }
    raw.read_kind(HEADERS);
    raw.read_kind(HEADERS);
    let mut indexed = head("GET", &[]);
    indexed.push(0xbe);
    raw.send(HEADERS, END_HEADERS | END_STREAM, 7, &indexed);
    assert_eq!(origin.accept().read_head().field("x-a"), Some("1"));
}
