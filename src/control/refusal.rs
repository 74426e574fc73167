//! Why something that was asked for is not done.

/// Why a change was not made. The admin socket says it in HAProxy's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// No backend of this name.
    #[error("no such backend")]
    NoSuchBackend,
    /// No server of this name in the backend.
    #[error("no such server")]
    NoSuchServer,
    /// No frontend of this name.
    #[error("no such frontend")]
    NoSuchFrontend,
    /// No session of this index.
    #[error("no such session")]
    NoSuchSession,
    /// The backend has a server of this name.
    #[error("a server of this name exists already")]
    AlreadyExists,
    /// The name holds what a name cannot hold: one sentence.
    #[error("{0}")]
    BadName(String),
    /// No health check is configured for this server.
    #[error("no health check is configured for this server")]
    NoCheck,
    /// Nothing says how the server would be spoken to with TLS.
    #[error("neither the server nor its backend has `tls`, which says how it is spoken")]
    NoTls,
    /// The frontend is enabled, or disabled, already.
    #[error("the frontend is so already")]
    AlreadySo,
    /// The frontend was shut down.
    #[error("the frontend was shut down")]
    ShutDown,
    /// In force, but these workers did not confirm it within a second.
    #[error("in force, but not yet passed by workers {0:?}")]
    Late(Vec<usize>),
    /// Anything else: one sentence.
    #[error("{0}")]
    Other(String),
}
