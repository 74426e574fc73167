//! What a frontend keeps over generations.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crossbeam_utils::CachePadded;

use super::{FrontendCounters, FrontendId, PerWorker, Places};

/// Shared by all generations of one frontend.
#[derive(Debug)]
pub(crate) struct FrontendState {
    /// Who it is.
    pub(crate) id: FrontendId,
    /// Per worker.
    pub(crate) counters: PerWorker<FrontendCounters>,
    /// Connections now. Every worker writes, once per connection and not per request.
    places: CachePadded<Places>,
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
            places: CachePadded::default(),
            connections_max: AtomicUsize::new(0),
            gone: AtomicBool::new(false),
        }
    }

    /// Takes a place among at most `limit` connections; false = full.
    pub(crate) fn enter(&self, limit: Option<usize>) -> bool {
        let Some(now) = self.places.enter(limit.unwrap_or(usize::MAX)) else {
            return false;
        };
        self.connections_max.fetch_max(now, Ordering::Relaxed);
        true
    }

    /// Gives a place back.
    pub(crate) fn leave(&self) {
        self.places.leave();
    }

    /// Resolves when [`Self::enter`] is worth another try.
    pub(crate) async fn room(&self, limit: Option<usize>) {
        self.places.room(limit.unwrap_or(usize::MAX)).await;
    }

    /// Connections now.
    pub(crate) fn connections(&self) -> usize {
        self.places.taken()
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
