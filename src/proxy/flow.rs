//! One direction of an exchange: a head, then a body, decoded from one framing
//! and sent on in another.

use std::io::{self, IoSlice};
use std::ops::Range;
use std::task::{Context, Poll, ready};

use super::buffers::{BODY, BULK, Buf, Buffers, HEADROOM};
use super::shard::Shard;
use crate::http::{BodyError, Decoder, LAST_CHUNK, chunk_head};
use crate::net::Stream;
use crate::net::splice::Pipe;

/// Up to this much of a body is copied behind its head, so that both leave in one plain write;
/// above, writev is cheaper than the copy.
pub(crate) const JOIN_MAX: usize = 4096;
/// What framing may add to a joined body: one chunk head, two line ends, the last chunk.
pub(crate) const JOIN_EXTRA: usize = 32;
/// A body of known length with more left than this is spliced.
const SPLICE_FROM: u64 = 64 << 10;
/// A body with more left than this gets a large buffer once it has filled a usual one.
const BULK_FROM: u64 = 64 << 10;

/// Why a direction stopped.
#[derive(Debug)]
pub(crate) enum FlowError {
    /// The sender left, or reading failed.
    Source,
    /// The sender's framing is broken.
    Framing(BodyError),
    /// The receiver left.
    Sink,
}

/// One direction of an exchange.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    /// Serialised head (and small first body), sent before anything else.
    pub(crate) head: Vec<u8>,
    head_sent: usize,
    /// Unread bytes wait in it to be decoded; `out` is a decoded part of it.
    buf: Option<Buf>,
    out: Range<usize>,
    tail: Tail,
    tail_sent: usize,
    /// Body bytes on their way through the kernel.
    pipe: Option<Pipe>,
    decoder: Decoder,
    coding: Coding,
    /// The last byte of the body was decoded.
    ended: bool,
    bulk: bool,
    /// The whole message stands in `head`, sent or not.
    joined: bool,
    /// Bytes were moved since [`Self::take_progress`].
    progress: bool,
    /// The receiver's connection is closed as soon as the message is sent.
    closes: bool,
    /// The receiver's stream holds bytes that count as sent: records for a full socket.
    held: bool,
    /// Payload bytes that may still come; only chunked bodies need it.
    allowed: u64,
    /// Bytes read from the source as body (framing included).
    pub(crate) received: u64,
    /// Bytes written to the receiver.
    pub(crate) sent: u64,
    /// Those of them that went through a pipe.
    pub(crate) spliced: u64,
}

/// How a body is sent on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Coding {
    /// As it is.
    #[default]
    Plain,
    /// In chunks, with those of its trailers that may be sent on.
    Chunked,
}

/// What follows a piece of body.
#[derive(Debug, Default)]
enum Tail {
    #[default]
    None,
    Fixed(&'static [u8]),
    Trailers(Vec<u8>),
}

impl Tail {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::None => &[],
            Self::Fixed(bytes) => bytes,
            Self::Trailers(bytes) => bytes,
        }
    }
}

impl Flow {
    /// Starts with a serialised head and the body behind it; `first` holds what
    /// was already read of the body.
    pub(crate) fn start(
        &mut self,
        head: Vec<u8>,
        decoder: Decoder,
        coding: Coding,
        first: Option<Buf>,
    ) {
        self.head = head;
        self.head_sent = 0;
        self.ended = decoder.finished();
        self.joined = self.ended;
        self.decoder = decoder;
        self.coding = coding;
        self.buf = first;
        self.out = 0..0;
        self.tail = Tail::None;
        self.tail_sent = 0;
        self.bulk = false;
        self.closes = false;
        self.allowed = u64::MAX;
    }

    /// Promises that the receiver's connection is closed, or its writing side, as soon as
    /// the message is sent.
    pub(crate) fn close_behind(&mut self) {
        self.closes = true;
    }

