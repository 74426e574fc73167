//! The ClientHello of a connection that is passed through: read, not answered.
//!
//! Two steps, so that nothing is copied in the usual case. [`Scan`] follows the
//! records as bytes come and tells when the message is whole; [`ClientHello`] is
//! what is read of a whole one. Both are strict where a server would be, and know
//! only what routing needs: GREASE values (RFC 8701) are extensions and protocols
//! like others, and of an encrypted ClientHello it is the outer one that counts.

use std::borrow::Cow;

/// Bytes that are looked at, the heads of records included: HAProxy's is the same
/// (tune.bufsize). Hellos of browsers have 2 KiB since they offer post-quantum keys.
pub(crate) const HELLO_MAX: usize = 16 << 10;

/// Why bytes are no ClientHello.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotHello {
    /// Something else is spoken, or TLS from its middle.
    #[error("it does not begin as TLS does")]
    OtherProtocol,
    /// It does not end within [`HELLO_MAX`].
    #[error("the ClientHello has more than 16 KiB")]
    TooLong,
    /// A length does not fit what it is the length of, or something stands twice.
    #[error("the ClientHello is malformed")]
    Malformed,
}

/// Follows the records of the first message (RFC 8446 5.1, RFC 5246 6.2.1), which
/// may be cut anywhere and into any number of them. A record that was whole is not
/// looked at again when more bytes come.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Scan {
    /// Where the first record that was not whole begins.
    record: usize,
    /// Bytes of the message in the records before that.
    held: usize,
    /// The message's own head: its type, and its length in three bytes.
    head: [u8; MESSAGE_HEAD],
}

impl Scan {
    /// Whether the message is whole in `bytes`, which are all that ever came; those
    /// of the last call are not looked at again.
    ///
    /// # Errors
    /// It will never be: what came cannot become a ClientHello.
    pub(crate) fn is_whole(&mut self, bytes: &[u8]) -> Result<bool, NotHello> {
        let bytes = &bytes[..bytes.len().min(HELLO_MAX)];
        while let Some(record) = bytes.get(self.record..) {
            let len = record_len(record)?;
            let body = record.get(RECORD_HEAD..).unwrap_or_default();
            let part = &body[..body.len().min(len.unwrap_or(0))];
            let missing = self.head.iter_mut().skip(self.held);
            missing.zip(part).for_each(|(to, byte)| *to = *byte);
            let come = self.held + part.len();
            if come > 0 && self.head[0] != CLIENT_HELLO {
                return Err(NotHello::OtherProtocol);
            }
            if come >= MESSAGE_HEAD {
                if self.len() + RECORD_HEAD > HELLO_MAX {
                    return Err(NotHello::TooLong);
                }
                if come >= self.len() {
                    return Ok(true);
                }
            }
            if len.is_none_or(|len| part.len() < len) {
                break;
            }
            self.held = come;
            self.record += RECORD_HEAD + part.len();
        }
        match bytes.len() < HELLO_MAX {
            true => Ok(false),
            false => Err(NotHello::TooLong),
        }
    }

    /// The message, if the same bytes made [`Self::is_whole`] say so: a copy if it
    /// lies in several records.
    pub(crate) fn message<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        let len = self.len();
        if self.record == 0 {
            let message = bytes.get(RECORD_HEAD..RECORD_HEAD + len);
            return Cow::Borrowed(message.unwrap_or_default());
        }
        let mut message = Vec::with_capacity(len);
        let mut rest = bytes;
        while message.len() < len
            && let Ok(Some(record)) = record_len(rest)
        {
            let body = &rest[RECORD_HEAD..];
            let part = &body[..body.len().min(record)];
            message.extend_from_slice(&part[..part.len().min(len - message.len())]);
            rest = &body[part.len()..];
        }
        Cow::Owned(message)
    }

    /// Of the message with its head, once that is known.
    fn len(&self) -> usize {
        let [_, high, middle, low] = self.head;
        MESSAGE_HEAD + u32::from_be_bytes([0, high, middle, low]) as usize
    }
}

/// Bytes of the record that begins here; `None` = its head is not whole. What is there
/// of the head must be right, so that the first byte of another protocol tells it.
fn record_len(record: &[u8]) -> Result<Option<usize>, NotHello> {
    // The minor version is to be ignored (RFC 8446 5.1): 1 is usual, 3 is seen.
    if !matches!(record, [] | [HANDSHAKE] | [HANDSHAKE, MAJOR, ..]) {
        return Err(NotHello::OtherProtocol);
    }
    let [_, _, _, high, low, ..] = *record else {
        return Ok(None);
    };
    match usize::from(u16::from_be_bytes([high, low])) {
        // An empty record of a handshake is forbidden (RFC 8446 5.1).
        len @ 1..=RECORD_MAX => Ok(Some(len)),
        _ => Err(NotHello::Malformed),
    }
}

/// What a client asks for in its first message (RFC 8446 4.1.2, RFC 5246 7.4.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClientHello<'a> {
    server_name: Option<&'a [u8]>,
    /// Names, each with its length in a byte before it.
    protocols: &'a [u8],
}

