//! Request heads.

use httparse::Header;

use super::{Asked, FieldKind, Framing, Refused, Slots, Version};
use crate::config::RequestLimits;

/// A request head, checked; everything borrows from the buffer it was read into.
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
    pub(crate) fields: &'h [Header<'b>],
    /// One per field.
    pub(crate) kinds: &'h [FieldKind],
    pub(crate) framing: Framing,
    /// The client wants persistence (9112 9.3).
    pub(crate) keep_alive: bool,
    /// The client may wait for a 100 before it sends the body (9110 10.1.1).
    pub(crate) expect_continue: bool,
    /// Value of Upgrade when it may be passed on: Connection lists it, HTTP/1.1, no body, no h2c.
    pub(crate) upgrade: Option<&'b [u8]>,
    /// Max-Forwards of an OPTIONS request: at 0 it is answered here (9110 7.6.2).
    pub(crate) max_forwards: Option<u64>,
    /// Bytes of the head in the buffer, empty lines before it included.
    pub(crate) len: usize,
}

impl RequestHead<'_, '_> {
    /// What the response is to be read against.
    pub(crate) fn asked(&self) -> Asked {
        unimplemented!()
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
/// of that size is never too small.
pub(crate) fn parse_request<'h, 'b>(
    buf: &'b [u8],
    limits: &RequestLimits,
    slots: &'h mut Slots<'b>,
) -> Result<Option<RequestHead<'h, 'b>>, Refused> {
    let _ = (buf, limits, slots);
    unimplemented!()
}

/// Whether the bytes from `already` on could have completed a head, so that one
/// that comes byte by byte is not parsed for each byte. Also true now and then
/// (each 4 KiB), so that errors and limits are seen before the end.
pub(crate) fn may_complete(buf: &[u8], already: usize) -> bool {
    let _ = (buf, already);
    true
}
