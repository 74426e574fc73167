//! HTTP/2 as frames, written and read byte by byte.

use std::net::SocketAddr;

use crate::support::{End, RawClient};

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const PRIORITY: u8 = 2;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PUSH_PROMISE: u8 = 5;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;

pub(super) const END_STREAM: u8 = 1;
pub(super) const ACK: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;
pub(super) const PADDED: u8 = 8;

pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A frame as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
    pub(super) payload: Vec<u8>,
}

/// What a peer says of what it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Of the connection.
    GoAway(u32),
    /// Of this stream.
    Reset(u32, u32),
    /// An answer on this stream, with this as the first byte of its head.
    Answer(u32, u8),
    Closed,
}

/// A client that knows nothing but frames.
#[derive(Debug)]
pub(super) struct Raw(pub(super) RawClient);

impl Raw {
    /// Says hello, and takes the other's.
    #[track_caller]
    pub(super) fn connect(addr: SocketAddr) -> Self {
        let mut raw = Self(RawClient::connect(addr));
        raw.0.send(PREFACE);
        raw.send(SETTINGS, 0, 0, &[]);
        let hello = raw.read();
        assert_eq!((hello.kind, hello.flags), (SETTINGS, 0));
        raw.send(SETTINGS, ACK, 0, &[]);
        raw
    }

    pub(super) fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> &mut Self {
        self.0.try_send(frame(kind, flags, stream, payload));
        self
    }

    /// GET / without anything else.
    pub(super) fn get(&mut self, stream: u32) -> &mut Self {
        self.send(HEADERS, END_HEADERS | END_STREAM, stream, &head("GET", &[]))
    }

    /// The next frame; `None` at the end of the connection.
    pub(super) fn try_read(&mut self) -> Option<Frame> {
        let head = self.0.try_read_bytes(9)?;
        let len = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        Some(Frame {
            kind: head[3],
            flags: head[4],
            stream: u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]),
            payload: self.0.try_read_bytes(len)?,
        })
    }

    #[track_caller]
    pub(super) fn read(&mut self) -> Frame {
        self.try_read().expect("a frame, and not the end")
    }

    /// The next frame of this kind.
    #[track_caller]
    pub(super) fn read_kind(&mut self, kind: u8) -> Frame {
        loop {
            let frame = self.read();
            if frame.kind == kind {
                return frame;
            }
        }
    }

    /// What comes of all this, settings, pings and windows aside.
    pub(super) fn verdict(&mut self) -> Verdict {
        loop {
            let Some(frame) = self.try_read() else {
                return Verdict::Closed;
            };
            let word = |at: usize| {
                let bytes = frame.payload[at..at + 4].try_into().expect("four bytes");
                u32::from_be_bytes(bytes)
            };
            match frame.kind {
                GOAWAY => return Verdict::GoAway(word(4)),
                RST_STREAM => return Verdict::Reset(frame.stream, word(0)),
                HEADERS => return Verdict::Answer(frame.stream, frame.payload[0]),
                _ => {}
            }
        }
    }

    /// The DATA of this stream up to its end.
    #[track_caller]
    pub(super) fn body(&mut self, stream: u32) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let frame = self.read();
            if frame.stream == stream && frame.kind == DATA {
                body.extend(frame.payload);
                if frame.flags & END_STREAM != 0 {
                    return body;
                }
            }
        }
    }

    /// Whether the connection answers a PING.
    pub(super) fn is_alive(&mut self) -> bool {
        self.send(PING, 0, 0, b"areuhere");
        loop {
            match self.try_read() {
                Some(frame) if frame.kind == PING && frame.flags & ACK != 0 => return true,
                Some(frame) if frame.kind == GOAWAY => return false,
                Some(_) => {}
                None => return false,
            }
        }
    }

    #[track_caller]
    pub(super) fn read_end(&mut self) -> End {
        self.0.read_end().1
    }
}

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = u32::try_from(payload.len()).expect("24 bits").to_be_bytes();
    let mut frame = vec![a, b, c, kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A head block for this method on `/`, with these fields behind what it must have.
pub(super) fn head(method: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    let usual = [
        (":method", method),
        (":scheme", "http"),
        (":authority", "test"),
        (":path", "/"),
    ];
    block(&[&usual, fields].concat())
}

/// Literals that are not indexed and not compressed (RFC 7541 6.2.2).
pub(super) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            integer(text.len(), &mut block);
            block.extend(text.as_bytes());
        }
    }
    block
}

/// With a prefix of seven bits (RFC 7541 5.1).
fn integer(mut number: usize, out: &mut Vec<u8>) {
    if number < 127 {
        return out.push(number as u8);
    }
    out.push(127);
    number -= 127;
    while number >= 128 {
        out.push((number % 128) as u8 | 128);
        number /= 128;
    }
    out.push(number as u8);
}
