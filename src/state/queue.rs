//! Those who wait for a server of a backend, in the order in which they came.
//!
//! Only the first in line looks for a server; when it has one, or gives up, it wakes the
//! next. Whatever may bring a place wakes the first: a place that is given back, and
//! control after each change. So a place is never on its way to somebody who has left,
//! and nobody overtakes. Waiters sit on any worker; waiting is the slow way, hence a lock.

use std::collections::BTreeMap;
use std::sync::Arc;
#[expect(
    clippy::disallowed_types,
    reason = "held for a map's step, by those who wait and those who wake them"
)]
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{MutexGuard, PoisonError};
use std::task::Waker;

/// A line of waiters.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// How many stand in line. Written under the lock; read by who gives a place back,
    /// who pays no more than this while nobody waits.
    waiting: AtomicUsize,
    #[expect(clippy::disallowed_types, reason = "as above")]
    line: Mutex<Line>,
}

#[derive(Debug, Default)]
struct Line {
    /// The next ticket.
    next: u64,
    /// How many got what they waited for.
    served: u64,
    /// By ticket; `None` = did not look yet.
    wakers: BTreeMap<u64, Option<Waker>>,
    /// Most at once since that was asked for.
    peak: usize,
}

impl Queue {
    /// Whether anybody waits: who comes now stands behind them.
    #[inline]
    pub(crate) fn is_awaited(&self) -> bool {
        self.waiting.load(SeqCst) > 0
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.load(SeqCst)
    }

    /// The most that waited at once since the last call. Control only.
    pub(crate) fn take_peak(&self) -> usize {
        let mut line = self.lock();
        let now = line.wakers.len();
        std::mem::replace(&mut line.peak, now)
    }

    /// Stands in line; `None` = `most` do already.
    pub(crate) fn join(self: &Arc<Self>, most: usize) -> Option<Waiting> {
        let mut line = self.lock();
        let ahead = line.wakers.len();
        if ahead >= most {
            return None;
        }
        let ticket = line.next;
        line.next += 1;
        line.wakers.insert(ticket, None);
        line.peak = line.peak.max(ahead + 1);
        let before = line.served;
        self.waiting.store(ahead + 1, SeqCst);
        Some(Waiting {
            queue: Arc::clone(self),
            ticket,
            before,
        })
    }

    /// There may be a place: the first in line is to look.
    #[inline]
    pub(crate) fn wake(&self) {
        if self.is_awaited() {
            self.wake_first();
        }
    }

    #[cold]
    fn wake_first(&self) {
        let waker = self.lock().first();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        // Nothing under the lock can leave it half done.
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    fn first(&self) -> Option<Waker> {
        let (_, waker) = self.wakers.first_key_value()?;
        waker.clone()
    }
}

/// A place in line; leaves it when dropped.
#[derive(Debug)]
pub(crate) struct Waiting {
    queue: Arc<Queue>,
    ticket: u64,
    /// How many had been served when it came.
    before: u64,
}

impl Waiting {
    /// Whether it is our turn to look for a server; `waker` is woken when that is worth it.
    pub(crate) fn is_first(&self, waker: &Waker) -> bool {
        let mut line = self.queue.lock();
        if let Some(known) = line.wakers.get_mut(&self.ticket) {
            match known {
                Some(known) => known.clone_from(waker),
                None => *known = Some(waker.clone()),
            }
        }
        line.wakers.first_key_value().map(|(ticket, _)| *ticket) == Some(self.ticket)
    }

    /// As HAProxy counts it for the log: one, and those who were served while it waited.
    pub(crate) fn position(&self) -> u64 {
        self.queue.lock().served - self.before + 1
    }

