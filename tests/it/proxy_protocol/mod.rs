//! The PROXY protocol: taken from those in front, told to those behind.

mod accepted;
mod real;
mod sent;

use std::net::SocketAddr;

/// One frontend with this bind before this server.
fn listen(bind: &str, server: SocketAddr, more: &str) -> String {
    format!(
        "[[listen]]\nname = \"web\"\nbind = {{ {bind} }}\n\
         server = {{ name = \"s1\", address = \"{server}\" }}\n{more}\n"
    )
}

/// A bind on any port that takes headers from everybody.
const EVERYBODY: &str = "address = \"127.0.0.1:0\", proxy_protocol = true";

/// A header of version 2.
fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let len = u16::try_from(block.len()).unwrap().to_be_bytes();
    let start: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
    [start, &[command, family], &len, block].concat()
}

/// A header of version 2 for a client of IPv4.
fn v2_of(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let (mut block, mut ports) = (Vec::new(), Vec::new());
    for end in [source, destination] {
        match end {
            SocketAddr::V4(end) => block.extend(end.ip().octets()),
            SocketAddr::V6(end) => block.extend(end.ip().octets()),
        }
        ports.extend(end.port().to_be_bytes());
    }
    block.extend(ports);
    v2(0x21, if source.is_ipv4() { 0x11 } else { 0x21 }, &block)
}
