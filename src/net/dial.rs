//! Connecting to a server.

use std::io;

use rustix::io::Errno;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::Stream;
use crate::config::ServerAddress;

/// Connects, without a deadline of its own.
///
/// # Errors
/// As socket(2) and connect(2).
pub(crate) async fn dial(address: &ServerAddress) -> io::Result<Stream> {
    let (address, tcp) = match address {
        ServerAddress::Ip(address) => (SockAddr::from(*address), true),
        ServerAddress::Unix(path) => (SockAddr::unix(path)?, false),
        // A leading NUL is the abstract name space.
        ServerAddress::Name(..) => {
            // It is in maintenance: nothing is sent there.
            return Err(io::Error::other("the name of the server is not known yet"));
        }
        ServerAddress::Abstract(name) => (SockAddr::unix(format!("\0{name}"))?, false),
    };
    let stream = begin(&address, tcp)?;
    stream.connected().await?;
    Ok(stream)
}

fn begin(address: &SockAddr, tcp: bool) -> io::Result<Stream> {
    let kind = Type::STREAM.nonblocking().cloexec();
    let domain = Domain::from(i32::from(address.family()));
    let socket = Socket::new(domain, kind, tcp.then_some(Protocol::TCP))?;
    if tcp {
        // A message must leave when it is written, not when the last one was acknowledged.
        socket.set_tcp_nodelay(true)?;
    }
    match socket.connect(address) {
        // A Unix socket says EAGAIN where the backlog is full: nothing is under way then.
        Err(error) if error.raw_os_error() != Some(Errno::INPROGRESS.raw_os_error()) => Err(error),
        _ => Stream::from_fd(socket.into()),
    }
}
