//! Request heads.

use std::mem::MaybeUninit;

use httparse::{EMPTY_HEADER, Status};
use memchr::{memchr, memchr_iter};

use super::field::{
    FIELDS_MAX, Fault, Field, Fields, Kinds, Section, is_token, members, take_over,
};
use super::framing::decimal;
use super::plain;
use super::target::{Target, is_authority};
use super::{Asked, FieldKind, Framing, Refused, Slots, Version};
use crate::config::RequestLimits;

/// A request head, checked; everything borrows from the buffer it was read into.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestHead<'h, 'b> {
    /// As received, case and all (9110 9.1).
    pub(crate) method: &'b str,
    pub(crate) kind: MethodKind,
    pub(crate) version: Version,
    /// Origin-form as sent on: `/` for an empty path of absolute-form, `*` for OPTIONS.
    pub(crate) target: &'b [u8],
    /// Effective authority with its port; that of an absolute-form target wins over
    /// Host (9112 3.2.2). Empty only for HTTP/1.0 without Host.
    pub(crate) host: &'b [u8],
    /// Scheme of an absolute-form target.
    pub(crate) scheme: Option<Scheme>,
    pub(crate) fields: &'h [Field<'b>],
    /// What they are slices of, where each line of it stands as we would write it.
    pub(super) plain: Option<&'b [u8]>,
    pub(crate) framing: Framing,
    /// The client wants persistence (9112 9.3).
    pub(crate) keep_alive: bool,
    /// The client may wait for a 100 before it sends the body (9110 10.1.1).
    pub(crate) expect_continue: bool,
    /// Value of Upgrade when it may be passed on: Connection lists it, HTTP/1.1, no body, no h2c.
    pub(crate) upgrade: Option<&'b [u8]>,
    /// Max-Forwards of an OPTIONS request: at 0 it is answered here (9110 7.6.2).
    pub(crate) max_forwards: Option<u64>,
    /// Cookies of this name are not passed on.
    pub(crate) hidden_cookie: Option<&'b [u8]>,
    /// Bytes of the head in the buffer, empty lines before it included.
    pub(crate) len: usize,
    pub(super) seen: Kinds,
    pub(super) te_trailers: bool,
}

impl RequestHead<'_, '_> {
    /// What the response is to be read against.
    #[inline]
    pub(crate) fn asked(&self) -> Asked {
        Asked::new(self.kind == MethodKind::Head, self.upgrade)
    }

    /// An absolute-form target names a scheme that this listener does not serve: 421 (9110 7.4).
    pub(crate) fn misdirected(&self, https: bool) -> bool {
        self.scheme
            .is_some_and(|scheme| (scheme == Scheme::Https) != https)
    }
}

/// Methods that any rule asks about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum MethodKind {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Options,
    Connect,
    Trace,
    Other,
}

impl MethodKind {
    /// Case-sensitive (9110 9.1).
    pub(super) fn of(method: &str) -> Self {
        match method {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "DELETE" => Self::Delete,
            "OPTIONS" => Self::Options,
            "CONNECT" => Self::Connect,
            "TRACE" => Self::Trace,
            _ => Self::Other,
        }
    }

    /// May be sent again when its fate is unknown (9110 9.2.2).
    pub(crate) fn is_idempotent(self) -> bool {
        !matches!(self, Self::Post | Self::Connect | Self::Other)
    }
}

/// Scheme of an absolute-form target.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Scheme {
    Http,
    Https,
}

