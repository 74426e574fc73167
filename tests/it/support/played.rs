//! A server that the test itself plays, line by line, on its own thread.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};

use super::{PATIENCE, RawClient, free_addr, wait_until};

/// A listening server whose connections the test accepts and serves by hand.
#[derive(Debug)]
pub(crate) struct PlayedOrigin {
    listener: TcpListener,
}

impl PlayedOrigin {
    pub(crate) fn listen() -> Self {
        Self::of(TcpListener::bind(free_addr()).expect("a free port"))
    }

    pub(super) fn of(listener: TcpListener) -> Self {
        listener
            .set_nonblocking(true)
            .expect("a listening socket may be non-blocking");
        Self { listener }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.listener.local_addr().expect("bound")
    }

    /// The next connection.
    #[track_caller]
    pub(crate) fn accept(&self) -> RawClient {
        let mut accepted = None;
        wait_until(PATIENCE, "a connection to the server", || {
            accepted = self.poll_accept();
            accepted.is_some()
        });
        accepted.expect("waited for it")
    }

    /// The next connection, if there is one already.
    pub(crate) fn poll_accept(&self) -> Option<RawClient> {
        match self.listener.accept() {
            Ok((stream, _)) => {
                stream
                    .set_nonblocking(false)
                    .expect("a connected socket may block");
                Some(RawClient::over(stream))
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => panic!("accept: {error}"),
        }
    }
}
