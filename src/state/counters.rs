//! Counters with one writer each: a relaxed load and store, no locked instruction.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A number that only rises. Written by the worker that owns the slot.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`; only the owner of the slot may call this.
    #[inline]
    pub(crate) fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// The value now.
    #[inline]
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A number that rises and falls, and the most it was. Written by the worker
/// that owns the slot; control only takes the peak.
#[derive(Debug, Default)]
pub(crate) struct Gauge {
    now: AtomicU64,
    peak: AtomicU64,
}

impl Gauge {
    /// One more.
    #[inline]
    pub(crate) fn up(&self) {
        let now = self.now.load(Relaxed).wrapping_add(1);
        self.now.store(now, Relaxed);
        if now > self.peak.load(Relaxed) {
            self.peak.store(now, Relaxed);
        }
    }

    /// One less.
    #[inline]
    pub(crate) fn down(&self) {
        self.now
            .store(self.now.load(Relaxed).wrapping_sub(1), Relaxed);
    }

    /// The value now.
    #[inline]
    pub(crate) fn get(&self) -> u64 {
        self.now.load(Relaxed)
    }

    /// The most it was since the last call; 0 if it did not rise. Control only.
    /// A rise in the same instant may be missed: a peak may then be shown too
    /// low by one, never a count.
    pub(crate) fn take_peak(&self) -> u64 {
        self.peak.swap(0, Relaxed)
    }
}

/// Average over about the last 1,024 samples and the maximum, in microseconds
/// (HAProxy's swrate: the window's sum loses its mean with each new sample).
#[derive(Debug, Default)]
pub(crate) struct Average {
    sum: AtomicU64,
    samples: AtomicU64,
    max: AtomicU64,
}

impl Average {
    const WINDOW: u64 = 1024;

    /// Takes one sample; only the owner of the slot may call this.
    #[inline]
    pub(crate) fn add(&self, micros: u64) {
        let samples = self.samples.load(Relaxed);
        let sum = self.sum.load(Relaxed);
        if samples < Self::WINDOW {
            self.samples.store(samples + 1, Relaxed);
            self.sum.store(sum + micros, Relaxed);
        } else {
            self.sum
                .store(sum - sum.div_ceil(Self::WINDOW) + micros, Relaxed);
        }
        if micros > self.max.load(Relaxed) {
            self.max.store(micros, Relaxed);
        }
    }

    /// Sum of the window and how many samples it holds: averages of several
    /// workers are joined by weight.
    pub(crate) fn window(&self) -> (u64, u64) {
        (self.sum.load(Relaxed), self.samples.load(Relaxed))
    }

    /// Largest sample since the last call. Control only; as with
    /// [`Gauge::take_peak`], one of the same instant may be missed.
    pub(crate) fn take_max(&self) -> u64 {
        self.max.swap(0, Relaxed)
    }
}

/// How many samples fell into which class of time: two classes an octave, from
/// 64 microseconds to 67 seconds, so that a percentile read from it is off by less
/// than a fifth. One writer per slot, as for a [`Counter`].
#[derive(Debug)]
pub(crate) struct Histogram {
    classes: [Counter; CLASSES],
    sum: Counter,
}

/// Those of [`Histogram`]; the last holds all that took longer.
pub(crate) const CLASSES: usize = 42;
/// Where the first class ends: 2^6 microseconds.
const FIRST_BITS: u32 = 6;

impl Default for Histogram {
    fn default() -> Self {
        Self {
            classes: std::array::from_fn(|_| Counter::default()),
            sum: Counter::default(),
        }
    }
}

impl Histogram {
    /// Takes one sample; only the owner of the slot may call this.
    #[inline]
    pub(crate) fn add(&self, micros: u64) {
        self.classes[Self::class_of(micros)].add(1);
        self.sum.add(micros);
    }

    #[inline]
    fn class_of(micros: u64) -> usize {
        if micros < 1 << FIRST_BITS {
            return 0;
        }
        let octave = micros.ilog2();
        let half = (micros >> (octave - 1) & 1) as usize;
        (1 + 2 * (octave - FIRST_BITS) as usize + half).min(CLASSES - 1)
    }

