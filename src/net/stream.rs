//! One connected socket, whatever it is made of, and one listening socket.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::splice::Pipe;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

/// A connected byte stream. Reads go through tokio's `poll_read`, which clears
/// the readiness after a short read: no failing `recv` per request.
#[derive(Debug)]
pub(crate) enum Stream {
    /// IPv4 or IPv6.
    Tcp(TcpStream),
    /// A Unix socket.
    Unix(UnixStream),
}

impl Stream {
    /// Reads into `buffer`; 0 = the peer is done.
    #[inline]
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        let read = match self {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, &mut buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, &mut buffer),
        };
        read.map_ok(|()| buffer.filled().len())
    }

    /// Writes some of `bytes`.
    #[inline]
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    /// Writes some of `slices`.
    #[inline]
    pub(crate) fn poll_writev(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    /// Says that no more bytes will be written (FIN).
    pub(crate) fn shutdown_write(&self) {
        // The peer may be gone already; then there is nobody to tell.
        let _ = match self {
            Self::Tcp(stream) => SockRef::from(stream).shutdown(std::net::Shutdown::Write),
            Self::Unix(stream) => SockRef::from(stream).shutdown(std::net::Shutdown::Write),
        };
    }

    /// Ready when a read would not block as far as the driver knows. Costs no system call and may lie.
    #[inline]
    pub(crate) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_read_ready(cx),
            Self::Unix(stream) => stream.poll_read_ready(cx),
        }
    }

    /// Moves at most `max` bytes into an empty pipe; 0 = the peer is done.
    pub(crate) fn poll_fill(
        &self,
        pipe: &Pipe,
        max: usize,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.poll_read_ready(cx))?;
            // The pipe is empty, so EAGAIN can only mean that the socket is, and
            // may clear its readiness.
            match self.try_io(Interest::READABLE, |fd| pipe.fill(fd, max)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                filled => return Poll::Ready(filled),
            }
        }
    }

    /// Moves bytes out of a pipe.
    pub(crate) fn poll_drain(&self, pipe: &Pipe, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        loop {
            ready!(match self {
                Self::Tcp(stream) => stream.poll_write_ready(cx),
                Self::Unix(stream) => stream.poll_write_ready(cx),
            })?;
            match self.try_io(Interest::WRITABLE, |fd| pipe.drain(fd)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                drained => return Poll::Ready(drained),
            }
        }
    }

    /// Runs a system call on the descriptor; `WouldBlock` clears the readiness.
    fn try_io<R>(
        &self,
        interest: Interest,
        call: impl FnOnce(BorrowedFd<'_>) -> io::Result<R>,
    ) -> io::Result<R> {
        match self {
            Self::Tcp(stream) => stream.try_io(interest, || call(stream.as_fd())),
            Self::Unix(stream) => stream.try_io(interest, || call(stream.as_fd())),
        }
    }

    /// One recv past the driver's view of readiness; `WouldBlock` = alive and silent.
    ///
    /// # Errors
    /// As recv(2).
    pub(crate) fn try_recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let fd = match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
        };
        let (_, received) = rustix::net::recv(fd, buffer, rustix::net::RecvFlags::DONTWAIT)?;
        Ok(received)
    }

    /// Makes the close that follows a reset, so that the peer can tell it from an orderly end.
    pub(crate) fn reset_on_close(&self) {
        if let Self::Tcp(stream) = self {
            let _ = SockRef::from(stream).set_linger(Some(std::time::Duration::ZERO));
        }
    }
}

/// Who is at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Peer {
    /// Its address; an IPv4-mapped one is shown as IPv4. Unspecified (0.0.0.0:0) for Unix sockets.
    pub(crate) address: SocketAddr,
}

impl Peer {
    fn of(address: SocketAddr) -> Self {
        Self {
            address: SocketAddr::new(address.ip().to_canonical(), address.port()),
        }
    }

    const LOCAL: Self = Self {
        address: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
    };
}

/// A listening socket that one worker owns.
#[derive(Debug)]
pub(crate) enum Accept {
    /// IPv4 or IPv6.
    Tcp(TcpListener),
    /// A Unix socket.
    Unix(UnixListener),
}

impl Accept {
    /// Takes over a listening, non-blocking socket. Needs a tokio runtime.
    ///
    /// # Errors
    /// The descriptor is no listening socket of a kind we know, or cannot be polled.
    pub(crate) fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        let socket = socket2::Socket::from(fd);
        socket.set_nonblocking(true)?;
        if socket.domain()? == socket2::Domain::UNIX {
            UnixListener::from_std(socket.into()).map(Self::Unix)
        } else {
            TcpListener::from_std(socket.into()).map(Self::Tcp)
        }
    }

    /// The next connection.
    ///
    /// # Errors
    /// As accept(2): per-connection failures as well as EMFILE and friends.
    pub(crate) async fn accept(&self) -> io::Result<(Stream, Peer)> {
        poll_fn(|cx| self.poll_accept(cx)).await
    }

    /// The next connection, if there is one.
    pub(crate) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Stream, Peer)>> {
        match self {
            Self::Tcp(listener) => listener
                .poll_accept(cx)
                .map_ok(|(stream, peer)| (Stream::Tcp(stream), Peer::of(peer))),
            Self::Unix(listener) => listener
                .poll_accept(cx)
                .map_ok(|(stream, _)| (Stream::Unix(stream), Peer::LOCAL)),
        }
    }
}

impl Accept {
    /// What waits in the queue now, whatever the driver believes; `None` = empty, or an error.
    pub(crate) fn accept_now(&self) -> Option<(Stream, Peer)> {
        let flags = rustix::net::SocketFlags::NONBLOCK | rustix::net::SocketFlags::CLOEXEC;
        let (fd, address) = rustix::net::acceptfrom_with(self, flags).ok()?;
        match self {
            Self::Tcp(_) => {
                let address = SocketAddr::try_from(address?).ok()?;
                let stream = TcpStream::from_std(std::net::TcpStream::from(fd)).ok()?;
                Some((Stream::Tcp(stream), Peer::of(address)))
            }
            Self::Unix(_) => {
                let stream = UnixStream::from_std(std::os::unix::net::UnixStream::from(fd)).ok()?;
                Some((Stream::Unix(stream), Peer::LOCAL))
            }
        }
    }
}

impl AsFd for Accept {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(listener) => listener.as_fd(),
            Self::Unix(listener) => listener.as_fd(),
        }
    }
}
