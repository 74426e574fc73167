//! What a frontend keeps over generations.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crossbeam_utils::CachePadded;

use super::{FrontendCounters, FrontendId, PerWorker};

/// Shared by all generations of one frontend.
#[derive(Debug)]
pub(crate) struct FrontendState {
    /// Who it is.
    pub(crate) id: FrontendId,
    /// Per worker.
    pub(crate) counters: PerWorker<FrontendCounters>,
    /// Connections now. Every worker writes, once per connection and not per request.
    connections: CachePadded<AtomicUsize>,
    /// Most connections at once. Workers raise it, control takes it.
    connections_max: AtomicUsize,
    /// The frontend left the configuration (control writes, workers read).
    gone: AtomicBool,
}

impl FrontendState {
    /// A new frontend, as seen by `workers` workers.
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            id: FrontendId::next(),
            counters: PerWorker::new(workers),
            connections: CachePadded::new(AtomicUsize::new(0)),
            connections_max: AtomicUsize::new(0),
            gone: AtomicBool::new(false),
        }
    }

    /// Takes a place among at most `limit` connections; false = full.
    pub(crate) fn enter(&self, limit: Option<usize>) -> bool {
        let now = self.connections.fetch_add(1, Ordering::Relaxed) + 1;
        if limit.is_some_and(|limit| now > limit) {
            self.leave();
            return false;
        }
        self.connections_max.fetch_max(now, Ordering::Relaxed);
        true
    }

    /// Gives a place back.
    pub(crate) fn leave(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }

    /// Connections now.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Most connections at once since the last call; 0 if none came. Control only.
    pub(crate) fn take_connections_max(&self) -> usize {
        self.connections_max.swap(0, Ordering::Relaxed)
    }

    /// Marks that no generation holds this frontend any more.
    pub(crate) fn retire(&self) {
        self.gone.store(true, Ordering::Relaxed);
    }

    /// Whether the frontend left the configuration.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }
}
