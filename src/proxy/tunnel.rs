//! Bytes both ways: TCP mode and what follows a 101.
//!
//! Small messages go through a buffer; a direction that fills its buffer again
//! and again changes to splice(2), and back when its messages become small.

use std::future::poll_fn;
use std::io;
use std::ops::Range;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::Client;
use super::buffers::{BODY, Buf};
use super::connect::killed;
use super::end::{Cause, During, SessionEnd};
use super::shard::Shard;
use super::upstream::Use;
use crate::net::Stream;
use crate::net::splice::Pipe;

/// Deadlines of a tunnel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// No byte in either direction.
    pub(crate) idle: Duration,
    /// No byte, with one direction closed.
    pub(crate) half_closed: Duration,
}

/// Bytes that were read before the tunnel began.
#[derive(Debug, Default)]
pub(crate) struct First {
    /// From the client.
    pub(crate) client: Option<Buf>,
    /// From the server.
    pub(crate) server: Option<Buf>,
}

/// How a tunnel went.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Relayed {
    /// How it ended.
    pub(crate) end: SessionEnd,
    /// From the client.
    pub(crate) bytes_in: u64,
    /// To the client.
    pub(crate) bytes_out: u64,
}

/// Full reads in a row before a direction is spliced.
const BULK_READS: u8 = 2;
/// Small splices in a row before it is copied again.
const SMALL_SPLICES: u8 = 4;
/// A splice of less is small: below, two system calls with a copy are cheaper than with a pipe.
const SMALL: usize = 16 << 10;

/// Relays until both directions have ended.
pub(crate) async fn relay(
    client: &mut Client,
    server: &mut Stream,
    upstream: &Use,
    limits: Limits,
    first: First,
) -> Relayed {
    let mut up = Half::starting(first.client, client.fin);
    let mut down = Half::starting(first.server, false);
    client.slot.arm(limits.idle);
    let end = poll_fn(|cx| {
        if let Some(kill) = client.slot.killed() {
            return Poll::Ready(killed(kill, During::Data));
        }
        let shard = client.slot.shard();
        let moved = up.moved + down.moved;
        let sent = up.poll(&mut client.stream, server, shard, cx);
        let received = down.poll(server, &client.stream, shard, cx);
        if up.moved + down.moved != moved
            || (up.done | down.done) != (up.seen_done | down.seen_done)
        {
            up.seen_done = up.done;
            down.seen_done = down.done;
            shard.clock.read();
            client.slot.arm(if up.done || down.done {
                limits.half_closed
            } else {
                limits.idle
            });
            account(client, upstream, &mut up, &mut down);
        }
        match (sent, received) {
            (Poll::Ready(Err(error)), _) => Poll::Ready(error.end(Cause::Client, Cause::Server)),
            (_, Poll::Ready(Err(error))) => Poll::Ready(error.end(Cause::Server, Cause::Client)),
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => Poll::Ready(SessionEnd::NORMAL),
            _ if client.slot.expired() => Poll::Ready(SessionEnd::new(
                if up.done {
                    Cause::ServerTimeout
                } else {
                    Cause::ClientTimeout
                },
                During::Data,
            )),
            _ => Poll::Pending,
        }
    })
    .await;
    if end != SessionEnd::NORMAL {
        // Both ends should be able to tell this from an orderly end.
        client.stream.reset_on_close();
        server.reset_on_close();
    }
    let shard = client.slot.shard();
    up.give_back(shard);
    down.give_back(shard);
    Relayed {
        end,
        bytes_in: up.moved,
        bytes_out: down.moved,
    }
}

/// Counts as bytes move, so that a session of hours is seen while it runs.
fn account(client: &Client, upstream: &Use, up: &mut Half, down: &mut Half) {
    let (bytes_in, bytes_out) = (up.take_moved(), down.take_moved());
    client.counters.bytes_in.add(bytes_in);
    client.counters.bytes_out.add(bytes_out);
    client
        .counters
        .spliced_out
        .add(std::mem::take(&mut down.piped));
    upstream.counters.bytes_in.add(bytes_in);
    upstream.counters.bytes_out.add(bytes_out);
}

/// Which side broke.
#[derive(Debug, Clone, Copy)]
enum Broken {
    Source,
    Sink,
}

impl Broken {
    fn end(self, source: Cause, sink: Cause) -> SessionEnd {
        let cause = match self {
            Self::Source => source,
            Self::Sink => sink,
        };
        SessionEnd::new(cause, During::Data)
    }
}

