//! Bodies: framing of the chunked coding to the byte, and the plain ones.

use super::super::{
    BodyError, CHUNK_HEAD_MAX, Decoded, Decoder, Framing, LAST_CHUNK, ResponseFraming, chunk_head,
};

fn decode(body: &[u8]) -> Result<(Decoded, Vec<u8>), BodyError> {
    let mut buf = body.to_vec();
    let done = Decoder::from(Framing::Chunked).decode(&mut buf)?;
    assert_eq!(buf[done.consumed..], body[done.consumed..]);
    buf.truncate(done.data);
    Ok((done, buf))
}

#[test]
fn chunks_are_joined_and_what_follows_stays() {
    // 9112 7.1.
    for (body, payload, consumed) in [
        ("0\r\n\r\n", "", 5),
        ("00000\r\n\r\n", "", 9),
        ("3\r\nabc\r\n0\r\n\r\n", "abc", 13),
        ("3\r\nabc\r\n0\r\n\r\nGET /", "abc", 13),
        ("1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", "abc", 18),
        ("0003\r\nabc\r\n0\r\n\r\n", "abc", 16),
        ("a\r\n0123456789\r\n0\r\n\r\n", "0123456789", 20),
        ("A\r\n0123456789\r\n0\r\n\r\n", "0123456789", 20),
        ("2\r\n\r\n\r\n0\r\n\r\n", "\r\n", 12),
        // 9112 7.1.1: extensions are dropped.
        ("3;a\r\nabc\r\n0;b=c;d=\"e;\\\"\\\\\"\r\n\r\n", "abc", 30),
        ("3;a = b\t;c\r\nabc\r\n0\r\n\r\n", "abc", 22),
    ] {
        let (done, data) = decode(body.as_bytes()).unwrap();
        assert_eq!(data, payload.as_bytes(), "{body:?}");
        assert_eq!((done.consumed, done.end), (consumed, true), "{body:?}");
    }
}

#[test]
fn chunk_framing_is_exact() {
    for (body, expected) in [
        // 9112 7.1: 1*HEXDIG.
        ("\r\n", BodyError::ChunkSize),
        (";a\r\n", BodyError::ChunkSize),
        (" 3\r\nabc\r\n", BodyError::ChunkSize),
        ("3 \r\nabc\r\n", BodyError::ChunkSize),
        ("3 ;a\r\nabc\r\n", BodyError::ChunkSize),
        ("+3\r\nabc\r\n", BodyError::ChunkSize),
        ("-3\r\nabc\r\n", BodyError::ChunkSize),
        ("0x3\r\nabc\r\n", BodyError::ChunkSize),
        ("3_0\r\nabc\r\n", BodyError::ChunkSize),
        ("g\r\n", BodyError::ChunkSize),
        ("\u{663}\r\n", BodyError::ChunkSize),
        ("10000000000000000\r\n", BodyError::ChunkSize),
        ("fffffffffffffffff\r\n", BodyError::ChunkSize),
        // Errata 7633: CRLF, nothing else.
        ("3\nabc\r\n", BodyError::ChunkSize),
        ("3\r\r\nabc\r\n", BodyError::ChunkSize),
        ("3\rabc\r\n", BodyError::ChunkSize),
        ("3\r\nabc\n0\r\n\r\n", BodyError::ChunkEnd),
        ("3\r\nabc\r0\r\n\r\n", BodyError::ChunkEnd),
        ("3\r\nabcd\r\n", BodyError::ChunkEnd),
        ("3\r\nabcXX0\r\n\r\n", BodyError::ChunkEnd),
        ("0\r\n\n", BodyError::Trailer),
        ("0\r\n\rx", BodyError::Trailer),
        // 9112 7.1.1.
        ("3;a\nb\r\nabc\r\n", BodyError::Extension),
        ("3;a\0\r\nabc\r\n", BodyError::Extension),
        ("3;a=\"\r\nabc\r\n", BodyError::Extension),
        ("3;a=\"b\\\r\nabc\r\n", BodyError::Extension),
        ("3;a=\"b\n\"\r\nabc\r\n", BodyError::Extension),
        ("3;a\rb\r\nabc\r\n", BodyError::ChunkSize),
        // 9112 7.1.2: as strict as a head.
        ("0\r\nX : a\r\n\r\n", BodyError::Trailer),
        ("0\r\nX\r\n\r\n", BodyError::Trailer),
        ("0\r\n X: a\r\n\r\n", BodyError::Trailer),
        ("0\r\nX: a\r\n b\r\n\r\n", BodyError::Trailer),
        ("0\r\nX: a\n\r\n", BodyError::Trailer),
        ("0\r\nX: a\r\n\n", BodyError::Trailer),
        ("0\r\nX: \0\r\n\r\n", BodyError::Trailer),
    ] {
        assert_eq!(decode(body.as_bytes()), Err(expected), "{body:?}");
    }
}

