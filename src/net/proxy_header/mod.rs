//! The PROXY protocol as bytes: what stands in front of a connection that somebody
//! passed on (HAProxy's doc/proxy-protocol.txt, sections 2.1 and 2.2).
//!
//! Knows no socket: [`read`] looks at what has come so far, a [`Header`] is what is
//! to be sent. Whoever receives one decides beforehand that there must be one; the
//! bytes never decide (section 2: "must not try to guess").

mod read;
mod write;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;

use crc::{CRC_32_ISCSI, Crc, Table};

pub(crate) use read::{BadHeader, Said, read};
pub(crate) use write::Header;

/// Both ends of the connection that is passed on: a client's and the one it connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ends {
    /// The client.
    pub(crate) source: SocketAddr,
    /// Where it connected to.
    pub(crate) destination: SocketAddr,
}

/// The longest header that is read, bytes. What HAProxy writes with every option but
/// whole certificates (216 of addresses, and TLVs) fits well.
pub(crate) const HEADER_MAX: usize = 2048;

/// A line of version 1 with its CRLF.
const V1_MAX: usize = 107;
const V1_START: &[u8] = b"PROXY ";
const V2_START: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family, length.
const V2_FIXED: usize = 16;

/// Of the whole header, its own four bytes taken as zero (section 2.2.3).
const TYPE_CRC32C: u8 = 0x03;
static CRC32C: Crc<u32, Table<1>> = Crc::<u32, Table<1>>::new(&CRC_32_ISCSI);

/// What must hold for any bytes; the door for the fuzz target.
pub(crate) fn check(bytes: &[u8]) {
    use crate::config::ProxyVersion;

    let outcome = read(bytes);
    if bytes.len() >= HEADER_MAX {
        assert_ne!(outcome, Ok(None), "no bound");
    }
    let told = match outcome {
        Ok(None) => return,
        Ok(Some((_, len))) => {
            assert!((1..=bytes.len().min(HEADER_MAX)).contains(&len));
            assert_eq!(read(&bytes[..len]), outcome, "what follows counts");
            len
        }
        Err(_) => bytes.len(),
    };
    for len in 0..told {
        match read(&bytes[..len]) {
            Ok(None) => {}
            early => assert_eq!((early.err(), len < told), (outcome.err(), true), "{len}"),
        }
    }
    if let Ok(Some((Said::Ends(ends), _))) = outcome {
        for version in [ProxyVersion::V1, ProxyVersion::V2] {
            let header = Header::passed_on(version, Some(ends));
            let written = header.as_bytes();
            assert_eq!(read(written), Ok(Some((Said::Ends(ends), written.len()))));
        }
    }
}