/// One direction.
#[derive(Debug)]
struct Half {
    buf: Option<Buf>,
    out: Range<usize>,
    pipe: Option<Pipe>,
    spliced: bool,
    streak: u8,
    eof: bool,
    done: bool,
    seen_done: bool,
    moved: u64,
    counted: u64,
    /// Moved through a pipe and not counted yet.
    piped: u64,
}

impl Half {
    fn starting(first: Option<Buf>, eof: bool) -> Self {
        let out = first
            .as_ref()
            .map_or(0..0, |buf| buf.start()..buf.start() + buf.len());
        Self {
            buf: first,
            out,
            pipe: None,
            spliced: false,
            streak: 0,
            eof,
            done: false,
            seen_done: false,
            moved: 0,
            counted: 0,
            piped: 0,
        }
    }

    fn take_moved(&mut self) -> u64 {
        let fresh = self.moved - self.counted;
        self.counted = self.moved;
        fresh
    }

    /// Moves bytes until neither side can; ready = the FIN was passed on.
    fn poll(
        &mut self,
        from: &mut Stream,
        to: &Stream,
        shard: &Shard,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Broken>> {
        if self.done {
            return Poll::Ready(Ok(()));
        }
        loop {
            ready!(self.poll_out(to, cx)).map_err(|_| Broken::Sink)?;
            if self.eof {
                // Only now: nothing is left in buffer or pipe.
                to.shutdown_write();
                self.done = true;
                self.give_back(shard);
                return Poll::Ready(Ok(()));
            }
            let read = if self.spliced && !to.is_secure() {
                ready!(self.poll_splice(from, shard, cx))
            } else {
                ready!(self.poll_copy(from, shard, cx))
            };
            match read {
                Ok(0) => self.eof = true,
                Ok(_) => {}
                Err(_) => return Poll::Ready(Err(Broken::Source)),
            }
        }
    }

    fn poll_out(&mut self, to: &Stream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.out.is_empty() {
            let Some(buf) = &self.buf else { break };
            let written = ready!(to.poll_write(cx, buf.part(self.out.clone())))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.out.start += written;
            self.moved += written as u64;
        }
        while let Some(pipe) = self.pipe.as_ref().filter(|pipe| pipe.held() > 0) {
            let written = ready!(to.poll_drain(pipe, cx))? as u64;
            self.moved += written;
            self.piped += written;
        }
        to.poll_flush(cx)
    }

    fn poll_copy(
        &mut self,
        from: &mut Stream,
        shard: &Shard,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let mut buf = match self.buf.take() {
            Some(mut buf) if buf.capacity() >= BODY / 2 => {
                buf.clear();
                buf
            }
            small => {
                if let Some(small) = small {
                    shard.buffers.give(small);
                }
                shard.buffers.take(BODY)
            }
        };
        let read = from.poll_read(cx, buf.room());
        let Poll::Ready(Ok(n)) = read else {
            shard.buffers.give(buf);
            return read;
        };
        self.streak = if n == buf.capacity() {
            self.streak + 1
        } else {
            0
        };
        self.out = buf.start()..buf.start() + n;
        self.buf = Some(buf);
        if self.streak >= BULK_READS {
            self.spliced = true;
            self.streak = 0;
        }
        Poll::Ready(Ok(n))
    }

    fn poll_splice(
        &mut self,
        from: &mut Stream,
        shard: &Shard,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if let Some(buf) = self.buf.take() {
            shard.buffers.give(buf);
        }
        // A pipe is borrowed only while bytes are under way; none to be had: copy.
        // Nor is a stream with urgent data spliced: splice would wait at the mark for ever.
        if !from.may_splice() {
            self.give_back(shard);
            self.spliced = false;
            return self.poll_copy(from, shard, cx);
        }
        let Some(pipe) = self.pipe.take().or_else(|| shard.pipes.take()) else {
            self.spliced = false;
            return self.poll_copy(from, shard, cx);
        };
        let read = from.poll_fill(&pipe, usize::MAX, cx);
        let Poll::Ready(Ok(n)) = read else {
            shard.pipes.give(pipe);
            return read;
        };
        if n == 0 {
            // FIN, or urgent data that the driver has not told of yet: recv knows.
            shard.pipes.give(pipe);
            self.spliced = false;
            return self.poll_copy(from, shard, cx);
        }
        self.pipe = Some(pipe);
        self.streak = if n < SMALL { self.streak + 1 } else { 0 };
        if self.streak >= SMALL_SPLICES {
            self.spliced = false;
            self.streak = 0;
        }
        read
    }

    fn give_back(&mut self, shard: &Shard) {
        if let Some(buf) = self.buf.take() {
            shard.buffers.give(buf);
        }
        if let Some(pipe) = self.pipe.take() {
            shard.pipes.give(pipe);
        }
    }
}