    /// At most this much payload is decoded from here on; more is [`BodyError::TooLarge`].
    pub(crate) fn allow(&mut self, payload: u64) {
        self.allowed = payload;
    }

    /// Decodes what was read with the head and joins it to the head where it is small.
    ///
    /// # Errors
    /// The body's framing is broken.
    pub(crate) fn decode_first(&mut self) -> Result<(), BodyError> {
        if self.ended || self.buf.as_ref().is_none_or(Buf::is_empty) {
            return Ok(());
        }
        self.decode()?;
        if self.out.len() + self.tail.bytes().len() <= JOIN_MAX {
            if let Some(buf) = &self.buf {
                self.head.extend_from_slice(buf.part(self.out.clone()));
            }
            self.head.extend_from_slice(self.tail.bytes());
            self.out = 0..0;
            self.tail = Tail::None;
            self.joined = self.ended;
        }
        Ok(())
    }

    /// Whether bytes wait for the receiver.
    #[inline]
    pub(crate) fn is_pending(&self) -> bool {
        self.head_sent < self.head.len()
            || !self.out.is_empty()
            || self.tail_sent < self.tail.bytes().len()
            || self.pipe.is_some()
            || self.held
    }

    /// Replaces the head by one that holds interim answers, before the final one.
    pub(crate) fn interim(&mut self, head: Vec<u8>) {
        self.head = head;
        self.head_sent = 0;
    }

    /// Whether the body was read to its end.
    #[inline]
    pub(crate) fn ended(&self) -> bool {
        self.ended
    }

    /// How much of the body is still to be read, as far as its framing tells: at least this.
    pub(crate) fn owed(&self) -> u64 {
        let waiting = self.buf.as_ref().map_or(0, |buf| buf.len() as u64);
        match self.decoder.left() {
            _ if self.ended => 0,
            Some(left) => left.saturating_sub(waiting),
            // A last chunk may be among what waits.
            None => u64::from(waiting == 0),
        }
    }

    /// Whether everything ever sent still stands in `head`, so that it can be sent once more.
    pub(crate) fn is_replayable(&self) -> bool {
        self.joined
    }

    /// Sends from the head on again.
    pub(crate) fn rewind(&mut self) {
        self.head_sent = 0;
    }

    /// Drops what waits: the receiver will not get it.
    pub(crate) fn discard(&mut self, shard: &Shard) {
        if let Some(pipe) = self.pipe.take() {
            shard.pipes.give(pipe);
        }
        self.head.clear();
        self.head_sent = 0;
        self.out = 0..0;
        self.tail = Tail::None;
        self.tail_sent = 0;
        self.held = false;
    }

    /// Whether any byte moved since the last call.
    #[inline]
    pub(crate) fn take_progress(&mut self) -> bool {
        std::mem::take(&mut self.progress)
    }

    /// Gives everything back; what was read past the body is returned.
    pub(crate) fn finish(&mut self, shard: &Shard) -> Option<Buf> {
        shard.buffers.give_head(std::mem::take(&mut self.head));
        self.head_sent = 0;
        self.tail = Tail::None;
        self.tail_sent = 0;
        self.out = 0..0;
        // An aborted body may have left bytes in it: not for the next user.
        if let Some(pipe) = self.pipe.take() {
            shard.pipes.give(pipe);
        }
        self.ended = false;
        self.progress = false;
        self.held = false;
        self.received = 0;
        self.sent = 0;
        self.spliced = 0;
        self.take_rest(&shard.buffers)
    }

    /// What was read past the body.
    pub(crate) fn take_rest(&mut self, buffers: &Buffers) -> Option<Buf> {
        match self.buf.take() {
            Some(buf) if buf.is_empty() => {
                buffers.give(buf);
                None
            }
            rest => rest,
        }
    }

    /// Sends what waits.
    #[inline]
    pub(crate) fn poll_flush(
        &mut self,
        to: &Stream,
        shard: &Shard,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), FlowError>> {
        match self.is_pending() {
            true => self.poll_send_out(to, shard, cx),
            false => Poll::Ready(Ok(())),
        }
    }

