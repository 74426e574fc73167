//! The streams of this house as the library wants them.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connection::Shared;
use crate::net::Stream;

/// A client's connection. What is read passes the guard, and nothing is read any
/// more once that has seen enough.
#[derive(Debug)]
pub(super) struct ClientWire(pub(super) Rc<Shared>);

impl AsyncRead for ClientWire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let client = &mut *self.0.client.borrow_mut();
        let mut guard = self.0.guard.borrow_mut();
        if guard.offence().is_some() {
            return Poll::Pending;
        }
        let from = buf.filled().len();
        if let Some(mut ahead) = client.ahead.take() {
            let taken = ahead.len().min(buf.remaining());
            buf.put_slice(&ahead.bytes()[..taken]);
            ahead.consume(taken);
            if ahead.is_empty() {
                client.shard().buffers.give(ahead);
            } else {
                client.ahead = Some(ahead);
            }
        } else {
            ready!(poll_read(&mut client.stream, cx, buf))?;
            client.shard().clock.read();
        }
        let read = buf.filled().len() - from;
        let believed = guard.read(&buf.filled()[from..], client.shard().clock.now_ms());
        buf.set_filled(from + believed);
        if read > 0 && believed == 0 {
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ClientWire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.client.borrow().stream.poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.client.borrow().stream.poll_writev(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.client.borrow().stream.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.client.borrow().stream.shutdown_write();
        Poll::Ready(Ok(()))
    }
}

/// A connection to a server.
#[derive(Debug)]
pub(super) struct ServerWire(pub(super) Stream);

impl AsyncRead for ServerWire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        poll_read(&mut self.0, cx, buf)
    }
}

impl AsyncWrite for ServerWire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_writev(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.shutdown_write();
        Poll::Ready(Ok(()))
    }
}

fn poll_read(
    stream: &mut Stream,
    cx: &mut Context<'_>,
    buf: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    let read = ready!(stream.poll_read(cx, buf.initialize_unfilled()))?;
    buf.advance(read);
    Poll::Ready(Ok(()))
}
