//! Writing a header.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};

use super::{Ends, V1_MAX, V2_START};
use crate::config::ProxyVersion;

/// A header to be sent in front of everything else, without an allocation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Header {
    bytes: [u8; V1_MAX],
    len: usize,
}

impl Header {
    /// For a connection that is passed on; `None` = from nobody with an address (a
    /// client on a Unix socket).
    pub(crate) fn passed_on(version: ProxyVersion, ends: Option<Ends>) -> Self {
        let mut header = Self::EMPTY;
        match (version, ends) {
            (ProxyVersion::V1, Some(ends)) => header.line(ends),
            (ProxyVersion::V1, None) => header.push(b"PROXY UNKNOWN\r\n"),
            (ProxyVersion::V2, Some(ends)) => header.binary(ends),
            (ProxyVersion::V2, None) => header.fixed(PROXY, UNSPEC, 0),
        }
        header
    }

    /// For a connection of our own, such as a check.
    pub(crate) fn own(version: ProxyVersion) -> Self {
        let mut header = Self::EMPTY;
        match version {
            // Version 1 has no other word for it.
            ProxyVersion::V1 => header.push(b"PROXY UNKNOWN\r\n"),
            ProxyVersion::V2 => header.fixed(LOCAL, UNSPEC, 0),
        }
        header
    }

    /// What is to be sent.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    const EMPTY: Self = Self {
        bytes: [0; V1_MAX],
        len: 0,
    };

    fn line(&mut self, ends: Ends) {
        let (source, destination, family) = match of_one_family(ends) {
            (source @ IpAddr::V4(_), destination) => (source, destination, "TCP4"),
            (source, destination) => (source, destination, "TCP6"),
        };
        let (from, to) = (ends.source.port(), ends.destination.port());
        let mut room = &mut self.bytes[..];
        // What does not fit is cut; the longest line has its place.
        let _ = write!(
            room,
            "PROXY {family} {source} {destination} {from} {to}\r\n"
        );
        self.len = V1_MAX - room.len();
    }

    fn binary(&mut self, ends: Ends) {
        match of_one_family(ends) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                self.fixed(PROXY, TCP4, 12);
                self.push(&source.octets());
                self.push(&destination.octets());
            }
            (source, destination) => {
                self.fixed(PROXY, TCP6, 36);
                self.push(&v6(source));
                self.push(&v6(destination));
            }
        }
        self.push(&ends.source.port().to_be_bytes());
        self.push(&ends.destination.port().to_be_bytes());
    }

    fn fixed(&mut self, command: u8, family: u8, len: u16) {
        self.push(V2_START);
        self.push(&[command, family]);
        self.push(&len.to_be_bytes());
    }

    fn push(&mut self, bytes: &[u8]) {
        if let Some(room) = self.bytes.get_mut(self.len..self.len + bytes.len()) {
            room.copy_from_slice(bytes);
            self.len += bytes.len();
        }
    }
}

const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;
const UNSPEC: u8 = 0x00;
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;

/// A header has one family: where they differ (somebody in front said so), IPv4 is
/// told as IPv6, as HAProxy does.
fn of_one_family(ends: Ends) -> (IpAddr, IpAddr) {
    let ip = |end: SocketAddr| end.ip().to_canonical();
    match (ip(ends.source), ip(ends.destination)) {
        (source, destination) if source.is_ipv4() == destination.is_ipv4() => (source, destination),
        (source, destination) => (v6(source).into(), v6(destination).into()),
    }
}

fn v6(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}
