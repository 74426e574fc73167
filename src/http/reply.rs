//! The response head as sent to the client.

use super::{ResponseFraming, ResponseHead, Version};

/// What decides the head sent to the client beside the server's own.
pub(crate) struct Reply<'a> {
    /// Of the client.
    pub(crate) version: Version,
    /// The client's connection stays; must be false with [`ResponseFraming::UntilClose`].
    pub(crate) keep_alive: bool,
    /// As sent, from [`reply_framing`].
    pub(crate) framing: ResponseFraming,
    /// For a response that has no Date (9110 6.6.1).
    pub(crate) date: &'a [u8; 29],
    /// Pseudonym for Via.
    pub(crate) via: Option<&'a str>,
}

/// How the body goes out to a client of this version (9112 6.1, 6.3).
pub(crate) fn reply_framing(head: &ResponseHead<'_, '_>, client: Version) -> ResponseFraming {
    let _ = (head, client);
    unimplemented!()
}

/// Upper bound of what [`write_response`] appends.
pub(crate) fn response_bound(head: &ResponseHead<'_, '_>, reply: &Reply<'_>) -> usize {
    let _ = (head, reply);
    unimplemented!()
}

/// Appends the head as sent to the client. A 1xx head gets no framing, no
/// Connection and no Date; 101 gets Connection and Upgrade.
pub(crate) fn write_response(head: &ResponseHead<'_, '_>, reply: &Reply<'_>, out: &mut Vec<u8>) {
    let _ = (head, reply, out);
    unimplemented!()
}
