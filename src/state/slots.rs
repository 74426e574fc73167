//! How much a server has to do at once, where that has a limit.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed, Ordering::SeqCst};

/// Requests (in TCP mode: sessions) a server has, against the most it may have. Only
/// servers with a limit count here: the others must not pay for an atomic that every
/// worker writes.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    /// Control writes, workers read: relaxed, since control wakes who waits after a change.
    limit: AtomicU32,
    /// All workers write, twice per request.
    taken: AtomicU32,
}

/// A place at a server: given back with [`Slots::leave`] if it is a counted one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    /// The server has no limit.
    Free,
    /// One of its places.
    Counted,
}

impl Slots {
    /// The most at once; 0 = no limit.
    pub(crate) fn limit(&self) -> u32 {
        self.limit.load(Relaxed)
    }

    /// Sets that; who is there stays, also above it. Control only.
    pub(crate) fn set_limit(&self, limit: u32) {
        self.limit.store(limit, Relaxed);
    }

    /// Whether [`Self::enter`] is worth a try.
    #[inline]
    pub(crate) fn has_room(&self) -> bool {
        let limit = self.limit();
        limit == 0 || self.taken.load(SeqCst) < limit
    }

    /// Takes a place; `None` = there is none.
    #[inline]
    pub(crate) fn enter(&self) -> Option<Entry> {
        let limit = self.limit();
        if limit == 0 {
            return Some(Entry::Free);
        }
        // Not add-and-take-back: that would hide a place from another for a moment,
        // and that one would wait for one that is free.
        let entered = self
            .taken
            .fetch_update(SeqCst, SeqCst, |taken| (taken < limit).then_some(taken + 1));
        entered.is_ok().then_some(Entry::Counted)
    }

    /// Gives a counted place back. Who waits is to be woken then: in the one order of all
    /// (`SeqCst`) either we see who waits, or that one sees the place.
    #[inline]
    pub(crate) fn leave(&self) {
        self.taken.fetch_sub(1, SeqCst);
    }

    /// Places that are free.
    pub(crate) fn room(&self) -> u32 {
        match self.limit() {
            0 => u32::MAX,
            limit => limit.saturating_sub(self.taken.load(SeqCst)),
        }
    }

    /// Places taken now.
    pub(crate) fn taken(&self) -> u32 {
        self.taken.load(SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_the_limit_and_without_one_nobody_is_counted() {
        let slots = Slots::default();
        assert_eq!((slots.enter(), slots.taken()), (Some(Entry::Free), 0));
        slots.set_limit(2);
        assert_eq!(slots.enter(), Some(Entry::Counted));
        assert_eq!(slots.enter(), Some(Entry::Counted));
        assert!(!slots.has_room());
        assert_eq!(slots.enter(), None);
        slots.set_limit(1);
        slots.leave();
        assert_eq!(slots.enter(), None, "one is there, and one may be");
        slots.leave();
        assert_eq!(slots.enter(), Some(Entry::Counted));
        slots.set_limit(0);
        assert_eq!(slots.enter(), Some(Entry::Free));
        slots.leave();
        assert_eq!(slots.taken(), 0);
    }
}
