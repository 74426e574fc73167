//! Response heads.

use std::mem::MaybeUninit;

use httparse::{EMPTY_HEADER, Status};
use memchr::memchr;

use super::field::{FIELDS_MAX, Fault, Field, Fields, Kinds, Section, members, take_over};
use super::framing::Coding;
use super::plain;
use super::{BadResponse, ResponseFraming, Slots, Version};
use crate::config::ResponseLimits;

/// A response head, checked; everything borrows from the buffer it was read into.
#[derive(Debug)]
pub(crate) struct ResponseHead<'h, 'b> {
    pub(crate) version: Version,
    /// 100 to 599.
    pub(crate) status: u16,
    pub(crate) reason: &'b [u8],
    pub(crate) fields: &'h [Field<'b>],
    /// What they are slices of, where each line of it stands as we would write it.
    pub(super) plain: Option<&'b [u8]>,
    pub(crate) framing: ResponseFraming,
    /// The server's side persists after this response (9112 9.3).
    pub(crate) keep_alive: bool,
    /// Bytes of the head in the buffer.
    pub(crate) len: usize,
    pub(super) seen: Kinds,
    /// Also where no body follows (HEAD, 304).
    pub(super) content_length: Option<u64>,
    /// Of a 101.
    pub(super) upgrade: Option<&'b [u8]>,
}

/// What was asked, as far as it decides how the response is read; made by
/// [`RequestHead::asked`](super::RequestHead::asked).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Asked {
    /// The request was HEAD.
    pub(crate) head: bool,
    /// Upgrade was sent on.
    pub(crate) upgrade: bool,
    /// Hashes of the protocols offered, 0 = none: 101 must name one of them (9110 7.8).
    protocols: [u32; Self::PROTOCOLS_MAX],
}

impl Asked {
    /// Most protocols of an Upgrade that is sent on.
    pub(super) const PROTOCOLS_MAX: usize = 4;

    #[inline]
    pub(super) fn new(head: bool, upgrade: Option<&[u8]>) -> Self {
        let mut protocols = [0; Self::PROTOCOLS_MAX];
        if let Some(value) = upgrade {
            for (slot, protocol) in protocols.iter_mut().zip(members(value)) {
                *slot = hash(protocol);
            }
        }
        Self {
            head,
            upgrade: upgrade.is_some(),
            protocols,
        }
    }

    /// Each protocol of `value`, and at least one, was offered.
    fn offered(&self, value: &[u8]) -> bool {
        self.upgrade
            && members(value).next().is_some()
            && members(value).all(|protocol| self.protocols.contains(&hash(protocol)))
    }
}

/// Reads one response head (also of 1xx). `Ok(None)`: incomplete so far. At
/// `limits.head` bytes without an end this is an error.
pub(crate) fn parse_response<'h, 'b>(
    buf: &'b [u8],
    limits: &ResponseLimits,
    asked: Asked,
    slots: &'h mut Slots<'b>,
) -> Result<Option<ResponseHead<'h, 'b>>, BadResponse> {
    let full = buf.len() >= limits.head;
    let window = &buf[..buf.len().min(limits.head)];
    // httparse skips empty lines here, too.
    if window.first().is_some_and(|byte| *byte != b'H') {
        return Err(BadResponse::StatusLine);
    }
    let max = limits.headers.min(FIELDS_MAX);
    let fields = &mut *slots.fields;
    fields.clear();
    let (line, len, plain) = match plain::read_response(window, max, fields) {
        Some((line, len)) => (line, len, Some(&window[..len])),
        None => match read_with_care(window, max, fields)? {
            Some((line, len)) => (line, len, None),
            None => return incomplete(full),
        },
    };
    let section = Section::read(fields)?;
    judge(line, section, asked, len, fields, plain).map(Some)
}

/// Reads any head, and says what is wrong with it. `Ok(None)`: incomplete so far.
#[inline(never)]
pub(super) fn read_with_care<'b>(
    window: &'b [u8],
    max: usize,
    fields: &mut Fields<'b>,
) -> Result<Option<(Line<'b>, usize)>, BadResponse> {
    let mut slots = [const { MaybeUninit::uninit() }; FIELDS_MAX];
    let mut response = httparse::Response::new(&mut []);
    let status = httparse::ParserConfig::default().parse_response_with_uninit_headers(
        &mut response,
        window,
        &mut slots[..max],
    );
    match status {
        Ok(Status::Complete(len)) => {
            let line = Line {
                version: match response.version {
                    Some(0) => Version::Http10,
                    _ => Version::Http11,
                },
                status: response.code.unwrap_or_default(),
                reason: match response.reason {
                    Some(reason) if !reason.is_empty() => reason.as_bytes(),
                    _ => opaque_reason(window),
                },
            };
            take_over(&window[..len], response.headers, fields)?;
            Ok(Some((line, len)))
        }
        Ok(Status::Partial) => Ok(None),
        Err(httparse::Error::Version) => {
            let Some((line, at)) = higher_minor_version(window)? else {
                return Ok(None);
            };
            let mut slots = [EMPTY_HEADER; FIELDS_MAX];
            match httparse::parse_headers(&window[at..], &mut slots[..max])? {
                Status::Complete((len, parsed)) => {
                    take_over(&window[..at + len], parsed, fields)?;
                    Ok(Some((line, at + len)))
                }
                Status::Partial => Ok(None),
            }
        }
        Err(error) => Err(error.into()),
    }
}