    /// Leaves the line with what it waited for.
    pub(crate) fn served(self) {
        self.queue.lock().served += 1;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut line = self.queue.lock();
        let was_first = line.wakers.first_key_value().map(|(ticket, _)| *ticket);
        line.wakers.remove(&self.ticket);
        self.queue.waiting.store(line.wakers.len(), SeqCst);
        // It may have been woken and not have looked: the next one looks instead.
        let next = (was_first == Some(self.ticket)).then(|| line.first());
        drop(line);
        if let Some(next) = next.flatten() {
            next.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::atomic::AtomicU64;
    use std::task::{Context, Poll, Wake};
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::state::{Entry, Slots};

    #[derive(Default)]
    struct Woken(AtomicU64);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    impl Woken {
        fn take(&self) -> u64 {
            self.0.swap(0, SeqCst)
        }
    }

    #[test]
    fn the_first_is_woken_and_wakes_the_next_when_it_leaves() {
        let queue = Arc::new(Queue::default());
        let [a, b, c] = [(); 3].map(|()| Arc::new(Woken::default()));
        let [first, second, third] = [(); 3].map(|()| queue.join(3).unwrap());
        assert!(queue.join(3).is_none(), "as many as may wait");
        assert!(first.is_first(&Arc::clone(&a).into()));
        assert!(!second.is_first(&Arc::clone(&b).into()));
        assert!(!third.is_first(&Arc::clone(&c).into()));
        queue.wake();
        assert_eq!([&a, &b, &c].map(|w| w.take()), [1, 0, 0]);
        drop(second);
        assert_eq!([&a, &b, &c].map(|w| w.take()), [0; 3], "not its turn");
        drop(first);
        assert_eq!([&a, &b, &c].map(|w| w.take()), [0, 0, 1]);
        assert!(third.is_first(Waker::noop()));
        assert_eq!((queue.len(), third.position()), (1, 1), "nobody was served");
        let fourth = queue.join(3).unwrap();
        third.served();
        assert_eq!(fourth.position(), 2);
        assert_eq!((queue.take_peak(), queue.take_peak()), (3, 1));
        drop(fourth);
        assert!(!queue.is_awaited());
        queue.wake();
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        /// Whatever comes, gives up or is served: who is served is who has waited longest.
        #[test]
        fn the_line_is_that_of_arrival(steps in prop::collection::vec(0..=3_u8, 1..200)) {
            let queue = Arc::new(Queue::default());
            let mut line: Vec<Waiting> = Vec::new();
            let mut pick = 0_usize;
            for step in steps {
                pick = pick.wrapping_mul(31).wrapping_add(usize::from(step) + 7);
                match step {
                    0 | 1 => line.extend(queue.join(50)),
                    2 if !line.is_empty() => drop(line.remove(0)),
                    3 if !line.is_empty() => drop(line.remove(pick % line.len())),
                    _ => {}
                }
                prop_assert_eq!(queue.len(), line.len());
                let firsts: Vec<bool> = line.iter().map(|w| w.is_first(Waker::noop())).collect();
                let expected: Vec<bool> = (0..line.len()).map(|index| index == 0).collect();
                prop_assert_eq!(firsts, expected);
            }
        }
    }

    /// One who wants a place, on a thread of its own.
    struct Wanting<'a> {
        queue: &'a Arc<Queue>,
        slots: &'a Slots,
        waiting: Option<Waiting>,
    }

    impl Wanting<'_> {
        fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
            let Some(waiting) = &self.waiting else {
                if !self.queue.is_awaited() && self.slots.enter().is_some() {
                    return Poll::Ready(());
                }
                self.waiting = self.queue.join(usize::MAX);
                return self.poll(cx);
            };
            if waiting.is_first(cx.waker()) && self.slots.enter() == Some(Entry::Counted) {
                self.waiting = None;
                return Poll::Ready(());
            }
            Poll::Pending
        }
    }

    const TURNS: usize = 4000;

    /// Takes and gives back places; every seventh time without any patience.
    fn visit(queue: &Arc<Queue>, slots: &Slots, limit: u32, seed: usize) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().build().unwrap();
        for turn in 0..TURNS {
            let mut wanting = Wanting {
                queue,
                slots,
                waiting: None,
            };
            let is_patient = !(turn + seed).is_multiple_of(7);
            let patience = match is_patient {
                true => Duration::from_secs(30),
                false => Duration::ZERO,
            };
            let place = poll_fn(|cx| wanting.poll(cx));
            let found = runtime.block_on(async { tokio::time::timeout(patience, place).await });
            if found.is_err() {
                assert!(!is_patient, "a place that is free was not found");
                continue;
            }
            assert!(slots.taken() <= limit);
            if turn % 3 == 0 {
                std::thread::yield_now();
            }
            slots.leave();
            queue.wake();
        }
    }

    /// At any time no more than the limit, and nobody is left waiting for ever.
    #[test]
    fn no_wake_up_is_lost_between_threads() {
        for limit in [1, 3] {
            let (queue, slots) = (Arc::new(Queue::default()), Slots::default());
            slots.set_limit(limit);
            std::thread::scope(|scope| {
                for seed in 0..4 {
                    let (queue, slots) = (&queue, &slots);
                    scope.spawn(move || visit(queue, slots, limit, seed));
                }
            });
            assert_eq!((slots.taken(), queue.len()), (0, 0));
        }
    }
}
