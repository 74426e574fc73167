//! Bodies, decoded in place.

use super::{BodyError, Framing, ResponseFraming};

/// Reads one body.
#[derive(Debug)]
pub(crate) enum Decoder {
    None,
    /// Bytes left.
    Length(u64),
    Chunked(Chunked),
    UntilClose,
}

/// State within a chunked body.
#[derive(Debug)]
pub(crate) struct Chunked {}

/// What [`Decoder::decode`] did. `consumed` raw bytes were eaten from the front;
/// their `data` payload bytes stand at `buf[..data]`. With `end` the body is
/// complete: the bytes from `consumed` on belong to what follows and are where
/// they were.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Decoded {
    pub(crate) consumed: usize,
    pub(crate) data: usize,
    pub(crate) end: bool,
}

impl From<Framing> for Decoder {
    fn from(framing: Framing) -> Self {
        match framing {
            Framing::None => Self::None,
            Framing::Length(left) => Self::Length(left),
            Framing::Chunked => Self::Chunked(Chunked {}),
        }
    }
}

impl From<ResponseFraming> for Decoder {
    fn from(framing: ResponseFraming) -> Self {
        match framing {
            ResponseFraming::None => Self::None,
            ResponseFraming::Length(left) => Self::Length(left),
            ResponseFraming::Chunked => Self::Chunked(Chunked {}),
            ResponseFraming::UntilClose => Self::UntilClose,
        }
    }
}

impl Decoder {
    /// Eats what it can of `buf`.
    pub(crate) fn decode(&mut self, buf: &mut [u8]) -> Result<Decoded, BodyError> {
        let _ = buf;
        unimplemented!()
    }

    /// The body is complete. Never so for [`Decoder::UntilClose`].
    pub(crate) fn finished(&self) -> bool {
        unimplemented!()
    }

    /// The peer sent FIN: an orderly end?
    pub(crate) fn eof(&self) -> Result<(), BodyError> {
        unimplemented!()
    }

    /// Payload bytes left, where that is known: these may be spliced and then [`Decoder::skip`]ped.
    pub(crate) fn left(&self) -> Option<u64> {
        unimplemented!()
    }

    /// `n` payload bytes went past this decoder (splice).
    pub(crate) fn skip(&mut self, n: u64) {
        let _ = n;
        unimplemented!()
    }

    /// The trailer section fit to be sent on, `Name: value` lines with CRLF each;
    /// to stand between `0` CRLF and the last CRLF. None on the steady path.
    pub(crate) fn take_trailers(&mut self) -> Option<Vec<u8>> {
        unimplemented!()
    }
}

/// Room for any chunk head.
pub(crate) const CHUNK_HEAD_MAX: usize = 18;

/// The last chunk and an empty trailer section.
pub(crate) const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Writes the head of a chunk of `len` (> 0) bytes right-aligned into `room`, which
/// has at least [`CHUNK_HEAD_MAX`] bytes; returns where it starts.
pub(crate) fn chunk_head(len: usize, room: &mut [u8]) -> usize {
    let _ = (len, room);
    unimplemented!()
}
