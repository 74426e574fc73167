//! Answers of our own, whatever the client speaks.

use std::time::Duration;

use super::end::{Cause, During, SessionEnd};
use crate::config::RedirectHttps;
use crate::generation::without_port;
use crate::http::{Canned, RequestHead, Version};

/// An answer of our own.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    reason: &'static str,
    retry_after: Duration,
    /// Where the client is sent.
    location: Option<Box<[u8]>>,
    pub(crate) close: bool,
}

impl Answer {
    /// The connection may stay.
    pub(crate) const fn of(status: u16, reason: &'static str) -> Self {
        Self {
            status,
            reason,
            retry_after: Duration::ZERO,
            location: None,
            close: false,
        }
    }

    /// Of a frontend that is asked how it is.
    pub(crate) const fn monitor(is_well: bool) -> Self {
        match is_well {
            true => Self::of(200, "ready"),
            false => Self::of(503, "not ready"),
        }
    }

    /// How an exchange ends that it answers whole: refused, or served here.
    pub(crate) const fn end(&self) -> SessionEnd {
        match self.status {
            400.. => SessionEnd::new(Cause::Proxy, During::Request),
            _ => SessionEnd::new(Cause::Local, During::Request),
        }
    }

    /// The connection is closed: what follows on it cannot be trusted or is not wanted.
    pub(crate) const fn closing(status: u16, reason: &'static str) -> Self {
        Self {
            status,
            reason,
            retry_after: Duration::ZERO,
            location: None,
            close: true,
        }
    }

    /// Sends the client from http to https, to the host it asked for.
    pub(crate) fn to_https(head: &RequestHead<'_, '_>, to: RedirectHttps) -> Self {
        if head.host.is_empty() {
            return Self::of(400, "no Host to be sent to https on");
        }
        let port = match to.port {
            443 => String::new(),
            port => format!(":{port}"),
        };
        // `*` and the authority of a CONNECT are no paths.
        let target = match head.target.starts_with(b"/") {
            true => head.target,
            false => b"/",
        };
        let parts = [
            b"https://",
            without_port(head.host),
            port.as_bytes(),
            target,
        ];
        Self {
            location: Some(parts.concat().into_boxed_slice()),
            ..Self::of(to.code, "https only")
        }
    }

    /// Bytes that the Location takes beyond what any answer does.
    pub(crate) fn location_len(&self) -> usize {
        self.location.as_ref().map_or(0, |location| location.len())
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
        &'a self,
        version: Version,
        keep_alive: bool,
        head: bool,
        date: &'a [u8; 29],
    ) -> Canned<'a> {
        Canned {
            status: self.status,
            reason: Some(self.reason),
            location: self.location.as_deref(),
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
        (Cause::ServerTimeout, During::Queue) => "no server had time for it in time",
        (Cause::Server, During::Queue) => "too many requests wait for a server",
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