impl<'a> ClientHello<'a> {
    /// One that names a host and offers nothing.
    pub(crate) fn naming(host: &'a [u8]) -> Self {
        Self {
            server_name: Some(host),
            protocols: &[],
        }
    }

    /// Reads a whole message, its head included.
    ///
    /// # Errors
    /// [`NotHello::Malformed`].
    pub(crate) fn parse(message: &'a [u8]) -> Result<Self, NotHello> {
        Self::read(message).ok_or(NotHello::Malformed)
    }

    /// The host it asks for (RFC 6066 3) as it was sent, without a final dot; `None` =
    /// none, or one that no host can have, which matches nothing.
    pub(crate) fn server_name(&self) -> Option<&'a [u8]> {
        let name = self.server_name?;
        let name = name.strip_suffix(b".").unwrap_or(name);
        let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
        let is_host = (1..=HOST_MAX).contains(&name.len()) && name.iter().all(fits);
        is_host.then_some(name)
    }

    /// The protocols it offers (RFC 7301 3.1), best first.
    pub(crate) fn protocols(&self) -> impl Iterator<Item = &'a [u8]> {
        let mut rest = Fields(self.protocols);
        std::iter::from_fn(move || rest.block::<1>())
    }

    fn read(message: &'a [u8]) -> Option<Self> {
        let mut message = Fields(message);
        let [CLIENT_HELLO] = message.bytes()? else {
            return None;
        };
        let mut fields = Fields(message.block::<3>()?);
        // It means nothing since TLS 1.3.
        let _version: [u8; 2] = fields.bytes()?;
        let _random: [u8; 32] = fields.bytes()?;
        let session = fields.block::<1>()?;
        let suites = fields.block::<2>()?;
        let compression = fields.block::<1>()?;
        let is_sound = session.len() <= 32
            && !suites.is_empty()
            && suites.len().is_multiple_of(2)
            && !compression.is_empty();
        let mut hello = Self {
            server_name: None,
            protocols: &[],
        };
        // TLS 1.2 allows for none at all.
        if is_sound && !fields.0.is_empty() {
            let extensions = fields.last_block()?;
            hello.read_extensions(Fields(extensions))?;
        }
        is_sound.then_some(hello)
    }

    fn read_extensions(&mut self, mut extensions: Fields<'a>) -> Option<()> {
        while !extensions.0.is_empty() {
            let kind = u16::from_be_bytes(extensions.bytes()?);
            let value = Fields(extensions.block::<2>()?);
            match kind {
                // None may stand twice (RFC 8446 4.2).
                SERVER_NAME if self.server_name.is_some() => return None,
                ALPN if !self.protocols.is_empty() => return None,
                SERVER_NAME => self.server_name = Some(host_name(value)?),
                ALPN => self.protocols = protocol_names(value)?,
                _ => {}
            }
        }
        Some(())
    }
}

/// RFC 6066 3: names of several kinds, of which one is known; none stands twice. The
/// others have the same shape, or there would be no telling where they end.
fn host_name(mut value: Fields<'_>) -> Option<&[u8]> {
    let mut names = Fields(value.last_block()?);
    let mut host = None;
    while !names.0.is_empty() {
        let [kind] = names.bytes()?;
        let name = names.block::<2>()?;
        if kind == HOST_NAME && host.replace(name).is_some() {
            return None;
        }
    }
    host.filter(|name| !name.is_empty())
}

/// RFC 7301 3.1: at least one, and none of them empty.
fn protocol_names(mut value: Fields<'_>) -> Option<&[u8]> {
    let names = value.last_block()?;
    let mut rest = Fields(names);
    while !rest.0.is_empty() {
        rest.block::<1>().filter(|name| !name.is_empty())?;
    }
    (!names.is_empty()).then_some(names)
}

/// What is left of a message.
#[derive(Debug, Clone, Copy)]
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*bytes)
    }

    /// As many bytes as the `N` bytes before them say.
    fn block<const N: usize>(&mut self) -> Option<&'a [u8]> {
        let len: [u8; N] = self.bytes()?;
        let len = len
            .iter()
            .fold(0, |len, byte| len << 8 | usize::from(*byte));
        let (block, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(block)
    }

    /// One behind which nothing stands.
    fn last_block(&mut self) -> Option<&'a [u8]> {
        let block = self.block::<2>()?;
        self.0.is_empty().then_some(block)
    }
}

/// Content type (RFC 8446 B.1).
const HANDSHAKE: u8 = 22;
/// Of every version since SSL 3.0.
const MAJOR: u8 = 3;
/// Handshake type (RFC 8446 B.3).
const CLIENT_HELLO: u8 = 1;
/// Type, version, length.
const RECORD_HEAD: usize = 5;
/// Plaintext of a record (RFC 8446 5.1).
const RECORD_MAX: usize = 1 << 14;
/// Type, length.
const MESSAGE_HEAD: usize = 4;
/// Extension types (RFC 8446 4.2).
const SERVER_NAME: u16 = 0;
const ALPN: u16 = 16;
/// NameType (RFC 6066 3).
const HOST_NAME: u8 = 0;
/// The longest a name can be in DNS, as text (RFC 1035 2.3.4).
const HOST_MAX: usize = 253;

#[cfg(test)]
mod tests;
