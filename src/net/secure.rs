//! The half of a [`Stream`] that speaks TLS: the socket's readiness and rustls's
//! state machine, brought together.
//!
//! Kept apart and out of line, so that a plain stream pays one branch for it.

use std::cell::RefCell;
use std::io::{self, IoSlice, Read, Write};
use std::task::{Context, Poll, ready};

use rustix::net::SendFlags;

use super::Stream;
use crate::tls::{Plain, Session};

/// Why there is no connection behind a handshake.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    /// The peer left, or the transport broke.
    #[error("the peer left during the handshake: {0}")]
    Transport(#[from] io::Error),
    /// The peer left before it said a word.
    #[error("the peer left without a word")]
    Silent,
    /// What the peer sent or showed was not accepted, or it refused us.
    #[error("{0}")]
    Protocol(#[from] rustls::Error),
}

impl Stream {
    /// Puts TLS on this stream; [`Self::poll_handshake`] must come to its end before
    /// anything is read or written.
    pub(crate) fn secure(&mut self, session: Session) {
        self.tls = Some(Box::new(RefCell::new(session)));
    }

    /// Whether this stream speaks TLS.
    #[inline]
    pub(crate) fn is_secure(&self) -> bool {
        self.tls.is_some()
    }

    /// Looks at the TLS of this stream; `None` = it has none.
    pub(crate) fn with_session<R>(&self, look: impl FnOnce(&Session) -> R) -> Option<R> {
        self.tls.as_ref().map(|tls| look(&tls.borrow()))
    }

    /// Whether both sides agreed (ALPN) to speak HTTP/2.
    pub(crate) fn is_h2(&self) -> bool {
        self.with_session(|session| session.alpn() == Some(b"h2"))
            .unwrap_or(false)
    }

    /// Moves the handshake; ready when application data may flow.
    ///
    /// # Errors
    /// The peer left, or was not accepted; an alert has told it then.
    pub(crate) fn poll_handshake(&self, cx: &mut Context<'_>) -> Poll<Result<(), HandshakeError>> {
        let Some(tls) = &self.tls else {
            return Poll::Ready(Ok(()));
        };
        let session = &mut *tls.borrow_mut();
        loop {
            ready!(self.poll_flush_session(session, cx))?;
            if !session.is_handshaking() {
                return Poll::Ready(Ok(()));
            }
            match session.read_tls(&mut Wire::new(self, cx)) {
                Ok(0) if !session.has_heard() => {
                    return Poll::Ready(Err(HandshakeError::Silent));
                }
                Ok(0) => {
                    return Poll::Ready(Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()));
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
                Err(error) => return Poll::Ready(Err(error.into())),
            }
            if let Err(error) = session.process() {
                self.flush_now(session);
                return Poll::Ready(Err(error.into()));
            }
            if session.defer() {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Says that no more bytes will be written (close_notify), without closing.
    /// Without TLS there is nothing to say: the FIN of the close says it.
    pub(crate) fn farewell(&self) {
        if let Some(tls) = &self.tls {
            let session = &mut *tls.borrow_mut();
            session.close();
            // Who does not read need not know; a reader gets the rest from poll_read.
            self.flush_now(session);
        }
    }

    #[inline(never)]
    pub(super) fn poll_read_plain(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let Some(tls) = &self.tls else {
            return Poll::Ready(Ok(0));
        };
        let session = &mut *tls.borrow_mut();
        if session.owes() {
            // Answers to the peer's key updates, a close_notify that found no room. Who cannot
            // be written to any more may still be read from.
            let _ = self.poll_flush_session(session, cx);
        }
        let mut filled = 0;
        let mut more = true;
        loop {
            match session.read(&mut buffer[filled..]) {
                Ok(Plain::Bytes(n)) => filled += n,
                Ok(Plain::Empty) => {}
                Ok(Plain::End) => return Poll::Ready(Ok(filled)),
                // What came before the cut was the peer's word; the next read tells of the cut.
                Err(_) if filled > 0 => return Poll::Ready(Ok(filled)),
                Err(error) => return Poll::Ready(Err(error)),
            }
            if filled == buffer.len() || (filled > 0 && !more) {
                return Poll::Ready(Ok(filled));
            }
            let mut wire = Wire::new(self, cx);
            match session.read_tls(&mut wire) {
                // rustls takes 4 KiB at a time: a full piece has probably more behind it.
                Ok(_) => more = wire.full,
                Err(_) if filled > 0 => return Poll::Ready(Ok(filled)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
                Err(error) => return Poll::Ready(Err(error)),
            }
            self.understand(session, cx)?;
        }
    }

    pub(super) fn try_recv_plain(
        &self,
        tls: &RefCell<Session>,
        buffer: &mut [u8],
    ) -> io::Result<usize> {
        let session = &mut *tls.borrow_mut();
        let mut cx = Context::from_waker(std::task::Waker::noop());
        loop {
            match session.read(buffer)? {
                Plain::Bytes(n) => return Ok(n),
                Plain::End => return Ok(0),
                Plain::Empty => {}
            }
            session.read_tls(&mut Now(self))?;
            self.understand(session, &mut cx)?;
        }
    }

    fn understand(&self, session: &mut Session, cx: &mut Context<'_>) -> io::Result<()> {
        let understood = session.process();
        if understood.is_err() {
            self.flush_now(session);
        } else if session.owes() {
            // The answer to a key update. What finds no room waits for the next read or
            // write; a broken transport shows there as well.
            let _ = self.poll_flush_session(session, cx);
        }
        understood.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// `last` = a close follows at once behind `slices`: close_notify goes with them, and
    /// both with the FIN.
    #[inline(never)]
    pub(super) fn poll_write_plain(
        &self,
        tls: &RefCell<Session>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
        last: bool,
    ) -> Poll<io::Result<usize>> {
        let session = &mut *tls.borrow_mut();
        // What was taken before leaves first: the ciphertext of one write is all that is
        // ever held for a peer that does not read.
        if session.owes() {
            ready!(self.poll_flush_session(session, cx))?;
        }
        let written = session.write(slices)?;
        let mut wire = Wire::new(self, cx);
        if last {
            let len: usize = slices.iter().map(|slice| slice.len()).sum();
            if written == len {
                session.close();
            }
            wire.flags |= SendFlags::MORE;
        }
        let _ = flush(session, &mut wire)?;
        Poll::Ready(Ok(written))
    }

    #[inline(never)]
    pub(super) fn poll_flush_tls(
        &self,
        tls: &RefCell<Session>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_flush_session(&mut tls.borrow_mut(), cx)
    }

    /// Last words, as far as they go at once. Past the driver, which may not have told yet
    /// that a fresh socket takes any.
    fn flush_now(&self, session: &mut Session) {
        while session.wants_write() && matches!(session.write_tls(&mut Now(self)), Ok(1..)) {}
    }

    fn poll_flush_session(
        &self,
        session: &mut Session,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        flush(session, &mut Wire::new(self, cx))
    }
}

fn flush(session: &mut Session, wire: &mut Wire<'_, '_, '_>) -> Poll<io::Result<()>> {
    while session.wants_write() {
        match session.write_tls(wire) {
            Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
            Err(error) => return Poll::Ready(Err(error)),
        }
    }
    Poll::Ready(Ok(()))
}

/// The ciphertext side, as far as the driver says that it would not block.
struct Wire<'a, 'c, 'w> {
    stream: &'a Stream,
    cx: &'c mut Context<'w>,
    flags: SendFlags,
    /// The last read filled what it was given.
    full: bool,
}

impl<'a, 'c, 'w> Wire<'a, 'c, 'w> {
    fn new(stream: &'a Stream, cx: &'c mut Context<'w>) -> Self {
        Self {
            stream,
            cx,
            flags: SendFlags::NOSIGNAL,
            full: false,
        }
    }
}

impl Read for Wire<'_, '_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = or_block(self.stream.poll_recv(self.cx, buffer))?;
        self.full = n == buffer.len();
        Ok(n)
    }
}

impl Write for Wire<'_, '_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        or_block(self.stream.poll_sendto(self.cx, bytes, self.flags))
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match slices {
            // A small answer is one record: sendmsg(2) would cost 0.1 µs more.
            [record] => self.write(record),
            _ => or_block(self.stream.poll_sendmsg(self.cx, slices, self.flags)),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The ciphertext side, past the driver.
struct Now<'a>(&'a Stream);

impl Read for Now<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.recv_now(buffer)
    }
}

impl Write for Now<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.send_now(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn or_block<T>(polled: Poll<io::Result<T>>) -> io::Result<T> {
    match polled {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}
