//! One connected socket, whatever it is made of, and one listening socket.

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn};
use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketFlags};
use socket2::SockRef;
use tokio::io::Interest;

use super::polled::{Driver, Polled};
use super::splice::Pipe;
use crate::tls::Session;

/// A connected byte stream: IPv4, IPv6 or a Unix socket.
///
/// A short read means that the socket is empty, so readiness is cleared there and
/// then: no failing `recv` per request. The one exception is TCP urgent data, where
/// the kernel ends a read at the mark with bytes behind it. The driver therefore
/// listens for EPOLLPRI too; a stream that ever saw it is read until EAGAIN. The
/// others pay a look at a flag, no system call. That interest is why this is an
/// [`AsyncFd`] and not tokio's `TcpStream`, which has none.
///
/// With TLS, reads and writes are of plaintext; `secure.rs` holds that half.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(super) fd: Polled,
    /// A plain stream pays a pointer and a branch that is always the same.
    /// Writing goes through a shared reference, hence the cell.
    pub(super) tls: Option<Box<RefCell<Session>>>,
    /// Just accepted: a client speaks first, so its bytes are probably there. One read
    /// before the driver has told saves a turn of it (29.8 against 31.8 µs for a new
    /// connection with a request).
    pub(super) fresh: Cell<bool>,
}

