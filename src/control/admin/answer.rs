//! What a command answers.

use std::borrow::Cow;

/// Answer to one command, without the wire's decoration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    /// Done, nothing to say.
    Silent,
    /// A sentence; clients that asked for it get its severity in front.
    Message(Severity, Cow<'static, str>),
    /// Data; never prefixed.
    Dump(String),
}

impl Reply {
    /// A refusal. Clients take every message up to [`Severity::Error`] for one.
    pub(crate) fn refused(sentence: impl Into<Cow<'static, str>>) -> Self {
        Self::Message(Severity::Error, sentence.into())
    }

    /// Worth knowing: something else than asked, or something changed.
    pub(crate) fn warning(sentence: impl Into<Cow<'static, str>>) -> Self {
        Self::Message(Severity::Warning, sentence.into())
    }

    /// Nothing had to be done.
    pub(crate) fn notice(sentence: impl Into<Cow<'static, str>>) -> Self {
        Self::Message(Severity::Notice, sentence.into())
    }

    /// Done, and said so.
    pub(crate) fn info(sentence: impl Into<Cow<'static, str>>) -> Self {
        Self::Message(Severity::Info, sentence.into())
    }
}

/// How much a message matters, with syslog's numbers; only those that HAProxy's
/// replies use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    /// Refused.
    Error = 3,
    /// Done, and worth a look.
    Warning = 4,
    /// Nothing had to be done.
    Notice = 5,
    /// Done.
    Info = 6,
}

impl Severity {
    /// As `set severity-output string` shows it.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Error => "err",
            Self::Warning => "warning",
            Self::Notice => "notice",
            Self::Info => "info",
        }
    }
}