    fn poll_send_out(
        &mut self,
        to: &Stream,
        shard: &Shard,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), FlowError>> {
        while self.is_pending() {
            let written = if self.held {
                match ready!(to.poll_flush(cx)) {
                    Ok(()) => self.held = false,
                    Err(_) => return Poll::Ready(Err(FlowError::Sink)),
                }
                self.progress = true;
                continue;
            } else if self.pipe.is_some() {
                ready!(self.poll_drain(to, shard, cx))
            } else {
                ready!(self.poll_write(to, cx))
            };
            let written = match written {
                Ok(0) | Err(_) => return Poll::Ready(Err(FlowError::Sink)),
                Ok(written) => written,
            };
            self.progress = true;
            self.sent += written as u64;
            self.held = to.holds_back();
        }
        Poll::Ready(Ok(()))
    }

    /// Moves the body until it ends.
    pub(crate) fn poll_body(
        &mut self,
        from: &mut Stream,
        to: &Stream,
        shard: &Shard,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), FlowError>> {
        loop {
            ready!(self.poll_flush(to, shard, cx))?;
            if self.ended {
                return Poll::Ready(Ok(()));
            }
            if self.buf.as_ref().is_some_and(|buf| !buf.is_empty()) {
                self.decode().map_err(FlowError::Framing)?;
                continue;
            }
            let read = match self.take_pipe(from, to, shard) {
                Some(pipe) => ready!(self.poll_splice(pipe, from, shard, cx)),
                None => ready!(self.poll_fill(from, &shard.buffers, cx)),
            };
            match read {
                Ok(0) => {
                    self.decoder.eof().map_err(|_| FlowError::Source)?;
                    // What followed the last piece was sent with it.
                    self.tail = Tail::None;
                    self.end_of_body();
                }
                Ok(_) => self.progress = true,
                Err(_) => return Poll::Ready(Err(FlowError::Source)),
            }
        }
    }

    /// A pipe, if the rest of the body is worth one and there is one.
    fn take_pipe(&mut self, from: &Stream, to: &Stream, shard: &Shard) -> Option<Pipe> {
        let worth = self.coding == Coding::Plain
            && self.decoder.left()? >= SPLICE_FROM
            && from.may_splice()
            && !to.is_secure();
        let pipe = worth.then(|| shard.pipes.take())??;
        if let Some(buf) = self.buf.take() {
            shard.buffers.give(buf);
        }
        Some(pipe)
    }

    fn poll_splice(
        &mut self,
        pipe: Pipe,
        from: &mut Stream,
        shard: &Shard,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        // Not a byte more than the body: what follows belongs to another message.
        let left = usize::try_from(self.decoder.left().unwrap_or(0)).unwrap_or(usize::MAX);
        let read = from.poll_fill(&pipe, left, cx);
        let Poll::Ready(Ok(n)) = read else {
            // Waiting holds no pipe.
            shard.pipes.give(pipe);
            return read;
        };
        if n == 0 {
            // FIN, or urgent data that the driver has not told of yet: recv knows.
            shard.pipes.give(pipe);
            return self.poll_fill(from, &shard.buffers, cx);
        }
        self.decoder.skip(n as u64);
        self.received += n as u64;
        self.ended = self.decoder.finished();
        self.pipe = Some(pipe);
        Poll::Ready(Ok(n))
    }

    fn poll_drain(
        &mut self,
        to: &Stream,
        shard: &Shard,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let Some(pipe) = &self.pipe else {
            return Poll::Ready(Ok(0));
        };
        let written = ready!(to.poll_drain(pipe, cx));
        self.spliced += written.as_ref().map_or(0, |written| *written as u64);
        if pipe.held() == 0
            && let Some(pipe) = self.pipe.take()
        {
            shard.pipes.give(pipe);
        }
        Poll::Ready(written)
    }