impl Stream {
    /// Takes over a connected (or connecting) non-blocking socket. Needs a tokio runtime.
    ///
    /// # Errors
    /// The descriptor cannot be polled.
    pub(crate) fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        let fd = Polled::now(fd, interest())?;
        Ok(Self {
            fd,
            tls: None,
            fresh: Cell::new(false),
        })
    }

    /// A connection just accepted; the driver hears of it when somebody waits for it.
    fn accepted(fd: OwnedFd) -> Self {
        Self {
            fd: Polled::lazy(fd, interest()),
            tls: None,
            fresh: Cell::new(true),
        }
    }

    /// Reads into `buffer`; 0 = the peer is done.
    #[inline]
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if self.tls.is_some() {
            return self.poll_read_plain(cx, buffer);
        }
        self.poll_recv(cx, buffer)
    }

    /// As [`Self::poll_read`], of what is on the wire.
    #[inline]
    pub(super) fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if self.fresh.take()
            && let Ok((_, n @ 1..)) = rustix::net::recv(&self.fd, &mut *buffer, RecvFlags::empty())
        {
            return Poll::Ready(Ok(n));
        }
        let driver = self.fd.driver()?;
        loop {
            let mut ready = ready!(driver.poll_read_ready(cx))?;
            match rustix::net::recv(&self.fd, &mut *buffer, RecvFlags::empty()) {
                Ok((_, n)) => {
                    if n > 0 && n < buffer.len() && !self.is_urgent() {
                        ready.clear_ready();
                    }
                    return Poll::Ready(Ok(n));
                }
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(Errno::INTR) => {}
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
    }

    /// Writes some of `bytes`.
    #[inline]
    pub(crate) fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if let Some(tls) = &self.tls {
            return self.poll_write_plain(tls, cx, &[IoSlice::new(bytes)], false);
        }
        self.poll_sendto(cx, bytes, SendFlags::NOSIGNAL)
    }

    /// As [`Self::poll_write`], of the last bytes before a close that follows at once: they
    /// share a segment with its FIN.
    #[inline]
    pub(crate) fn poll_write_last(
        &self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Some(tls) = &self.tls {
            return self.poll_write_plain(tls, cx, &[IoSlice::new(bytes)], true);
        }
        self.poll_sendto(cx, bytes, SendFlags::NOSIGNAL | SendFlags::MORE)
    }

    /// Writes some of `slices`.
    #[inline]
    pub(crate) fn poll_writev(
        &self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Some(tls) = &self.tls {
            return self.poll_write_plain(tls, cx, slices, false);
        }
        self.poll_sendmsg(cx, slices, SendFlags::NOSIGNAL)
    }

    /// As [`Self::poll_write`], to the wire.
    #[inline]
    pub(super) fn poll_sendto(
        &self,
        cx: &mut Context<'_>,
        bytes: &[u8],
        flags: SendFlags,
    ) -> Poll<io::Result<usize>> {
        self.poll_send(cx, bytes.len(), |fd| rustix::net::send(fd, bytes, flags))
    }

    /// As [`Self::poll_writev`], to the wire.
    #[inline]
    pub(super) fn poll_sendmsg(
        &self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
        flags: SendFlags,
    ) -> Poll<io::Result<usize>> {
        let len = slices.iter().map(|slice| slice.len()).sum();
        self.poll_send(cx, len, |fd| {
            let mut none = rustix::net::SendAncillaryBuffer::default();
            rustix::net::sendmsg(fd, slices, &mut none, flags)
        })
    }

    /// Ready when all that was written has left for the kernel. Without TLS that is always so.
    #[inline]
    pub(crate) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.tls {
            None => Poll::Ready(Ok(())),
            Some(tls) => self.poll_flush_tls(tls, cx),
        }
    }

    /// Whether bytes that were taken for written have not left: see [`Self::poll_flush`].
    #[inline]
    pub(crate) fn holds_back(&self) -> bool {
        self.tls
            .as_ref()
            .is_some_and(|tls| tls.borrow().wants_write())
    }

    #[inline]
    fn poll_send(
        &self,
        cx: &mut Context<'_>,
        len: usize,
        send: impl Fn(&Polled) -> rustix::io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        // Without a waker, which few sends need. What fails here fails below once more.
        let sent = match self.fd.known() {
            None => send(&self.fd).ok(),
            Some(driver) => at_once(driver, Interest::WRITABLE, || {
                let sent = send(&self.fd)?;
                // A short write means that the socket is full.
                Ok((sent, sent > 0 && sent < len))
            }),
        };
        if let Some(sent) = sent {
            return Poll::Ready(Ok(sent));
        }
        let driver = self.fd.driver()?;
        loop {
            let mut ready = ready!(driver.poll_write_ready(cx))?;
            match send(&self.fd) {
                Ok(n) => {
                    if n > 0 && n < len {
                        ready.clear_ready();
                    }
                    return Poll::Ready(Ok(n));
                }
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(Errno::INTR) => {}
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
    }

    /// Whether urgent data ever came, as far as the driver knows: no system call.
    /// Such a stream is not to be spliced.
    #[inline]
    pub(crate) fn is_urgent(&self) -> bool {
        let known = self.fd.known();
        known.is_some_and(|driver| {
            driver.try_io(Interest::PRIORITY, |_| Ok(())).is_ok() && saw_priority(driver)
        })
    }

    /// Leaves urgent bytes where they stand in the stream (RFC 6093 section 4):
    /// by default the kernel takes them out.
    pub(crate) fn keep_urgent_inline(&self) {
        // Unix sockets have none.
        let _ = SockRef::from(&self.fd).set_out_of_band_inline(true);
    }

    /// Whether [`Self::poll_fill`] and [`Self::poll_drain`] may be used: the kernel
    /// moves bytes as they are, and stands before an urgent mark for ever.
    #[inline]
    pub(crate) fn may_splice(&self) -> bool {
        self.tls.is_none() && !self.is_urgent()
    }

    /// Says that no more bytes will be written (FIN, with TLS close_notify before it).
    pub(crate) fn shutdown_write(&self) {
        self.farewell();
        // The peer may be gone already; then there is nobody to tell.
        let _ = SockRef::from(&self.fd).shutdown(Shutdown::Write);
    }

    /// Ready when a read would not block as far as the driver knows. Costs no system call and may
    /// lie; with TLS, what is readable may be no data at all.
    #[inline]
    pub(crate) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.has_plain() {
            return Poll::Ready(Ok(()));
        }
        self.fd.driver()?.poll_read_ready(cx).map_ok(|_| ())
    }

    /// Whether a read would block as far as the driver knows, asked by nobody who wants to be
    /// woken.
    #[inline]
    pub(crate) fn seems_silent(&self) -> bool {
        let ask = |driver: &Driver| driver.try_io(Interest::READABLE, |_| Ok(()));
        !self.has_plain() && self.fd.known().is_some_and(|driver| ask(driver).is_err())
    }

    /// Whether plaintext waits that came with what was read before.
    #[inline]
    fn has_plain(&self) -> bool {
        let tls = self.tls.as_ref();
        tls.is_some_and(|tls| tls.borrow_mut().has_plain())
    }

    /// Makes the driver look out for what happens to the connection from now on;
    /// false = it does already.
    pub(crate) fn watch(&self) -> bool {
        // Who cannot be polled fails where it is waited for.
        !self.is_watched() && self.fd.driver().is_ok()
    }

    /// Whether the driver looks out for what happens to the connection.
    #[inline]
    pub(crate) fn is_watched(&self) -> bool {
        self.fd.known().is_some()
    }

    /// Resolves when the peer has left, and reads nothing: it reset the connection, or sent
    /// its FIN with fewer than `owed` bytes left to read before it. The FIN of a peer that
    /// owes nothing is half a close, and no end.
    pub(crate) async fn left(&self, owed: u64) {
        let Ok(driver) = self.fd.driver() else {
            return pending().await;
        };
        // Records of TLS are more than what they carry: how much more, nobody knows.
        if owed > 0 && self.tls.is_none() {
            // The driver answers this question with a FIN, too.
            let told = driver.ready(Interest::PRIORITY).await;
            let fin = told.is_ok_and(|told| told.ready().is_read_closed());
            if fin && rustix::io::ioctl_fionread(&self.fd).is_ok_and(|unread| unread < owed) {
                return;
            }
        }
        if driver.ready(Interest::ERROR).await.is_err() {
            pending().await
        }
    }

    /// Whether bytes wait to be read (or a FIN or an error, as far as the driver knows).
    /// A connection that the driver does not know is asked by one recv if `ask`.
    pub(crate) fn has_unread(&self, ask: bool) -> bool {
        if self.has_plain() {
            return true;
        }
        match self.fd.known() {
            Some(driver) => {
                let mut cx = Context::from_waker(Waker::noop());
                driver.poll_read_ready(&mut cx).is_ready()
            }
            None if ask => {
                let look = RecvFlags::PEEK | RecvFlags::DONTWAIT;
                let seen = rustix::net::recv(&self.fd, &mut [0; 1][..], look);
                matches!(seen, Ok((_, 1..)))
            }
            None => false,
        }
    }

    /// Moves at most `max` bytes into an empty pipe; 0 = the peer is done, or the
    /// stream stands at an urgent mark, which splice(2) does not pass: ask with a read.
    pub(crate) fn poll_fill(
        &self,
        pipe: &Pipe,
        max: usize,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let driver = self.fd.driver()?;
        loop {
            let mut ready = ready!(driver.poll_read_ready(cx))?;
            // The pipe is empty, so EAGAIN can only mean that the socket is: only then
            // may its readiness be cleared.
            match pipe.fill(self.fd.as_fd(), max) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                filled => return Poll::Ready(filled),
            }
        }
    }

    /// Moves bytes out of a pipe.
    pub(crate) fn poll_drain(&self, pipe: &Pipe, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let driver = self.fd.driver()?;
        loop {
            let mut ready = ready!(driver.poll_write_ready(cx))?;
            match pipe.drain(self.fd.as_fd()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                drained => return Poll::Ready(drained),
            }
        }
    }

    /// One recv past the driver's view of readiness; `WouldBlock` = alive and silent.
    ///
    /// # Errors
    /// As recv(2).
    pub(crate) fn try_recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match &self.tls {
            None => self.recv_now(buffer),
            Some(tls) => self.try_recv_plain(tls, buffer),
        }
    }

    /// As [`Self::try_recv`], of what is on the wire.
    pub(super) fn recv_now(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let (_, received) = rustix::net::recv(&self.fd, buffer, RecvFlags::DONTWAIT)?;
        Ok(received)
    }

    /// One send past the driver's view of readiness.
    pub(super) fn send_now(&self, bytes: &[u8]) -> io::Result<usize> {
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        Ok(rustix::net::send(&self.fd, bytes, flags)?)
    }

    /// Waits for a connect under way.
    ///
    /// # Errors
    /// As connect(2).
    pub(super) async fn connected(&self) -> io::Result<()> {
        let driver = self.fd.driver()?;
        poll_fn(|cx| driver.poll_write_ready(cx).map_ok(|_| ())).await?;
        match SockRef::from(&self.fd).take_error()? {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Makes the close that follows a reset, so that the peer can tell it from an orderly end.
    pub(crate) fn reset_on_close(&self) {
        // Means nothing to a Unix socket.
        let _ = SockRef::from(&self.fd).set_linger(Some(Duration::ZERO));
    }
}

/// Who is at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Peer {
    /// Its address; an IPv4-mapped one is shown as IPv4. Unspecified (0.0.0.0:0) for Unix sockets.
    pub(crate) address: SocketAddr,
}