/// A status line, taken apart.
pub(super) struct Line<'b> {
    pub(super) version: Version,
    pub(super) status: u16,
    pub(super) reason: &'b [u8],
}

impl From<Fault> for BadResponse {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::LineEnd => Self::LineEnd,
            Fault::ContentLength => Self::ContentLength,
            Fault::ConnectionOptions => Self::ConnectionOptions,
        }
    }
}

impl From<httparse::Error> for BadResponse {
    fn from(error: httparse::Error) -> Self {
        match error {
            httparse::Error::HeaderName => Self::FieldName,
            httparse::Error::HeaderValue => Self::FieldValue,
            httparse::Error::NewLine => Self::LineEnd,
            httparse::Error::TooManyHeaders => Self::TooManyFields,
            httparse::Error::Status | httparse::Error::Token | httparse::Error::Version => {
                Self::StatusLine
            }
        }
    }
}

/// The rules of a whole head.
#[inline]
fn judge<'h, 'b>(
    line: Line<'b>,
    section: Section<'b>,
    asked: Asked,
    len: usize,
    fields: &'h [Field<'b>],
    plain: Option<&'b [u8]>,
) -> Result<ResponseHead<'h, 'b>, BadResponse> {
    // 6xx to 9xx are no classes (9110 15).
    if !matches!(line.status, 100..=599) {
        return Err(BadResponse::Status);
    }
    let switching = line.status == 101;
    let upgrade = section
        .upgrade
        .filter(|value| switching && section.upgrades == 1 && asked.offered(value));
    if switching && upgrade.is_none() {
        return Err(BadResponse::Switching);
    }
    let body = section.body;
    let framing = ResponseFraming::of_response(&body, line.version, line.status, asked.head)?;
    let connection = section.connection;
    let both = body.coding != Coding::None && body.content_length.is_some();
    Ok(ResponseHead {
        version: line.version,
        status: line.status,
        reason: line.reason,
        fields,
        plain,
        framing,
        keep_alive: (line.version == Version::Http11 || connection.keep_alive)
            && !connection.close
            && framing != ResponseFraming::UntilClose
            && !switching
            && !both,
        len,
        seen: section.seen,
        content_length: body.content_length.filter(|_| !both),
        upgrade,
    })
}

fn incomplete<T>(full: bool) -> Result<Option<T>, BadResponse> {
    if full {
        Err(BadResponse::HeadTooLong)
    } else {
        Ok(None)
    }
}

/// httparse gives an empty reason for one with bytes above 0x7f, which are allowed
/// (9112 4). It has looked at each byte of `window` up to the line's end.
#[cold]
fn opaque_reason(window: &[u8]) -> &[u8] {
    let line_end = memchr(b'\n', window).unwrap_or(window.len());
    let line = &window[..line_end];
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    line.get(REASON_AT..).unwrap_or_default()
}

/// The status line of `HTTP/1.2` and higher, which httparse does not read, and
/// where the fields begin; `None`: it is not all there.
#[cold]
fn higher_minor_version(window: &[u8]) -> Result<Option<(Line<'_>, usize)>, BadResponse> {
    let shape = b"HTTP/1.d ddd ";
    for (byte, expected) in window.iter().zip(shape) {
        match expected {
            b'd' if byte.is_ascii_digit() => {}
            _ if byte == expected => {}
            _ => return Err(BadResponse::StatusLine),
        }
    }
    let Some(rest) = window.get(REASON_AT..) else {
        return Ok(None);
    };
    let text = |byte: &u8| matches!(byte, b'\t' | b' '..=0x7e | 0x80..);
    let Some(end) = rest.iter().position(|byte| !text(byte)) else {
        return Ok(None);
    };
    match &rest[end..] {
        [b'\r', b'\n', ..] => {}
        [b'\r'] => return Ok(None),
        _ => return Err(BadResponse::StatusLine),
    }
    let digit = |at: usize| u16::from(window[at] - b'0');
    let line = Line {
        version: Version::Http11,
        status: digit(9) * 100 + digit(10) * 10 + digit(11),
        reason: &rest[..end],
    };
    Ok(Some((line, REASON_AT + end + 2)))
}

/// FNV-1a of the lower case form; never 0.
fn hash(protocol: &[u8]) -> u32 {
    let mix = |hash: u32, byte: &u8| {
        (hash ^ u32::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0193)
    };
    protocol.iter().fold(0x811c_9dc5, mix) | 1
}

/// Where the reason begins in a status line.
const REASON_AT: usize = "HTTP/1.1 200 ".len();