/// Reads one request head. `Ok(None)`: incomplete so far. Limits apply while
/// reading: at `limits.head` bytes without an end this is an error, so a buffer
/// of that size is never too small. Whatever the pieces the bytes come in, the
/// first answer that is not `Ok(None)` is the same.
pub(crate) fn parse_request<'h, 'b>(
    buf: &'b [u8],
    limits: &RequestLimits,
    slots: &'h mut Slots<'b>,
) -> Result<Option<RequestHead<'h, 'b>>, Refused> {
    let full = buf.len() >= limits.head;
    let window = &buf[..buf.len().min(limits.head)];
    let Some(start) = skip_empty_lines(window)? else {
        return incomplete(full);
    };
    let window = &window[start..];
    let max = limits.headers.min(FIELDS_MAX);
    let fields = &mut *slots.fields;
    fields.clear();
    let (line, len, plain) = match plain::read_request(window, max, fields) {
        Some((line, len)) => (line, len, Some(&window[..len])),
        None => match read_with_care(window, limits, full, fields)? {
            Some((line, len)) => (line, len, None),
            None => return Ok(None),
        },
    };
    if line.len > limits.uri {
        return Err(Refused::UriTooLong);
    }
    let section = Section::read(fields)?;
    judge(line, section, start + len, fields, plain).map(Some)
}

/// Reads any head, and says what is wrong with it. `Ok(None)`: incomplete so far.
#[inline(never)]
pub(super) fn read_with_care<'b>(
    window: &'b [u8],
    limits: &RequestLimits,
    full: bool,
    fields: &mut Fields<'b>,
) -> Result<Option<(Line<'b>, usize)>, Refused> {
    let max = limits.headers.min(FIELDS_MAX);
    let mut slots = [const { MaybeUninit::uninit() }; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut []);
    let status = request.parse_with_uninit_headers(window, &mut slots[..max]);
    let line = Parsed {
        method: request.method.unwrap_or_default(),
        target: request.path.unwrap_or_default(),
        version: match request.version {
            Some(0) => Version::Http10,
            _ => Version::Http11,
        },
    };
    match status {
        Ok(Status::Complete(len)) => line
            .whole(&window[..len], request.headers, limits, fields)
            .map(Some),
        Ok(Status::Partial) => starved(window, limits, full),
        Err(error) => {
            let minor = refuse_or_read_on(error, window, &line, limits)?;
            let Some(at) = minor else {
                return starved(window, limits, full);
            };
            let mut slots = [EMPTY_HEADER; FIELDS_MAX];
            match httparse::parse_headers(&window[at..], &mut slots[..max]) {
                Ok(Status::Complete((len, parsed))) => line
                    .whole(&window[..at + len], parsed, limits, fields)
                    .map(Some),
                Ok(Status::Partial) => incomplete(full),
                Err(error) => Err(refused(error)),
            }
        }
    }
}

/// Whether the bytes from `already` on could have completed a head, so that one
/// that comes byte by byte is not parsed for each byte. Also true now and then
/// (each 4 KiB), so that errors and limits are seen before the end.
pub(crate) fn may_complete(buf: &[u8], already: usize) -> bool {
    const LOOK_EACH: usize = 4096;
    if already == 0 || buf.len() / LOOK_EACH != already / LOOK_EACH {
        return true;
    }
    let fresh = buf.get(already..).unwrap_or_default();
    memchr_iter(b'\n', fresh).any(|at| {
        let line = &buf[..already + at];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        line.is_empty() || line.ends_with(b"\n")
    })
}

/// A request line.
pub(super) struct Line<'b> {
    pub(super) method: &'b str,
    /// Neither spaces nor controls.
    pub(super) target: &'b [u8],
    pub(super) version: Version,
    /// Bytes of it but its end.
    pub(super) len: usize,
}

/// The same as httparse read it, or began to.
struct Parsed<'b> {
    method: &'b str,
    target: &'b str,
    version: Version,
}

impl<'b> Parsed<'b> {
    /// Where the version stands in `window`.
    fn version_at(&self, window: &[u8]) -> usize {
        let base = window.as_ptr().addr();
        self.target.as_ptr().addr() + self.target.len() + 1 - base
    }

    /// There was all of the head. The length of the line comes first, as it does where
    /// the line comes alone.
    fn whole(
        self,
        head: &'b [u8],
        parsed: &[httparse::Header<'b>],
        limits: &RequestLimits,
        fields: &mut Fields<'b>,
    ) -> Result<(Line<'b>, usize), Refused> {
        let line = Line {
            method: self.method,
            target: self.target.as_bytes(),
            version: self.version,
            len: self.version_at(head) + VERSION_LEN,
        };
        if line.len > limits.uri {
            return Err(Refused::UriTooLong);
        }
        take_over(head, parsed, fields)?;
        Ok((line, head.len()))
    }
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::LineEnd => Self::LineEnd,
            Fault::ContentLength => Self::ContentLength,
            Fault::ConnectionOptions => Self::ConnectionOptions,
        }
    }
}

