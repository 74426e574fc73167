//! What tests read of a running engine until the observers show it.

use crate::Engine;
use crate::generation::status;
use crate::state::{Counters, ServerState};

/// Connections that each worker of the engine accepted on a frontend.
pub fn per_worker_connections(engine: &Engine, frontend: &str) -> Vec<u64> {
    let generation = engine.published().generation.load_full();
    let frontends = generation.frontends.iter();
    let counters = frontends
        .filter(|f| &*f.config.name == frontend)
        .flat_map(|f| f.state.counters.iter());
    counters
        .map(|counters| counters.connections.get())
        .collect()
}

/// Client connections now, and pipes.
pub fn connections_and_pipes(engine: &Engine) -> (usize, usize) {
    let published = engine.published();
    let pipes = published.pipes.load(std::sync::atomic::Ordering::Relaxed);
    (published.connections(), pipes)
}

/// Requests that wait for a server of a backend.
///
/// # Panics
/// There is none of this name.
pub fn queued(engine: &Engine, backend: &str) -> usize {
    let generation = engine.published().generation.load_full();
    let backend = generation.backend(backend);
    backend
        .expect("a test names what it wrote")
        .state
        .queue
        .len()
}

/// A server at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Server {
    /// `UP 1/2`, `DOWN`, `no check`.
    pub status: String,
    /// `L7STS/500`; empty before the first check.
    pub check: String,
    /// Sessions or requests under way, and ever.
    pub current: u64,
    /// Those of them that hold a place, where it has a limit.
    pub places: u32,
    /// See `current`.
    pub sessions: u64,
    /// New connections.
    pub connects: u64,
    /// Connects that failed for good.
    pub connect_errors: u64,
    /// Tries repeated.
    pub retries: u64,
    /// Tries sent to another server.
    pub redispatches: u64,
    /// From and to clients.
    pub bytes: (u64, u64),
    /// Ended by the client and by the server.
    pub aborts: (u64, u64),
}

/// A server of the generation in force.
///
/// # Panics
/// There is none of these names.
pub fn server(engine: &Engine, backend: &str, server: &str) -> Server {
    let generation = engine.published().generation.load_full();
    let server = generation
        .backend(backend)
        .and_then(|backend| backend.server(server))
        .expect("a test names what it wrote");
    let state: &ServerState = &server.state;
    let sum = |read: fn(&Counters) -> u64| state.counters.sum(read);
    let check = state.last_check().map(|check| match check.status {
        0 => check.code.name().to_owned(),
        status => format!("{}/{status}", check.code.name()),
    });
    Server {
        status: status(server),
        check: check.unwrap_or_default(),
        current: sum(|c| c.current.get()),
        places: state.slots.taken(),
        sessions: sum(|c| c.sessions.get()),
        connects: sum(|c| c.connects.get()),
        connect_errors: sum(|c| c.connect_errors.get()),
        retries: sum(|c| c.retries.get()),
        redispatches: sum(|c| c.redispatches.get()),
        bytes: (sum(|c| c.bytes_in.get()), sum(|c| c.bytes_out.get())),
        aborts: (
            sum(|c| c.client_aborts.get()),
            sum(|c| c.server_aborts.get()),
        ),
    }
}
