//! Time as a worker sees it: one monotonic read per wake-up of a session,
//! carried in the shard (a read costs 26 ns).

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::http;

/// A worker's clock. Times are microseconds since the clock was made.
#[derive(Debug)]
pub(crate) struct Clock {
    origin: Instant,
    now_us: Cell<u64>,
    now_ms: Cell<u32>,
    date_second: Cell<u64>,
    date: RefCell<[u8; 29]>,
}

impl Clock {
    pub(super) fn new(origin: Instant) -> Self {
        let clock = Self {
            origin,
            now_us: Cell::new(0),
            now_ms: Cell::new(0),
            date_second: Cell::new(0),
            date: RefCell::new([0; 29]),
        };
        clock.correct();
        clock
    }

    /// Reads the clock.
    #[inline]
    pub(crate) fn read(&self) -> u64 {
        let now = self.origin.elapsed().as_micros() as u64;
        self.now_us.set(now);
        self.now_ms.set((now / 1000) as u32);
        now
    }

    /// The time of the last [`Self::read`].
    #[inline]
    pub(crate) fn now_us(&self) -> u64 {
        self.now_us.get()
    }

    /// The same in milliseconds; wraps after 49 days.
    #[inline]
    pub(crate) fn now_ms(&self) -> u32 {
        self.now_ms.get()
    }

    /// Follows the wall clock and renders the Date line anew; called once a tick.
    pub(crate) fn correct(&self) {
        self.read();
        let wall = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        if self.date_second.replace(wall.as_secs()) != wall.as_secs() {
            http::write_date(wall.as_secs(), &mut self.date.borrow_mut());
        }
    }

    /// Unix seconds, as of the last tick.
    #[inline]
    pub(crate) fn wall_s(&self) -> u64 {
        self.date_second.get()
    }

    /// The Date of this second (RFC 9110 5.6.7).
    #[inline]
    pub(crate) fn date(&self) -> [u8; 29] {
        *self.date.borrow()
    }
}
