//! A bounded number of places, and how to wait for one.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use tokio::sync::Notify;

/// Places for connections. Workers write, once per connection.
#[derive(Debug, Default)]
pub(crate) struct Places {
    taken: AtomicUsize,
    /// Those in [`Self::room`]. Read by whoever leaves, so that leaving costs no more
    /// than this line of the cache while nobody waits.
    waiting: AtomicUsize,
    freed: Notify,
}

impl Places {
    /// Takes a place among at most `limit`; how many are taken now, `None` = full.
    pub(crate) fn enter(&self, limit: usize) -> Option<usize> {
        // Not add-and-take-back: that would hide a place from another for a moment,
        // and he would wait for one that is free.
        let before = self
            .taken
            .fetch_update(SeqCst, SeqCst, |taken| (taken < limit).then_some(taken + 1));
        before.ok().map(|before| before + 1)
    }

    /// Gives a place back.
    pub(crate) fn leave(&self) {
        self.taken.fetch_sub(1, SeqCst);
        // After the subtraction in the one order of all: either we see who waits,
        // or he sees the place.
        if self.waiting.load(SeqCst) > 0 {
            self.freed.notify_one();
        }
    }

    /// Resolves when a place may be free. One waiter is woken per place; whoever
    /// does not take it must [`Self::leave`] one, which wakes the next.
    pub(crate) async fn room(&self, limit: usize) {
        let _waiting = Waiting::on(&self.waiting);
        if self.taken.load(SeqCst) < limit {
            return;
        }
        // A limit that was raised frees places without a word.
        let _ = tokio::time::timeout(LOOK, self.freed.notified()).await;
    }

    /// Places taken now.
    pub(crate) fn taken(&self) -> usize {
        self.taken.load(SeqCst)
    }
}

/// Longest wait before the limit is looked at again.
const LOOK: Duration = Duration::from_millis(100);

struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn on(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, SeqCst);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_the_limit() {
        let places = Places::default();
        assert_eq!((places.enter(2), places.enter(2)), (Some(1), Some(2)));
        assert_eq!(places.enter(2), None);
        places.leave();
        assert_eq!(places.enter(2), Some(2));
        assert_eq!(places.taken(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_that_is_left_wakes_one_who_waits() {
        let places = Places::default();
        places.enter(1).unwrap();
        let before = tokio::time::Instant::now();
        tokio::join!(places.room(1), async { places.leave() });
        assert_eq!(before.elapsed(), Duration::ZERO);
        assert_eq!(places.enter(1), Some(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_raised_limit_is_seen() {
        let places = Places::default();
        places.enter(1).unwrap();
        let before = tokio::time::Instant::now();
        places.room(1).await;
        assert_eq!(before.elapsed(), LOOK);
        assert_eq!(places.enter(2), Some(2));
    }
}
