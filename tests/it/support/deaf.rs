//! A server that does not answer connects, until it is told to.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use socket2::SockRef;

use super::{PlayedOrigin, free_addr};

/// A listener whose queue is full: the kernel drops the first packet of each connect.
#[derive(Debug)]
pub(crate) struct DeafOrigin {
    listener: TcpListener,
    waiting: Vec<TcpStream>,
}

impl DeafOrigin {
    pub(crate) fn listen() -> Self {
        let addr = free_addr();
        let listener = TcpListener::bind(addr).expect("a free port");
        SockRef::from(&listener).listen(0).expect("bound");
        let mut waiting = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&addr, FULL) {
            waiting.push(stream);
            assert!(waiting.len() < 16, "its queue never fills");
        }
        Self { listener, waiting }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.listener.local_addr().expect("bound")
    }

    /// Takes those that fill its queue, and is a server like any other. Who connects is
    /// there when its first packet is sent again: a second later, or two.
    pub(crate) fn hear(self) -> PlayedOrigin {
        for _ in &self.waiting {
            self.listener.accept().expect("it waits");
        }
        SockRef::from(&self.listener).listen(16).expect("bound");
        PlayedOrigin::of(self.listener)
    }
}

/// A connect over the loopback that takes longer is not answered, on a busy machine too.
/// Shorter than the second after which its first packet is sent again.
const FULL: Duration = Duration::from_millis(900);