/// The rules of a whole head.
#[inline]
fn judge<'h, 'b>(
    line: Line<'b>,
    section: Section<'b>,
    len: usize,
    fields: &'h [Field<'b>],
    plain: Option<&'b [u8]>,
) -> Result<RequestHead<'h, 'b>, Refused> {
    let kind = MethodKind::of(line.method);
    let target = Target::read(line.target, kind)?;
    let host = judge_host(&section, line.version)?;
    let (scheme, host) = match target.absolute {
        Some((scheme, authority)) => (Some(scheme), authority),
        None => (None, host),
    };
    let framing = Framing::of_request(&section.body, line.version)?;
    if !section.expectations_known {
        return Err(Refused::Expectation);
    }
    let recent = line.version == Version::Http11;
    let connection = section.connection;
    Ok(RequestHead {
        method: line.method,
        kind,
        version: line.version,
        target: target.origin,
        host,
        scheme,
        fields,
        plain,
        framing,
        keep_alive: (recent || connection.keep_alive) && !connection.close,
        // To be ignored in 1.0 (9110 10.1.1).
        expect_continue: recent && framing.has_body() && section.seen.has(FieldKind::Expect),
        upgrade: section
            .upgrade
            .filter(|_| recent && connection.upgrade && !framing.has_body())
            .filter(|value| section.upgrades == 1 && may_upgrade(value)),
        hidden_cookie: None,
        max_forwards: match kind {
            MethodKind::Options if section.seen.has(FieldKind::MaxForwards) => {
                Some(max_forwards(fields)?)
            }
            _ => None,
        },
        len,
        seen: section.seen,
        te_trailers: recent && section.te_trailers,
    })
}

/// One Host in 1.1, valid wherever it stands (9112 3.2).
#[inline]
fn judge_host<'b>(section: &Section<'b>, version: Version) -> Result<&'b [u8], Refused> {
    match (section.host, section.hosts) {
        (Some(host), 1) if is_authority(host) => Ok(host),
        (Some(_), 1) => Err(Refused::Host),
        (None, _) if version == Version::Http10 => Ok(b""),
        (None, _) => Err(Refused::HostMissing),
        (Some(_), _) => Err(Refused::HostTwice),
    }
}

/// Protocols are sane, few, and not HTTP/2, which would leave our sight (9110 7.8).
#[cold]
fn may_upgrade(value: &[u8]) -> bool {
    let protocol = |member: &[u8]| {
        let mut halves = member.splitn(2, |byte| *byte == b'/');
        let start = member.get(..2).unwrap_or_default();
        halves.all(is_token) && !start.eq_ignore_ascii_case(b"h2")
    };
    (1..=Asked::PROTOCOLS_MAX).contains(&members(value).count()) && members(value).all(protocol)
}

