//! Reading a header.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use super::{CRC32C, Ends, HEADER_MAX, TYPE_CRC32C, V1_MAX, V1_START, V2_FIXED, V2_START};

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    /// The connection is what it seems: `UNKNOWN`, `LOCAL`, and families that no
    /// client of a stream over IP has.
    Nothing,
    /// It was passed on for a client.
    Ends(Ends),
}

/// Why bytes are no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadHeader {
    /// Neither version begins so.
    #[error("no PROXY header")]
    Start,
    /// Version 1: not a line of at most 107 bytes that ends in CRLF.
    #[error("version 1: no line of at most 107 bytes")]
    Line,
    /// Version 1: another family than TCP4, TCP6 and UNKNOWN.
    #[error("version 1: unknown family")]
    Word,
    /// Version 1: something else than two addresses and two ports.
    #[error("version 1: bad addresses")]
    Text,
    /// Version 2 says that it is another version.
    #[error("version 2: it says another version")]
    Version,
    /// Version 2: neither LOCAL nor PROXY.
    #[error("version 2: unknown command")]
    Command,
    /// Version 2: a family and transport that must not be sent.
    #[error("version 2: unknown family")]
    Family,
    /// Version 2: too short for the addresses of its family.
    #[error("version 2: too short for its addresses")]
    Short,
    /// Version 2: longer than [`HEADER_MAX`].
    #[error("version 2: longer than {HEADER_MAX} bytes")]
    Long,
    /// Version 2: what follows the addresses is not whole.
    #[error("version 2: bad TLV")]
    Tlv,
    /// Version 2: damaged on its way.
    #[error("version 2: wrong checksum")]
    Checksum,
}

/// What the header at the start of `bytes` says, and its length; `None` = more is
/// needed, at most [`HEADER_MAX`] in all.
///
/// # Errors
/// No further bytes could make it one; told as early as can be.
pub(crate) fn read(bytes: &[u8]) -> Result<Option<(Said, usize)>, BadHeader> {
    if starts(bytes, V1_START) {
        v1(bytes)
    } else if starts(bytes, V2_START) {
        v2(bytes)
    } else {
        Err(BadHeader::Start)
    }
}

/// Whether `bytes` begin like `start`, as far as they go.
fn starts(bytes: &[u8], start: &[u8]) -> bool {
    let known = bytes.len().min(start.len());
    bytes[..known] == start[..known]
}

fn v1(bytes: &[u8]) -> Result<Option<(Said, usize)>, BadHeader> {
    let line = &bytes[..bytes.len().min(V1_MAX)];
    let Some(rest) = line.get(V1_START.len()..) else {
        return Ok(None);
    };
    let word = Word::of(rest)?;
    let end = line.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
    match end.map(|end| (end, &line[end..])) {
        Some((end, [b'\r', b'\n', ..])) => {
            let said = word.ok_or(BadHeader::Word)?.said(&line[..end])?;
            Ok(Some((said, end + 2)))
        }
        Some((_, b"\r")) | None if line.len() < V1_MAX => Ok(None),
        _ => Err(BadHeader::Line),
    }
}

/// The family of version 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Tcp4,
    Tcp6,
    Unknown,
}

impl Word {
    /// `None` = it is not whole yet.
    fn of(rest: &[u8]) -> Result<Option<Self>, BadHeader> {
        let words: [(&[u8], Self); 3] = [
            (b"TCP4 ", Self::Tcp4),
            (b"TCP6 ", Self::Tcp6),
            (b"UNKNOWN", Self::Unknown),
        ];
        let (text, word) = words
            .into_iter()
            .find(|(text, _)| starts(rest, text))
            .ok_or(BadHeader::Word)?;
        match (word, rest.get(text.len())) {
            // What follows is of no interest, but it must be a word of its own.
            (Self::Unknown, None) => Ok(None),
            (Self::Unknown, Some(b' ' | b'\r')) => Ok(Some(word)),
            (Self::Unknown, Some(_)) => Err(BadHeader::Word),
            _ => Ok((rest.len() >= text.len()).then_some(word)),
        }
    }

    /// What a whole line says.
    fn said(self, line: &[u8]) -> Result<Said, BadHeader> {
        if self == Self::Unknown {
            return Ok(Said::Nothing);
        }
        let text = std::str::from_utf8(line).map_err(|_| BadHeader::Text)?;
        let mut words = text.split(' ').skip(2);
        let mut next = || words.next().ok_or(BadHeader::Text);
        let (source, destination) = (self.ip(next()?)?, self.ip(next()?)?);
        let (source_port, destination_port) = (port(next()?)?, port(next()?)?);
        if words.next().is_some() {
            return Err(BadHeader::Text);
        }
        Ok(ends(source, source_port, destination, destination_port))
    }

    fn ip(self, text: &str) -> Result<IpAddr, BadHeader> {
        // Both take no leading zeros, and what the other takes they do not.
        let ip = match self {
            Self::Tcp4 => Ipv4Addr::from_str(text).map(IpAddr::V4),
            _ => Ipv6Addr::from_str(text).map(IpAddr::V6),
        };
        ip.map_err(|_| BadHeader::Text)
    }
}

