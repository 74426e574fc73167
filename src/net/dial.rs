//! Connecting to a server.

use std::io;

use socket2::SockRef;
use tokio::net::{TcpStream, UnixStream};

use super::Stream;
use crate::config::ServerAddress;

/// Connects, without a deadline of its own.
///
/// # Errors
/// As socket(2) and connect(2).
pub(crate) async fn dial(address: &ServerAddress) -> io::Result<Stream> {
    match address {
        ServerAddress::Ip(address) => {
            let stream = TcpStream::connect(*address).await?;
            // A message must leave when it is written, not when the last one was acknowledged.
            SockRef::from(&stream).set_tcp_nodelay(true)?;
            Ok(Stream::Tcp(stream))
        }
        ServerAddress::Unix(path) => UnixStream::connect(path).await.map(Stream::Unix),
        ServerAddress::Abstract(name) => {
            // std and tokio take a leading NUL as the abstract name space.
            UnixStream::connect(format!("\0{name}"))
                .await
                .map(Stream::Unix)
        }
    }
}