#[cold]
pub(super) fn max_forwards(fields: &[Field<'_>]) -> Result<u64, Refused> {
    let mut values = fields
        .iter()
        .filter(|field| field.kind == FieldKind::MaxForwards)
        .map(|field| decimal(field.value));
    match (values.next(), values.next()) {
        (Some(Some(number)), None) => Ok(number),
        _ => Err(Refused::MaxForwards),
    }
}

/// Skips empty lines before a request (9112 2.2), a few; `None`: nothing else came yet.
#[inline]
fn skip_empty_lines(window: &[u8]) -> Result<Option<usize>, Refused> {
    let mut at = 0;
    loop {
        match &window[at..] {
            [] | [b'\r'] => return Ok(None),
            [b'\r', b'\n', ..] if at == 2 * EMPTY_LINES_MAX => return Err(Refused::EmptyLines),
            [b'\r', b'\n', ..] => at += 2,
            [b'\r' | b'\n', ..] => return Err(Refused::LineEnd),
            _ => return Ok(Some(at)),
        }
    }
}

fn incomplete<T>(full: bool) -> Result<Option<T>, Refused> {
    if full {
        Err(Refused::HeadTooLong)
    } else {
        Ok(None)
    }
}

/// 414 as soon as the line cannot end within its limit any more.
fn starved<T>(window: &[u8], limits: &RequestLimits, full: bool) -> Result<Option<T>, Refused> {
    match line_window(window, limits) {
        Some(_) => Err(Refused::UriTooLong),
        None => incomplete(full),
    }
}

/// The longest line that is allowed, with its end, if `window` has as much and no end in it.
fn line_window<'b>(window: &'b [u8], limits: &RequestLimits) -> Option<&'b [u8]> {
    window
        .get(..limits.uri.saturating_add(2))
        .filter(|line| memchr(b'\n', line).is_none())
}

/// What to do when httparse stumbles: mostly refuse. `Ok(Some(at))`: the line is
/// that of a higher minor version and its fields begin at `at`; `Ok(None)`: the
/// version is not all there.
#[cold]
fn refuse_or_read_on(
    error: httparse::Error,
    window: &[u8],
    line: &Parsed<'_>,
    limits: &RequestLimits,
) -> Result<Option<usize>, Refused> {
    // In a line that is too long only what stands within its limit counts.
    let window = match line_window(window, limits) {
        Some(start) if httparse::Request::new(&mut []).parse(start).is_ok() => {
            return Err(Refused::UriTooLong);
        }
        Some(start) => start,
        None => window,
    };
    match (error, window) {
        (httparse::Error::Token, [0x16, ..]) => Err(Refused::Tls),
        (httparse::Error::Token, _) if !line.method.is_empty() => Err(Refused::Target),
        (httparse::Error::Version, _) => {
            let at = line.version_at(window);
            match higher_minor_version(&window[at..])? {
                VersionToken::Incomplete => Ok(None),
                VersionToken::Minor => Ok(Some(at + VERSION_LEN + 2)),
                VersionToken::Major if line.method == "PRI" => Err(Refused::Http2),
                VersionToken::Major => Err(Refused::Version),
            }
        }
        _ => Err(refused(error)),
    }
}

enum VersionToken {
    Incomplete,
    /// 1.2 and on.
    Minor,
    /// Not 1.
    Major,
}

/// `HTTP/` DIGIT `.` DIGIT and the line's end (9112 2.3).
fn higher_minor_version(rest: &[u8]) -> Result<VersionToken, Refused> {
    let shape = b"HTTP/d.d";
    for (byte, expected) in rest.iter().zip(shape) {
        match expected {
            b'd' if byte.is_ascii_digit() => {}
            _ if byte == expected => {}
            _ => return Err(Refused::VersionSyntax),
        }
    }
    match (rest.get(5), rest.get(VERSION_LEN..)) {
        (_, None) => Ok(VersionToken::Incomplete),
        (Some(b'1'), Some([b'\r', b'\n', ..])) => Ok(VersionToken::Minor),
        (Some(b'1'), Some([] | [b'\r'])) => Ok(VersionToken::Incomplete),
        (Some(b'1'), _) => Err(Refused::LineEnd),
        _ => Ok(VersionToken::Major),
    }
}

fn refused(error: httparse::Error) -> Refused {
    match error {
        httparse::Error::HeaderName => Refused::FieldName,
        httparse::Error::HeaderValue => Refused::FieldValue,
        httparse::Error::NewLine => Refused::LineEnd,
        httparse::Error::TooManyHeaders => Refused::TooManyFields,
        httparse::Error::Version => Refused::VersionSyntax,
        httparse::Error::Status | httparse::Error::Token => Refused::RequestLine,
    }
}

/// Most empty lines skipped before a request.
const EMPTY_LINES_MAX: usize = 4;

const VERSION_LEN: usize = "HTTP/1.1".len();
