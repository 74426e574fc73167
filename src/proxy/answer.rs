//! Answers of our own, whatever the client speaks.

use std::time::Duration;

use super::end::{Cause, During, SessionEnd};
use crate::http::{Canned, Version};

/// An answer of our own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    reason: &'static str,
    retry_after: Duration,
    pub(crate) close: bool,
}

impl Answer {
    /// The connection may stay.
    pub(crate) const fn of(status: u16, reason: &'static str) -> Self {
        Self {
            status,
            reason,
            retry_after: Duration::ZERO,
            close: false,
        }
    }

    /// The connection is closed: what follows on it cannot be trusted or is not wanted.
    pub(crate) const fn closing(status: u16, reason: &'static str) -> Self {
        Self {
            close: true,
            ..Self::of(status, reason)
        }
    }

    /// What the client is told of such an end; `retry_after` is the backend's.
    pub(crate) fn to(end: SessionEnd, status: u16, retry_after: Option<Duration>) -> Self {
        let mut answer = Self::of(status, reason(end));
        answer.close = matches!(end.cause, Cause::Proxy | Cause::ClientTimeout)
            && end.during != During::Headers;
        if status == 503 {
            answer.retry_after = retry_after.unwrap_or(Duration::ZERO);
        }
        answer
    }

    /// Fit to be written.
    pub(crate) fn canned<'a>(
        &self,
        version: Version,
        keep_alive: bool,
        head: bool,
        date: &'a [u8; 29],
    ) -> Canned<'a> {
        Canned {
            status: self.status,
            reason: Some(self.reason),
            retry_after: (!self.retry_after.is_zero()).then_some(self.retry_after.as_secs()),
            keep_alive,
            version,
            head,
            date,
        }
    }
}

/// Sent as X-Rlb-Reason.
fn reason(end: SessionEnd) -> &'static str {
    match (end.cause, end.during) {
        (Cause::Server, During::Connect) => "no server available",
        (Cause::ServerTimeout, During::Connect) => "server connect timeout",
        (Cause::Server, During::Headers) => "server closed without an answer",
        (Cause::Proxy, During::Headers) => "bad answer from the server",
        (Cause::ServerTimeout, _) => "server timeout",
        (Cause::ClientTimeout, _) => "client timeout",
        (Cause::Proxy, _) => "bad request",
        (Cause::Down, _) => "server removed",
        (Cause::Killed, _) => "ended by the operator",
        (Cause::Resource, _) => "out of resources",
        _ => "internal error",
    }
}

/// Of a 413.
pub(crate) const BODY_TOO_LARGE: &str = "request body over the limit";
