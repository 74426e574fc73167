//! Ports nobody else on the machine gets.
//!
//! A port the system hands out is also one it hands out again: to the next listener, and
//! to any outgoing connection, of which the tests make thousands. What is stopped and
//! started again in between would find its port taken, and what is down would answer.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use socket2::{Domain, Socket, Type};

/// An address on 127.0.0.1 that nobody listens on, for TCP and UDP.
pub(crate) fn free_addr() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, free_ports(1)))
}

/// The first of so many ports in a row that nobody listens on.
pub(crate) fn free_ports(count: u16) -> u16 {
    let mut counter = Counter::open();
    let (mut first, mut found) = (0, 0);
    for _ in RANGE {
        let port = counter.next();
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        // A service of the machine may have it.
        let is_free = binds(addr) && UdpSocket::bind(addr).is_ok();
        if found == 0 || port != first + found {
            (first, found) = (port, 0);
        }
        found = if is_free { found + 1 } else { 0 };
        if found == count {
            return first;
        }
    }
    panic!("no {count} ports of {RANGE:?} are free");
}

/// Without listening: a child started at this moment has the socket, too, until it has
/// become its program.
fn binds(addr: SocketAddr) -> bool {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a descriptor");
    socket.set_reuse_address(true).expect("before it is bound");
    socket.bind(&addr.into()).is_ok()
}

/// The last port given out, shared by all test processes of the machine.
struct Counter {
    file: File,
}

impl Counter {
    /// Waits for its turn; the lock goes with the file.
    fn open() -> Self {
        let path = std::env::temp_dir().join("rlb-test-ports");
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.open(path).expect("temporary directory");
        file.lock().expect("a local file");
        Self { file }
    }

    fn next(&mut self) -> u16 {
        let mut text = String::new();
        let said = self.file.read_to_string(&mut text).is_ok();
        let last = text.trim().parse().ok().filter(|_| said);
        let next = last
            .map(|last: u16| last.wrapping_add(1))
            .filter(|next| RANGE.contains(next))
            .unwrap_or(RANGE.start);
        self.file.rewind().expect("a regular file");
        write!(self.file, "{next:05}").expect("temporary directory");
        self.file.rewind().expect("a regular file");
        next
    }
}

/// Below those the system takes for outgoing connections (from 32768 on Linux), above
/// the ones of well-known services.
const RANGE: std::ops::Range<u16> = 10_240..32_000;
