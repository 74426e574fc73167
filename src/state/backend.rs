//! What a backend keeps over generations.

use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_utils::CachePadded;

use super::{BackendId, Counters, PerWorker};

/// Shared by all generations of one backend.
#[derive(Debug)]
pub(crate) struct BackendState {
    /// Who it is.
    pub(crate) id: BackendId,
    /// Exchanges that reached no server, and (control's slot) the totals of servers that left.
    pub(crate) counters: PerWorker<Counters>,
    /// Tickets of the schedule. Every worker writes; only uniqueness matters, so relaxed.
    cursor: CachePadded<AtomicU64>,
}

impl BackendState {
    /// A new backend, as seen by `workers` workers.
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            id: BackendId::next(),
            counters: PerWorker::new(workers),
            cursor: CachePadded::new(AtomicU64::new(0)),
        }
    }

    /// The next ticket of the schedule.
    #[inline]
    pub(crate) fn ticket(&self) -> u64 {
        self.cursor.fetch_add(1, Ordering::Relaxed)
    }
}
