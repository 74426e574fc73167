//! Bodies, decoded in place.

use super::chunked::Chunked;
use super::{BodyError, Framing, ResponseFraming};

/// Reads one body.
#[derive(Debug, Default)]
pub(crate) enum Decoder {
    #[default]
    None,
    /// Bytes left.
    Length(u64),
    Chunked(Chunked),
    UntilClose,
}

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
            Framing::Chunked => Self::Chunked(Chunked::default()),
        }
    }
}

impl From<ResponseFraming> for Decoder {
    fn from(framing: ResponseFraming) -> Self {
        match framing {
            ResponseFraming::None => Self::None,
            ResponseFraming::Length(left) => Self::Length(left),
            ResponseFraming::Chunked => Self::Chunked(Chunked::default()),
            ResponseFraming::UntilClose => Self::UntilClose,
        }
    }
}

impl Decoder {
    /// Eats what it can of `buf`: everything, unless the body ends within.
    ///
    /// # Errors
    /// The body is broken; what was decoded of this `buf` is lost, and each later
    /// call gives the same error.
    #[inline]
    pub(crate) fn decode(&mut self, buf: &mut [u8]) -> Result<Decoded, BodyError> {
        let plain = |bytes, end| Decoded {
            consumed: bytes,
            data: bytes,
            end,
        };
        match self {
            Self::None => Ok(plain(0, true)),
            Self::Length(left) => {
                let bytes = usize::try_from(*left).map_or(buf.len(), |left| left.min(buf.len()));
                *left -= bytes as u64;
                Ok(plain(bytes, *left == 0))
            }
            Self::Chunked(chunked) => chunked.decode(buf),
            Self::UntilClose => Ok(plain(buf.len(), false)),
        }
    }

    /// The body is complete. Never so for [`Decoder::UntilClose`].
    #[inline]
    pub(crate) fn finished(&self) -> bool {
        match self {
            Self::None => true,
            Self::Length(left) => *left == 0,
            Self::Chunked(chunked) => chunked.finished(),
            Self::UntilClose => false,
        }
    }

    /// The peer sent FIN: an orderly end?
    ///
    /// # Errors
    /// [`BodyError::Truncated`]: more was announced (9112 8).
    pub(crate) fn eof(&self) -> Result<(), BodyError> {
        if self.finished() || matches!(self, Self::UntilClose) {
            Ok(())
        } else {
            Err(BodyError::Truncated)
        }
    }

    /// Payload bytes left, where that is known: these may be spliced, and then
    /// [skipped](Self::skip).
    #[inline]
    pub(crate) fn left(&self) -> Option<u64> {
        match self {
            Self::None => Some(0),
            Self::Length(left) => Some(*left),
            Self::Chunked(_) | Self::UntilClose => None,
        }
    }

    /// `n` payload bytes, at most [`left`](Self::left), went past this decoder (splice).
    pub(crate) fn skip(&mut self, n: u64) {
        if let Self::Length(left) = self {
            debug_assert!(n <= *left, "more spliced than the body has");
            *left = left.saturating_sub(n);
        }
    }

    /// The trailer section fit to be sent on, `Name: value` lines with CRLF each;
    /// to stand between `0` CRLF and the last CRLF. None on the steady path.
    #[inline]
    pub(crate) fn take_trailers(&mut self) -> Option<Vec<u8>> {
        match self {
            Self::Chunked(chunked) => chunked.take_trailers(),
            _ => None,
        }
    }
}

/// Room for any chunk head.
pub(crate) const CHUNK_HEAD_MAX: usize = 16 + 2;

/// The last chunk and an empty trailer section.
pub(crate) const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Writes the head of a chunk of `len` (> 0) bytes right-aligned into `room`, which
/// has at least [`CHUNK_HEAD_MAX`] bytes; returns where it starts.
#[inline]
pub(crate) fn chunk_head(mut len: usize, room: &mut [u8]) -> usize {
    debug_assert!(len > 0, "a chunk of 0 bytes is the last one");
    let mut at = room.len() - 2;
    room[at..].copy_from_slice(b"\r\n");
    loop {
        at -= 1;
        room[at] = b"0123456789abcdef"[len % 16];
        len /= 16;
        if len == 0 {
            return at;
        }
    }
}
