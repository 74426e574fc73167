//! Response heads.

use httparse::Header;

use super::{BadResponse, FieldKind, ResponseFraming, Slots, Version};
use crate::config::ResponseLimits;

/// A response head, checked; everything borrows from the buffer it was read into.
pub(crate) struct ResponseHead<'h, 'b> {
    pub(crate) version: Version,
    /// 100 to 599.
    pub(crate) status: u16,
    pub(crate) reason: &'b [u8],
    pub(crate) fields: &'h [Header<'b>],
    /// One per field.
    pub(crate) kinds: &'h [FieldKind],
    pub(crate) framing: ResponseFraming,
    /// The server's side persists after this response (9112 9.3).
    pub(crate) keep_alive: bool,
    /// Bytes of the head in the buffer.
    pub(crate) len: usize,
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
    protocols: [u32; 4],
}

/// Reads one response head (also of 1xx). `Ok(None)`: incomplete so far. At
/// `limits.head` bytes without an end this is an error.
pub(crate) fn parse_response<'h, 'b>(
    buf: &'b [u8],
    limits: &ResponseLimits,
    asked: Asked,
    slots: &'h mut Slots<'b>,
) -> Result<Option<ResponseHead<'h, 'b>>, BadResponse> {
    let _ = (buf, limits, asked, slots);
    unimplemented!()
}
