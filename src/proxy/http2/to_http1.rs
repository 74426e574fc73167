//! A request to an HTTP/1.1 server, and its answer as fields and pieces.

use std::io::IoSlice;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;

use super::origin::{Around, Lost, Part};
use crate::config::ResponseLimits;
use crate::http::{
    self as rules, Asked, CHUNK_HEAD_MAX, Decoder, Reply, ResponseFraming, Slots, Version,
};
use crate::net::Stream;
use crate::proxy::Shard;
use crate::proxy::buffers::Buf;
use crate::proxy::http1::INTERIMS_MAX;

/// A connection of the pool, for the time of one exchange.
#[derive(Debug)]
pub(super) struct ToHttp1 {
    stream: Stream,
    /// It comes from the pool.
    pub(super) reused: bool,
    up: Up,
    down: Down,
    progress: bool,
}

/// The request. Its pieces leave in one write, as far as they are there.
#[derive(Debug)]
struct Up {
    head: Vec<u8>,
    chunk: [u8; CHUNK_HEAD_MAX],
    chunk_at: usize,
    data: Bytes,
    tail: Vec<u8>,
    /// Bytes of the four that were written.
    written: usize,
    chunked: bool,
    finished: bool,
    /// All of the request stands in `head`.
    whole: bool,
}

/// The answer.
#[derive(Debug)]
struct Down {
    asked: Asked,
    limits: ResponseLimits,
    buf: Option<Buf>,
    /// Bytes that were parsed already and found incomplete.
    tried: usize,
    interims: u32,
    /// `None` = the head is awaited.
    decoder: Option<Decoder>,
    ended: bool,
    trailers: Option<HeaderMap>,
    keep_alive: bool,
}

impl ToHttp1 {
    /// `head` is the serialised request; a body follows in chunks, as it is, or not at all.
    pub(super) fn new(
        stream: Stream,
        reused: bool,
        head: Vec<u8>,
        body: Option<bool>,
        (asked, limits): (Asked, ResponseLimits),
    ) -> Self {
        Self {
            stream,
            reused,
            up: Up {
                head,
                chunk: [0; CHUNK_HEAD_MAX],
                chunk_at: CHUNK_HEAD_MAX,
                data: Bytes::new(),
                tail: Vec::new(),
                written: 0,
                chunked: body == Some(true),
                finished: body.is_none(),
                whole: body.is_none(),
            },
            down: Down {
                asked,
                limits,
                buf: None,
                tried: 0,
                interims: 0,
                decoder: None,
                ended: false,
                trailers: None,
                keep_alive: false,
            },
            progress: false,
        }
    }

    /// The head once more, if that is all there is to send and nothing came back.
    pub(super) fn into_request(self) -> Option<Vec<u8>> {
        let untouched = self.down.buf.is_none() && self.down.interims == 0;
        (self.up.whole && untouched).then_some(self.up.head)
    }

    /// Gives its buffers back, and the connection if another exchange may use it.
    pub(super) fn finish(mut self, shard: &Shard) -> Option<Stream> {
        let clean = self.up.finished && self.up.is_flushed();
        shard.buffers.give_head(std::mem::take(&mut self.up.head));
        let excess = self.down.buf.as_ref().is_some_and(|buf| !buf.is_empty());
        if let Some(buf) = self.down.buf.take() {
            shard.buffers.give(buf);
        }
        let whole = clean && self.down.ended && self.down.keep_alive && !excess;
        whole.then_some(self.stream)
    }

    pub(super) fn has_room(&self) -> bool {
        self.up.has_room()
    }

    pub(super) fn give(&mut self, data: Bytes) {
        self.up.give(data);
    }

    pub(super) fn finish_request(&mut self, trailers: Option<&HeaderMap>) {
        self.up.finish(trailers);
    }

    pub(super) fn take_progress(&mut self) -> bool {
        std::mem::take(&mut self.progress)
    }

    pub(super) fn is_over(&self) -> bool {
        self.down.ended && self.down.trailers.is_none()
    }

    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Lost>> {
        while !self.up.is_flushed() {
            let slices = self.up.slices();
            // Mostly there is a head alone, and a plain write is the cheaper one.
            let written = match slices {
                [head, [], [], []] => self.stream.poll_write(cx, head),
                slices => self.stream.poll_writev(cx, &slices.map(IoSlice::new)),
            };
            match ready!(written) {
                Ok(0) | Err(_) => return Poll::Ready(Err(Lost::Gone)),
                Ok(written) => self.up.written += written,
            }
            self.progress = true;
        }
        // With TLS, records may wait for room in the socket.
        self.stream.poll_flush(cx).map_err(|_| Lost::Gone)
    }