    fn poll_write(&mut self, to: &Stream, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let head = &self.head[self.head_sent..];
        let out = self
            .buf
            .as_ref()
            .map_or(&[][..], |buf| buf.part(self.out.clone()));
        let tail = &self.tail.bytes()[self.tail_sent..];
        let one = match () {
            () if out.is_empty() && tail.is_empty() => Some(head),
            () if head.is_empty() && tail.is_empty() => Some(out),
            () => None,
        };
        let written = if let Some(bytes) = one {
            match self.closes && self.ended {
                true => to.poll_write_last(cx, bytes),
                false => to.poll_write(cx, bytes),
            }
        } else {
            to.poll_writev(
                cx,
                &[IoSlice::new(head), IoSlice::new(out), IoSlice::new(tail)],
            )
        };
        if let Poll::Ready(Ok(written)) = written {
            self.advance(written);
        }
        written
    }

    fn advance(&mut self, written: usize) {
        let from_head = written.min(self.head.len() - self.head_sent);
        self.head_sent += from_head;
        let from_out = (written - from_head).min(self.out.len());
        self.out.start += from_out;
        self.tail_sent += written - from_head - from_out;
    }

    fn decode(&mut self) -> Result<(), BodyError> {
        let Some(buf) = &mut self.buf else {
            return Ok(());
        };
        let start = buf.start();
        let decoded = self.decoder.decode(buf.bytes_mut())?;
        buf.consume(decoded.consumed);
        self.received += decoded.consumed as u64;
        let payload = decoded.data as u64;
        self.allowed = self
            .allowed
            .checked_sub(payload)
            .ok_or(BodyError::TooLarge)?;
        self.out = start..start + decoded.data;
        self.tail = Tail::None;
        self.tail_sent = 0;
        if self.coding != Coding::Plain && decoded.data > 0 {
            // The head of the chunk goes right before its data: reads leave the
            // headroom free, and behind a message head there is room anyway.
            let room = start.saturating_sub(HEADROOM)..start;
            self.out.start = room.start + chunk_head(decoded.data, buf.part_mut(room));
            self.tail = Tail::Fixed(b"\r\n");
        }
        if decoded.end {
            self.end_of_body();
        }
        Ok(())
    }

    fn end_of_body(&mut self) {
        self.ended = true;
        if self.coding == Coding::Plain {
            return;
        }
        let after_data = !self.tail.bytes().is_empty();
        self.tail = match (self.decoder.take_trailers(), after_data) {
            (None, true) => Tail::Fixed(b"\r\n0\r\n\r\n"),
            (None, false) => Tail::Fixed(LAST_CHUNK),
            (Some(trailers), after_data) => {
                let mut tail = Vec::with_capacity(trailers.len() + 8);
                tail.extend_from_slice(if after_data { b"\r\n0\r\n" } else { b"0\r\n" });
                tail.extend_from_slice(&trailers);
                tail.extend_from_slice(b"\r\n");
                Tail::Trailers(tail)
            }
        };
        self.tail_sent = 0;
    }

    fn poll_fill(
        &mut self,
        from: &mut Stream,
        buffers: &Buffers,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let wanted = if self.bulk { BULK } else { BODY };
        let mut buf = match self.buf.take() {
            Some(mut buf) if buf.capacity() + HEADROOM >= wanted => {
                buf.clear();
                buf
            }
            other => {
                if let Some(small) = other {
                    buffers.give(small);
                }
                buffers.take(wanted)
            }
        };
        let read = from.poll_read(cx, buf.room());
        let Poll::Ready(Ok(n)) = read else {
            // Waiting holds no buffer.
            buffers.give(buf);
            return read;
        };
        self.bulk = n >= BODY - HEADROOM && self.decoder.left().is_none_or(|left| left > BULK_FROM);
        buf.filled(n);
        self.buf = Some(buf);
        Poll::Ready(Ok(n))
    }
}
