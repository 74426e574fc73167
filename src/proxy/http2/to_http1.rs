//! A request to an HTTP/1.1 server, and its answer as fields and pieces.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;

use super::message::Message;
use super::origin::{Around, Lost, Part};
use crate::config::ResponseLimits;
use crate::http::{
    self as rules, Asked, Decoder, Reply, ResponseFraming, Slots, Version, WebSocketKey,
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
    up: Message,
    /// The server was told that nothing follows: a tunnel's alone.
    shut: bool,
    down: Down,
    progress: bool,
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
    /// Of a request that opens a WebSocket.
    websocket: Option<WebSocketKey>,
    /// The server has done so.
    switched: bool,
}

impl ToHttp1 {
    /// `head` is the serialised request; a body follows in chunks, as it is, or not at all.
    /// With `websocket`, a tunnel follows if the server wants one.
    pub(super) fn new(
        stream: Stream,
        reused: bool,
        head: Vec<u8>,
        body: Option<bool>,
        (asked, limits): (Asked, ResponseLimits),
        websocket: Option<WebSocketKey>,
    ) -> Self {
        Self {
            stream,
            reused,
            up: Message::new(head, body),
            shut: false,
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
                websocket,
                switched: false,
            },
            progress: false,
        }
    }

    /// The head once more, if that is all there is to send and nothing came back.
    pub(super) fn into_request(self) -> Option<Vec<u8>> {
        let untouched = self.down.buf.is_none() && self.down.interims == 0;
        untouched.then(|| self.up.into_head())?
    }

    /// Gives its buffers back, and the connection if another exchange may use it.
    pub(super) fn finish(mut self, shard: &Shard) -> Option<Stream> {
        let clean = self.up.is_finished() && self.up.is_flushed();
        shard.buffers.give_head(self.up.take_head());
        let excess = self.down.buf.as_ref().is_some_and(|buf| !buf.is_empty());
        if let Some(buf) = self.down.buf.take() {
            shard.buffers.give(buf);
        }
        let whole = clean && self.down.ended && self.down.keep_alive && !excess;
        whole.then_some(self.stream)
    }

    pub(super) fn has_room(&self) -> bool {
        !self.is_waiting() && self.up.has_room()
    }

    /// Nothing is taken before the server has switched.
    pub(super) fn is_waiting(&self) -> bool {
        self.down.websocket.is_some() && !self.down.switched
    }

    /// The server was told that nothing follows.
    pub(super) fn is_shut(&self) -> bool {
        self.shut
    }

    pub(super) fn reset_on_close(&self) {
        self.stream.reset_on_close();
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
            match ready!(self.up.poll_write(&self.stream, cx)) {
                Ok(0) | Err(_) => return Poll::Ready(Err(Lost::Gone)),
                Ok(_) => {}
            }
            self.progress = true;
        }
        // With TLS, records may wait for room in the socket.
        ready!(self.stream.poll_flush(cx)).map_err(|_| Lost::Gone)?;
        if self.down.switched && self.up.is_finished() && !self.shut {
            self.stream.shutdown_write();
            self.shut = true;
        }
        Poll::Ready(Ok(()))
    }

    pub(super) fn poll_part(
        &mut self,
        around: &Around<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Part, Lost>> {
        loop {
            if let Some(part) = self.down.next(around)? {
                if let Part::Switched(_) = part {
                    self.up.open(Some(false));
                }
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
        let Some(mut head) = head else {
            return Ok(None);
        };
        let reply = Reply {
            version: Version::Http2,
            keep_alive: true,
            framing: head.framing,
            date: &around.shard.clock.date(),
            via: around.via,
            // Set where the head is handed on.
            cookie: None,
        };
        let len = head.len;
        if let Some(key) = &self.websocket {
            match head.status {
                101 => {
                    head.status = 200;
                    let response = rules::to_h2_tunnel(buf.bytes(), &head, key, &reply);
                    buf.consume(len);
                    self.switched = true;
                    self.decoder = Some(Decoder::from(ResponseFraming::UntilClose));
                    return response
                        .map(|head| Some(Part::Switched(head)))
                        .ok_or(Lost::Bad);
                }
                // Would say that there is a tunnel.
                200..=299 => return Err(Lost::Bad),
                _ => {}
            }
        }
        let response = rules::to_h2_response(buf.bytes(), &head, &reply).ok_or(Lost::Bad)?;
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