    pub(super) fn poll_part(
        &mut self,
        around: &Around<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Part, Lost>> {
        loop {
            if let Some(part) = self.down.next(around)? {
                return Poll::Ready(Ok(part));
            }
            let buffers = &around.shard.buffers;
            match ready!(buffers.poll_fill(&mut self.down.buf, &mut self.stream, cx)) {
                Ok(n @ 1..) => {
                    debug_assert!(n > 0, "something came");
                    around.shard.clock.read();
                    self.progress = true;
                }
                Ok(_) => self.down.eof()?,
                Err(_) => return Poll::Ready(Err(Lost::Gone)),
            }
        }
    }
}

impl Up {
    fn len(&self) -> usize {
        let chunk = CHUNK_HEAD_MAX - self.chunk_at;
        self.head.len() + chunk + self.data.len() + self.tail.len()
    }

    fn is_flushed(&self) -> bool {
        self.written == self.len()
    }

    fn has_room(&self) -> bool {
        !self.finished && self.data.is_empty() || self.is_flushed()
    }

    /// What is left of the four pieces.
    fn slices(&self) -> [&[u8]; 4] {
        let mut skip = self.written;
        let pieces = [
            &self.head[..],
            &self.chunk[self.chunk_at..],
            &self.data,
            &self.tail,
        ];
        pieces.map(|piece| {
            let skipped = skip.min(piece.len());
            skip -= skipped;
            &piece[skipped..]
        })
    }

    fn give(&mut self, data: Bytes) {
        self.whole = false;
        if self.is_flushed() {
            self.head.clear();
            self.written = 0;
        }
        self.chunk_at = CHUNK_HEAD_MAX;
        self.tail.clear();
        if self.chunked && !data.is_empty() {
            self.chunk_at = rules::chunk_head(data.len(), &mut self.chunk);
            self.tail.extend_from_slice(b"\r\n");
        }
        self.data = data;
    }

    /// Called in the same breath as [`Self::give`], or when all has left.
    fn finish(&mut self, trailers: Option<&HeaderMap>) {
        self.finished = true;
        if !self.chunked {
            return;
        }
        if self.is_flushed() {
            self.give(Bytes::new());
        }
        self.whole = false;
        match trailers {
            None => self.tail.extend_from_slice(rules::LAST_CHUNK),
            Some(trailers) => {
                self.tail.extend_from_slice(b"0\r\n");
                rules::write_trailers(trailers, &mut self.tail);
                self.tail.extend_from_slice(b"\r\n");
            }
        }
    }
}

impl Down {
    /// What the bytes that are there come to; `None` = more are needed.
    fn next(&mut self, around: &Around<'_>) -> Result<Option<Part>, Lost> {
        if self.ended {
            return Ok(Some(Part::End(self.trailers.take())));
        }
        let buf = match &mut self.buf {
            Some(buf) if !buf.is_empty() => buf,
            _ => return Ok(None),
        };
        let Some(decoder) = &mut self.decoder else {
            if !rules::may_complete(buf.bytes(), self.tried) {
                return Ok(None);
            }
            return self.head(around);
        };
        let start = buf.start();
        let decoded = decoder.decode(buf.bytes_mut()).map_err(|_| Lost::Bad)?;
        buf.consume(decoded.consumed);
        let data = Bytes::copy_from_slice(buf.part(start..start + decoded.data));
        if decoded.end {
            self.ended = true;
            self.trailers = decoder.take_trailers().map(rules::read_trailers);
        }
        if buf.is_empty()
            && let Some(buf) = self.buf.take()
        {
            // Whoever waits holds no buffer.
            around.shard.buffers.give(buf);
        }
        if data.is_empty() {
            return Ok(self.ended.then(|| Part::End(self.trailers.take())));
        }
        Ok(Some(Part::Data(data)))
    }

    fn head(&mut self, around: &Around<'_>) -> Result<Option<Part>, Lost> {
        let Some(buf) = &mut self.buf else {
            return Ok(None);
        };
        self.tried = buf.len();
        let mut slots = Slots::new();
        let parsed = rules::parse_response(buf.bytes(), &self.limits, self.asked, &mut slots);
        let head = parsed.map_err(|error| {
            tracing::debug!(%error, "bad answer");
            Lost::Bad
        })?;
        let Some(head) = head else { return Ok(None) };
        let reply = Reply {
            version: Version::Http2,
            keep_alive: true,
            framing: head.framing,
            date: &around.shard.clock.date(),
            via: around.via,
        };
        let response = rules::to_h2_response(buf.bytes(), &head, &reply).ok_or(Lost::Bad)?;
        let len = head.len;
        let part = if head.status < 200 {
            self.interims += 1;
            self.tried = 0;
            if self.interims > INTERIMS_MAX {
                return Err(Lost::Bad);
            }
            Part::Interim(response)
        } else {
            self.keep_alive = head.keep_alive;
            self.ended = matches!(
                head.framing,
                ResponseFraming::None | ResponseFraming::Length(0)
            );
            self.decoder = Some(Decoder::from(head.framing));
            Part::Head(response)
        };
        buf.consume(len);
        Ok(Some(part))
    }

    /// The server closed.
    fn eof(&mut self) -> Result<(), Lost> {
        let decoder = self.decoder.as_ref().ok_or(Lost::Gone)?;
        decoder.eof().map_err(|_| Lost::Gone)?;
        self.ended = true;
        self.keep_alive = false;
        Ok(())
    }
}