#[test]
fn chunk_lines_extensions_and_trailers_have_limits() {
    let zeros = |count: usize| format!("{}\r\n\r\n", "0".repeat(count)).into_bytes();
    assert!(decode(&zeros(256)).is_ok_and(|(done, _)| done.end));
    assert_eq!(decode(&zeros(257)), Err(BodyError::ChunkLine));

    let chunk = format!("1;{}\r\na\r\n", "x".repeat(200));
    let extensions = |count: usize| format!("{}0\r\n\r\n", chunk.repeat(count)).into_bytes();
    assert!(decode(&extensions(80)).is_ok_and(|(done, _)| done.end));
    assert_eq!(decode(&extensions(81)), Err(BodyError::Extensions));

    let trailers = |count: usize| format!("0\r\n{}\r\n", "X: a\r\n".repeat(count)).into_bytes();
    assert!(decode(&trailers(32)).is_ok_and(|(done, _)| done.end));
    assert_eq!(decode(&trailers(33)), Err(BodyError::TrailerTooLong));
    let long = format!("0\r\nX: {}\r\n\r\n", "a".repeat(8 << 10)).into_bytes();
    assert_eq!(decode(&long), Err(BodyError::TrailerTooLong));
}

#[test]
fn the_largest_chunk_size_is_read_and_waited_for() {
    let (done, data) = decode(b"ffffffffffffffff\r\nabc").unwrap();
    assert_eq!((done.consumed, done.end), (21, false));
    assert_eq!(data, b"abc");
}

#[test]
fn trailers_are_filtered() {
    // 9110 6.5.1.
    let mut body = b"0\r\nX-Sum:  1 \r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\
        Host: a\r\nAuthorization: b\r\nset-cookie: c\r\nX-Forwarded-For: d\r\nX_Forwarded_For: d\r\n\
        Connection: e\r\nContent-Type: f\r\nCache-Control: g\r\ngrpc-status:0\r\n\r\n"
        .to_vec();
    let mut decoder = Decoder::from(ResponseFraming::Chunked);
    assert_eq!(decoder.take_trailers(), None);
    assert!(decoder.decode(&mut body).is_ok_and(|done| done.end));
    let trailers = decoder.take_trailers().unwrap();
    assert_eq!(trailers, b"X-Sum: 1\r\ngrpc-status: 0\r\n");
    assert_eq!(decoder.take_trailers(), None);
}

#[test]
fn a_broken_body_stays_broken() {
    // 9112 8.
    let mut decoder = Decoder::from(Framing::Chunked);
    let error = Err(BodyError::ChunkSize);
    assert_eq!(decoder.decode(&mut b"x".to_vec()), error);
    assert_eq!(decoder.decode(&mut b"0\r\n\r\n".to_vec()), error);
    assert_eq!(decoder.decode(&mut []), error);
    assert_eq!(decoder.eof(), Err(BodyError::Truncated));
}

#[test]
fn a_body_of_known_length_ends_there() {
    let mut decoder = Decoder::from(Framing::Length(5));
    let (first, second) = (&mut b"abc".to_vec(), &mut b"deGET".to_vec());
    let done = |consumed, end| {
        Ok(Decoded {
            consumed,
            data: consumed,
            end,
        })
    };
    assert_eq!(decoder.decode(first), done(3, false));
    assert_eq!(decoder.left(), Some(2));
    assert_eq!(decoder.eof(), Err(BodyError::Truncated));
    assert_eq!(decoder.decode(second), done(2, true));
    assert!(decoder.finished());
    assert_eq!(decoder.eof(), Ok(()));
    assert_eq!(decoder.decode(second), done(0, true));

    let mut spliced = Decoder::from(Framing::Length(5));
    spliced.skip(5);
    assert!(spliced.finished());
}

#[test]
fn only_a_body_until_close_may_end_anywhere() {
    let mut open = Decoder::from(ResponseFraming::UntilClose);
    assert!(
        open.decode(&mut b"abc".to_vec())
            .is_ok_and(|done| done.data == 3 && !done.end)
    );
    assert_eq!(open.eof(), Ok(()));
    assert!(!open.finished());
    let none = Decoder::from(Framing::None);
    assert!(none.finished() && none.eof().is_ok());
    let chunked = Decoder::from(Framing::Chunked);
    assert_eq!(chunked.eof(), Err(BodyError::Truncated));
}

#[test]
fn chunk_heads_are_lower_case_hexadecimal() {
    for (len, text) in [
        (1, "1\r\n"),
        (15, "f\r\n"),
        (16, "10\r\n"),
        (0x1a2b, "1a2b\r\n"),
        (usize::MAX, "ffffffffffffffff\r\n"),
    ] {
        let mut room = [0; CHUNK_HEAD_MAX];
        let start = chunk_head(len, &mut room);
        assert_eq!(&room[start..], text.as_bytes());
    }
    assert!(decode(LAST_CHUNK).is_ok_and(|(done, _)| done.end));
}