    /// Where a class ends, in microseconds; the last one never does.
    pub(crate) const fn end_of(class: usize) -> Option<u64> {
        if class + 1 >= CLASSES {
            return None;
        }
        // 64, 96, 128, 192, 256, ...
        let octave = 1 << (FIRST_BITS + class as u32 / 2);
        Some(if class.is_multiple_of(2) {
            octave
        } else {
            octave + octave / 2
        })
    }

    /// Samples by class, and the sum of all of them in microseconds.
    pub(crate) fn get(&self) -> ([u64; CLASSES], u64) {
        let classes = std::array::from_fn(|class| self.classes[class].get());
        (classes, self.sum.get())
    }
}

/// Queue, connect, response and total time (HAProxy's qtime, ctime, rtime, ttime).
#[derive(Debug, Default)]
pub(crate) struct Times {
    pub(crate) queue: Average,
    pub(crate) connect: Average,
    pub(crate) response: Average,
    pub(crate) total: Average,
    /// Total times ever, in classes.
    pub(crate) latency: Histogram,
}

/// What one worker did for one server, or for a backend without reaching a
/// server. A backend's row is the sum over its servers and its own slot.
/// Comments name HAProxy's CSV column.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Sessions (tcp) or requests (http) under way: scur.
    pub(crate) current: Gauge,
    /// Of a backend's own slot: sessions or requests at any of its servers.
    pub(crate) busy: Gauge,
    /// Sessions or requests ever: stot.
    pub(crate) sessions: Counter,
    /// Picked by the algorithm: lbtot.
    pub(crate) picked: Counter,
    /// HTTP requests: req_tot.
    pub(crate) requests: Counter,
    /// From clients to servers: bin.
    pub(crate) bytes_in: Counter,
    /// From servers to clients: bout.
    pub(crate) bytes_out: Counter,
    /// hrsp_1xx to hrsp_5xx, then hrsp_other.
    pub(crate) responses: [Counter; 6],
    /// Connects refused or timed out for good: econ.
    pub(crate) connect_errors: Counter,
    /// Bad or missing answers: eresp.
    pub(crate) response_errors: Counter,
    /// Tries repeated at the same server: wretr.
    pub(crate) retries: Counter,
    /// Tries sent to another server: wredis.
    pub(crate) redispatches: Counter,
    /// Exchanges ended by the client: cli_abrt.
    pub(crate) client_aborts: Counter,
    /// Exchanges ended by the server: srv_abrt.
    pub(crate) server_aborts: Counter,
    /// Failures of our own: eint.
    pub(crate) internal_errors: Counter,
    /// Connections tried: connect.
    pub(crate) connects: Counter,
    /// Connections taken from the pool: reuse.
    pub(crate) reuses: Counter,
    /// Idle pooled connections: idle_conn_cur.
    pub(crate) idle: Gauge,
    /// Averages and maxima.
    pub(crate) times: Times,
}

/// Whose fault it was that an exchange or a session broke off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Abort {
    /// Nobody's, or not to be counted.
    None,
    /// It left, or was too slow.
    Client,
    /// It left, or was too slow, amid its answer.
    Server,
    /// Ours.
    Internal,
}

impl Counters {
    /// Counts who broke off.
    pub(crate) fn count_abort(&self, by: Abort) {
        match by {
            Abort::None => {}
            Abort::Client => self.client_aborts.add(1),
            Abort::Server => self.server_aborts.add(1),
            Abort::Internal => self.internal_errors.add(1),
        }
    }

