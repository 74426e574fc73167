//! What a [`Stream`] needs before its protocol begins: PROXY headers, and whoever else
//! must know the first bytes before somebody reads them.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};

use rustix::io::Errno;
use rustix::net::RecvFlags;
use socket2::SockRef;

use super::Stream;

impl Stream {
    /// Looks at what has come without taking it; 0 = the peer is done. For what stands
    /// before everything else, so that whoever reads next finds the rest where it was.
    pub(crate) fn poll_peek(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let look = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        if self.fresh.get()
            && let Ok((_, n @ 1..)) = rustix::net::recv(&self.fd, &mut *buffer, look)
        {
            return Poll::Ready(Ok(n));
        }
        let driver = self.fd.driver()?;
        loop {
            let mut ready = ready!(driver.poll_read_ready(cx))?;
            match rustix::net::recv(&self.fd, &mut *buffer, look) {
                // However little came: what is left in the socket stays ready.
                Ok((_, n)) => return Poll::Ready(Ok(n)),
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(Errno::INTR) => {}
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
    }

    /// Takes what was looked at from the socket.
    ///
    /// # Errors
    /// As recv(2).
    pub(crate) fn take(&self, peeked: &mut [u8]) -> io::Result<()> {
        let mut taken = 0;
        while taken < peeked.len() {
            match self.recv_now(&mut peeked[taken..])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => taken += n,
            }
        }
        Ok(())
    }

    /// Writes all of `bytes`.
    ///
    /// # Errors
    /// As send(2).
    pub(crate) async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match poll_fn(|cx| self.poll_write(cx, bytes)).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                n => bytes = &bytes[n..],
            }
        }
        Ok(())
    }

    /// Where the peer is connected to; `None` = that is no address of IP.
    pub(crate) fn local_address(&self) -> Option<SocketAddr> {
        let local = SockRef::from(&self.fd).local_addr().ok()?.as_socket()?;
        Some(SocketAddr::new(local.ip().to_canonical(), local.port()))
    }
}
