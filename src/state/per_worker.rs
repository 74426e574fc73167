//! One slot per worker, made when the worker first needs it.

use std::sync::{Arc, OnceLock};

use crossbeam_utils::CachePadded;

use super::WorkerId;

/// A value per worker, each on cache lines of its own. The worker is the only
/// writer of its slot; anybody may read and sum.
#[derive(Debug)]
pub(crate) struct PerWorker<T> {
    slots: Box<[OnceLock<Arc<CachePadded<T>>>]>,
}

impl<T: Default> PerWorker<T> {
    /// Slots for `workers` workers and one for the control thread.
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            slots: (0..=workers).map(|_| OnceLock::new()).collect(),
        }
    }

    /// The slot of `worker`, to be kept by it. A worker outside the range gets the last one.
    pub(crate) fn slot(&self, worker: WorkerId) -> Arc<CachePadded<T>> {
        let index = worker.0.min(self.slots.len() - 1);
        Arc::clone(self.slots[index].get_or_init(Default::default))
    }

    /// Every slot in the order of the workers, control's last; `None` = not made yet.
    pub(crate) fn slots(&self) -> impl Iterator<Item = Option<&T>> {
        self.slots
            .iter()
            .map(|slot| slot.get().map(|slot| &***slot))
    }

    /// The slots made so far.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.slots
            .iter()
            .filter_map(|slot| slot.get().map(|slot| &***slot))
    }

    /// Sum of one number over all workers.
    pub(crate) fn sum(&self, read: impl Fn(&T) -> u64) -> u64 {
        self.iter().map(read).fold(0, u64::wrapping_add)
    }
}
