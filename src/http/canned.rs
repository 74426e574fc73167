//! Our own answers.

use super::Version;

/// An answer of our own.
pub(crate) struct Canned<'a> {
    pub(crate) status: u16,
    /// Sent as X-Rlb-Reason.
    pub(crate) reason: Option<&'a str>,
    /// Seconds.
    pub(crate) retry_after: Option<u64>,
    pub(crate) keep_alive: bool,
    /// Of the client.
    pub(crate) version: Version,
    /// The request was HEAD: no body.
    pub(crate) head: bool,
    pub(crate) date: &'a [u8; 29],
}

/// Appends the whole answer.
pub(crate) fn write_canned(answer: &Canned<'_>, out: &mut Vec<u8>) {
    let _ = (answer, out);
    unimplemented!()
}

/// IMF-fixdate (9110 5.6.7).
pub(crate) fn write_date(unix_seconds: u64, out: &mut [u8; 29]) {
    let _ = (unix_seconds, out);
    unimplemented!()
}
