//! A descriptor that the driver learns of only when somebody must wait for it.

use std::cell::OnceCell;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// An open descriptor, polled by the driver from the first wait on.
///
/// A client that sends one request and leaves is served without a wait for it: its
/// bytes came before it was accepted and the answer fits the socket. Such a
/// connection never costs the two epoll_ctl(2) of getting to know it.
#[derive(Debug)]
pub(super) struct Polled {
    // Dropped in this order: the driver must forget the descriptor while it is open.
    driver: OnceCell<Driver>,
    fd: OwnedFd,
    interest: Interest,
}

/// What the driver knows of a descriptor.
pub(super) type Driver = AsyncFd<Number>;

/// The descriptor's number, for the driver; the field beside it keeps it open.
#[derive(Debug)]
pub(super) struct Number(RawFd);

impl Polled {
    /// Waits for nothing yet. Needs a tokio runtime once somebody waits.
    pub(super) fn lazy(fd: OwnedFd, interest: Interest) -> Self {
        Self {
            driver: OnceCell::new(),
            fd,
            interest,
        }
    }

    /// Polled from now on. Needs a tokio runtime.
    ///
    /// # Errors
    /// The descriptor cannot be polled.
    pub(super) fn now(fd: OwnedFd, interest: Interest) -> io::Result<Self> {
        let polled = Self::lazy(fd, interest);
        polled.driver()?;
        Ok(polled)
    }

    /// What the driver knows of it; `None` = it was never asked.
    #[inline]
    pub(super) fn known(&self) -> Option<&Driver> {
        self.driver.get()
    }

    /// What the driver knows of it; makes it known first.
    ///
    /// # Errors
    /// The descriptor cannot be polled: no memory, or too many watches (epoll(7)).
    #[inline]
    pub(super) fn driver(&self) -> io::Result<&Driver> {
        match self.driver.get() {
            Some(driver) => Ok(driver),
            None => self.register(),
        }
    }

    #[cold]
    #[expect(
        deprecated,
        reason = "its successor is unsafe for the sake of types that lie about their descriptor; this one owns it"
    )]
    fn register(&self) -> io::Result<&Driver> {
        let driver = AsyncFd::with_interest(Number(self.fd.as_raw_fd()), self.interest)?;
        Ok(self.driver.get_or_init(|| driver))
    }
}

impl AsFd for Polled {
    #[inline]
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for Number {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}
