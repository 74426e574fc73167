//! What a backend keeps over generations.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_utils::CachePadded;

use super::{BackendId, Counters, PerWorker, Queue};

/// Shared by all generations of one backend.
#[derive(Debug)]
pub(crate) struct BackendState {
    /// Who it is.
    pub(crate) id: BackendId,
    /// Exchanges that reached no server, and (control's slot) the totals of servers that left.
    pub(crate) counters: PerWorker<Counters>,
    /// Who waits for one of its servers, where they have limits.
    pub(crate) queue: Arc<Queue>,
    /// Tickets of the schedule.
    cursor: Cursor,
}

/// Tickets of one schedule, each given out once. Every worker writes; only
/// uniqueness matters, so relaxed.
#[derive(Debug, Default)]
pub(crate) struct Cursor(CachePadded<AtomicU64>);

impl Cursor {
    /// The next ticket.
    #[inline]
    pub(crate) fn ticket(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

impl BackendState {
    /// A new backend, as seen by `workers` workers.
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            id: BackendId::next(),
            counters: PerWorker::new(workers),
            queue: Arc::default(),
            cursor: Cursor::default(),
        }
    }

    /// The next ticket of the schedule.
    #[inline]
    pub(crate) fn ticket(&self) -> u64 {
        self.cursor.ticket()
    }
}