    /// Adds the totals of another slot, whose owner is gone. Gauges and times stay out.
    pub(crate) fn absorb(&self, other: &Self) {
        let pairs = [
            (&self.sessions, &other.sessions),
            (&self.picked, &other.picked),
            (&self.requests, &other.requests),
            (&self.bytes_in, &other.bytes_in),
            (&self.bytes_out, &other.bytes_out),
            (&self.connect_errors, &other.connect_errors),
            (&self.response_errors, &other.response_errors),
            (&self.retries, &other.retries),
            (&self.redispatches, &other.redispatches),
            (&self.client_aborts, &other.client_aborts),
            (&self.server_aborts, &other.server_aborts),
            (&self.internal_errors, &other.internal_errors),
            (&self.connects, &other.connects),
            (&self.reuses, &other.reuses),
        ];
        for (own, other) in pairs
            .into_iter()
            .chain(self.responses.iter().zip(&other.responses))
        {
            own.add(other.get());
        }
    }
}

/// What one worker did for one frontend.
#[derive(Debug, Default)]
pub(crate) struct FrontendCounters {
    /// Connections accepted: conn_tot.
    pub(crate) connections: Counter,
    /// Connections that were let in, in either mode: stot.
    pub(crate) sessions: Counter,
    /// HTTP requests: req_tot.
    pub(crate) requests: Counter,
    /// From clients: bin.
    pub(crate) bytes_in: Counter,
    /// To clients: bout.
    pub(crate) bytes_out: Counter,
    /// Those of `bytes_out` that went by splice.
    pub(crate) spliced_out: Counter,
    /// hrsp_1xx to hrsp_5xx, then hrsp_other.
    pub(crate) responses: [Counter; 6],
    /// Requests refused for their bytes: ereq.
    pub(crate) request_errors: Counter,
    /// Requests refused by rule: dreq.
    pub(crate) denied: Counter,
    /// Connections refused at a limit: dcon.
    pub(crate) denied_connections: Counter,
    /// Answered by rlb itself without any error (monitor): intercepted.
    pub(crate) intercepted: Counter,
    /// Failures of our own: eint.
    pub(crate) internal_errors: Counter,
    /// TLS handshakes that led to a session: ssl_sess.
    pub(crate) tls_handshakes: Counter,
    /// Those of them that resumed an earlier session: ssl_reused_sess.
    pub(crate) tls_resumed: Counter,
    /// Those that led nowhere: ssl_failed_handshake.
    pub(crate) tls_failed: Counter,
    /// Connections that had to begin with a PROXY header and did not: in ereq, too.
    pub(crate) proxy_headers_refused: Counter,
}

/// Index into the `responses` arrays.
#[inline]
pub(crate) fn response_class(status: u16) -> usize {
    match status {
        100..=599 => usize::from(status / 100 - 1),
        _ => 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn average_follows_the_last_thousand_samples() {
        let average = Average::default();
        for _ in 0..1024 {
            average.add(100);
        }
        assert_eq!(average.window(), (102_400, 1024));
        for _ in 0..10_000 {
            average.add(300);
        }
        let (sum, samples) = average.window();
        assert!((299..=300).contains(&(sum / samples)), "{}", sum / samples);
        assert_eq!((average.take_max(), average.take_max()), (300, 0));
    }

    #[test]
    fn every_time_has_a_class_that_ends_behind_it() {
        for micros in (0..200_000).chain([1 << 26, (1 << 26) - 1, u64::MAX]) {
            let class = Histogram::class_of(micros);
            assert!(
                Histogram::end_of(class).is_none_or(|end| micros < end),
                "{micros}"
            );
            let before = class.checked_sub(1).and_then(Histogram::end_of);
            assert!(before.is_none_or(|end| micros >= end), "{micros}");
        }
        assert_eq!(Histogram::class_of(u64::MAX), CLASSES - 1);
        assert_eq!(Histogram::end_of(CLASSES - 2), Some(1 << 26));
    }

    #[test]
    fn peak_is_kept_until_it_is_taken() {
        let gauge = Gauge::default();
        gauge.up();
        gauge.up();
        gauge.down();
        assert_eq!(
            (gauge.get(), gauge.take_peak(), gauge.take_peak()),
            (1, 2, 0)
        );
        gauge.up();
        assert_eq!(gauge.take_peak(), 2);
    }

    #[test]
    fn classes_outside_the_known_ones_are_other() {
        assert_eq!(
            [100, 204, 599, 99, 600].map(response_class),
            [0, 1, 4, 5, 5]
        );
    }
}
