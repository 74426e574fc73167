//! Where a provider puts what it found, or why it found nothing.

use std::cell::RefCell;
use std::rc::Rc;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::{Found, Source};

/// A provider's end of its source. Level-triggered: only the last answer counts.
#[derive(Debug, Clone)]
pub(crate) struct Outlet {
    source: Rc<RefCell<Source>>,
    /// Somebody waits for changes.
    news: Rc<Notify>,
}

/// Why a provider could not look. What it said last stays as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Failure {
    /// For the counters.
    pub(crate) kind: FailureKind,
    /// One sentence for people, without secrets.
    pub(crate) message: String,
}

/// Kinds of failures, as the metric's label has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum FailureKind {
    /// Nobody listens there, or the way is blocked.
    Connect,
    /// We may not: EACCES on a socket, 401, 403.
    Denied,
    /// No answer in time.
    Timeout,
    /// The connection ended too early.
    Eof,
    /// 4xx or another status nobody expected.
    Status,
    /// 5xx.
    ServerError,
    /// Not what it should be: bad JSON, a bad head.
    Malformed,
    /// Larger than we take.
    TooLarge,
    /// The peer's certificate, or ours.
    Tls,
    /// The name of the source does not resolve.
    Name,
    /// Ours: a file that cannot be read, a limit of the configuration.
    Local,
}

impl Outlet {
    pub(super) fn new(source: Rc<RefCell<Source>>, news: Rc<Notify>) -> Self {
        Self { source, news }
    }

    /// This is all there is now; also to be called when nothing changed: it is a
    /// sign of life.
    pub(crate) fn found(&self, found: Found) {
        self.source.borrow_mut().found(found, Instant::now());
        self.news.notify_one();
    }

    /// All that is known now while a part of the source is lost: what that part
    /// said last is in `found`. The source stays lost.
    pub(crate) fn found_partly(&self, found: Found) {
        self.source.borrow_mut().found_partly(found, Instant::now());
        self.news.notify_one();
    }

    /// A sign of life without a new answer: what was found last still holds.
    pub(crate) fn still(&self) {
        self.source.borrow_mut().still(Instant::now());
        self.news.notify_one();
    }

    /// It could not be looked. Says nothing about members.
    pub(crate) fn failed(&self, failure: Failure) {
        self.source.borrow_mut().failed(failure, Instant::now());
        self.news.notify_one();
    }
}

impl Failure {
    /// One of a kind.
    pub(crate) fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }
}

impl FailureKind {
    /// The label.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Denied => "denied",
            Self::Timeout => "timeout",
            Self::Eof => "eof",
            Self::Status => "status",
            Self::ServerError => "5xx",
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::Tls => "tls",
            Self::Name => "name",
            Self::Local => "local",
        }
    }
}