/// A decimal number without leading zeros.
fn port(text: &str) -> Result<u16, BadHeader> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit())
        && (text.len() == 1 || !text.starts_with('0'));
    text.parse()
        .ok()
        .filter(|_| is_plain)
        .ok_or(BadHeader::Text)
}

fn v2(bytes: &[u8]) -> Result<Option<(Said, usize)>, BadHeader> {
    let fixed = &bytes[V2_START.len().min(bytes.len())..];
    let is_local = match fixed.first() {
        Some(0x20) => true,
        Some(0x21) => false,
        Some(other) if other >> 4 != 2 => return Err(BadHeader::Version),
        Some(_) => return Err(BadHeader::Command),
        None => return Ok(None),
    };
    let family = match fixed.get(1) {
        // It says nothing here, whatever it is.
        Some(_) if is_local => Family::Other(0),
        Some(byte) => Family::of(*byte)?,
        None => return Ok(None),
    };
    let Some([high, low]) = fixed.get(2..4) else {
        return Ok(None);
    };
    let len = V2_FIXED + usize::from(u16::from_be_bytes([*high, *low]));
    if len > HEADER_MAX {
        return Err(BadHeader::Long);
    }
    let tlvs = V2_FIXED + family.len();
    if len < tlvs {
        return Err(BadHeader::Short);
    }
    let Some(header) = bytes.get(..len) else {
        return Ok(None);
    };
    if is_local || family == Family::Other(0) {
        return Ok(Some((Said::Nothing, len)));
    }
    check_tlvs(header, tlvs)?;
    let said = family.said(&header[V2_FIXED..]);
    Ok(Some((said.ok_or(BadHeader::Short)?, len)))
}

/// What of a header of version 2 are addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Tcp4,
    Tcp6,
    /// Nothing a client here can have, in so many bytes.
    Other(usize),
}

impl Family {
    fn of(byte: u8) -> Result<Self, BadHeader> {
        match byte {
            0x00 => Ok(Self::Other(0)),
            0x11 => Ok(Self::Tcp4),
            // UDP over IPv4 and IPv6, Unix streams and datagrams.
            0x12 => Ok(Self::Other(12)),
            0x21 => Ok(Self::Tcp6),
            0x22 => Ok(Self::Other(36)),
            0x31 | 0x32 => Ok(Self::Other(216)),
            _ => Err(BadHeader::Family),
        }
    }

    fn len(self) -> usize {
        match self {
            Self::Tcp4 => 12,
            Self::Tcp6 => 36,
            Self::Other(len) => len,
        }
    }

    /// What the bytes behind the fixed part say.
    fn said(self, block: &[u8]) -> Option<Said> {
        match self {
            Self::Tcp4 => tcp::<4>(block),
            Self::Tcp6 => tcp::<16>(block),
            Self::Other(_) => Some(Said::Nothing),
        }
    }
}

/// Two addresses of `N` bytes, then their ports.
fn tcp<const N: usize>(block: &[u8]) -> Option<Said>
where
    IpAddr: From<[u8; N]>,
{
    let (source, rest) = block.split_first_chunk::<N>()?;
    let (destination, rest) = rest.split_first_chunk::<N>()?;
    let (from, rest) = rest.split_first_chunk()?;
    let (to, _) = rest.split_first_chunk()?;
    Some(ends(
        (*source).into(),
        u16::from_be_bytes(*from),
        (*destination).into(),
        u16::from_be_bytes(*to),
    ))
}

/// An IPv4-mapped address is one of IPv4, as for every other connection.
fn ends(source: IpAddr, from: u16, destination: IpAddr, to: u16) -> Said {
    Said::Ends(Ends {
        source: SocketAddr::new(source.to_canonical(), from),
        destination: SocketAddr::new(destination.to_canonical(), to),
    })
}

/// Type, length, value, one behind the other up to the end. None is of interest here
/// but the checksum.
fn check_tlvs(header: &[u8], start: usize) -> Result<(), BadHeader> {
    let mut at = start;
    while at < header.len() {
        let Some([kind, high, low]) = header.get(at..at + 3) else {
            return Err(BadHeader::Tlv);
        };
        let value = at + 3;
        let end = value + usize::from(u16::from_be_bytes([*high, *low]));
        let Some(bytes) = header.get(value..end) else {
            return Err(BadHeader::Tlv);
        };
        if *kind == TYPE_CRC32C {
            let sum: [u8; 4] = bytes.try_into().map_err(|_| BadHeader::Tlv)?;
            if checksum(header, value) != u32::from_be_bytes(sum) {
                return Err(BadHeader::Checksum);
            }
        }
        at = end;
    }
    Ok(())
}

/// Of a header whose checksum stands `at`.
fn checksum(header: &[u8], at: usize) -> u32 {
    let mut digest = CRC32C.digest();
    digest.update(&header[..at]);
    digest.update(&[0; 4]);
    digest.update(&header[at + 4..]);
    digest.finalize()
}