impl Peer {
    /// Somebody at this address.
    pub(crate) fn of(address: SocketAddr) -> Self {
        Self {
            address: SocketAddr::new(address.ip().to_canonical(), address.port()),
        }
    }

    /// The peer of a Unix socket.
    pub(crate) const LOCAL: Self = Self {
        address: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
    };
}

/// A listening socket that one worker owns.
#[derive(Debug)]
pub(crate) struct Accept {
    fd: Polled,
}

impl Accept {
    /// Takes over a listening socket. Needs a tokio runtime.
    ///
    /// # Errors
    /// The descriptor does not listen, or cannot be polled.
    pub(crate) fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        let socket = SockRef::from(&fd);
        if !socket.is_listener()? {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the descriptor is not a listening socket",
            ));
        }
        socket.set_nonblocking(true)?;
        let fd = Polled::now(fd, Interest::READABLE)?;
        Ok(Self { fd })
    }

    /// Waits until a connection is there, as far as the driver knows.
    ///
    /// # Errors
    /// The driver is gone.
    pub(crate) async fn wait(&self) -> io::Result<()> {
        let ready = self.fd.driver()?.readable().await;
        ready.map(|mut ready| ready.retain_ready())
    }

    /// The next connection; `None` = none is there, [`Self::wait`] for one.
    ///
    /// # Errors
    /// As accept(2): per-connection failures as well as EMFILE and friends.
    pub(crate) fn try_accept(&self) -> io::Result<Option<(Stream, Peer)>> {
        let driver = self.fd.driver()?;
        match driver.try_io(Interest::READABLE, |_| accept(&self.fd)) {
            Ok(accepted) => Ok(Some(accepted)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What waits in the queue now, whatever the driver believes; `None` = empty, or an error.
    pub(crate) fn accept_now(&self) -> Option<(Stream, Peer)> {
        accept(&self.fd).ok()
    }
}

impl AsFd for Accept {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn accept(listener: &Polled) -> io::Result<(Stream, Peer)> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let (fd, address) = rustix::net::acceptfrom_with(listener, flags)?;
    let address = address.and_then(|address| SocketAddr::try_from(address).ok());
    Ok((Stream::accepted(fd), address.map_or(Peer::LOCAL, Peer::of)))
}

fn interest() -> Interest {
    Interest::READABLE | Interest::WRITABLE | Interest::PRIORITY
}

/// One call where the driver believes that it will not block. It says how much it moved, and
/// whether the next one would block. `None` = it was not made, or failed.
#[inline]
fn at_once(
    driver: &Driver,
    interest: Interest,
    call: impl FnOnce() -> io::Result<(usize, bool)>,
) -> Option<usize> {
    let mut moved = None;
    let tried = driver.try_io(interest, |_| {
        let (count, is_last) = call()?;
        moved = Some(count);
        // So the driver learns of it.
        if is_last {
            Err(io::ErrorKind::WouldBlock.into())
        } else {
            Ok(())
        }
    });
    // An error has no number beside it: it comes again where it can be told.
    drop(tried);
    moved
}

/// The driver answers a question for urgent data with a FIN, too.
#[cold]
fn saw_priority(driver: &Driver) -> bool {
    let ready = pin!(driver.ready(Interest::PRIORITY));
    let known = ready.poll(&mut Context::from_waker(Waker::noop()));
    matches!(known, Poll::Ready(Ok(ready)) if ready.ready().is_priority())
}
