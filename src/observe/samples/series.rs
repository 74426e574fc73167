//! What is followed of each thing, and one look at it.

use std::time::Duration;

use super::trail::Trail;
use crate::observe::totals::{FrontendTotals, Latency, Totals, averages};
use crate::state::{Counters, PerWorker, Queue};

/// Events per second, over the last whole interval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Rate {
    /// In the last interval.
    pub(crate) now: u64,
    /// The most so far.
    pub(crate) max: u64,
    total: u64,
}

impl Rate {
    /// From here on.
    pub(super) fn begin(&mut self, total: u64) {
        self.total = total;
    }

    pub(super) fn sample(&mut self, total: u64, elapsed_ms: u64) {
        let events = u128::from(total.saturating_sub(self.total));
        let elapsed = u128::from(elapsed_ms);
        self.now = u64::try_from((events * 1000 + elapsed / 2) / elapsed).unwrap_or(u64::MAX);
        self.max = self.max.max(self.now);
        self.total = total;
    }
}

/// What is followed of a server, and of a backend.
#[derive(Debug, Clone, Default)]
pub(in crate::observe) struct Series {
    pub(in crate::observe) sessions: Rate,
    /// Failed connects, broken answers and 5xx.
    pub(in crate::observe) errors: Rate,
    /// Most sessions at once. Exact with one worker; with several at least the
    /// most that any of them had, or that all had when they were looked at.
    pub(in crate::observe) peak: u64,
    /// The most that waited at once.
    pub(in crate::observe) queued: u64,
    /// Longest queue, connect, response and total time, microseconds.
    pub(in crate::observe) max: [u64; 4],
    /// When it was used last.
    pub(in crate::observe) used_ms: Option<u64>,
    /// When it was seen first.
    pub(in crate::observe) first_ms: u64,
    /// To be subtracted (`clear counters all`).
    pub(in crate::observe) baseline: Totals,
    /// As `baseline`: failed checks, changes to DOWN.
    pub(in crate::observe) checks: (u64, u64),
    /// Total times as they were 30 to 60 seconds ago, and at the last turn.
    pub(in crate::observe) older: Latency,
    old: Latency,
    pub(super) total: u64,
    pub(super) error_total: u64,
    mark: u64,
    pub(super) seen_ms: u64,
}

/// Place of 5xx among the responses.
pub(super) const SERVER_ERRORS: usize = 4;

/// One look at the counters of a server or of a backend without its servers.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sight {
    current: u64,
    peak: u64,
    max: [u64; 4],
    sessions: u64,
    picked: u64,
    errors: u64,
}

impl Sight {
    /// Takes peaks and maxima out of the counters.
    pub(super) fn take(counters: &PerWorker<Counters>) -> Self {
        let mut sight = Self::default();
        for slot in counters.iter() {
            sight.current += slot.current.get();
            sight.peak = sight.peak.max(slot.current.take_peak());
            for (max, average) in sight.max.iter_mut().zip(averages(&slot.times)) {
                *max = (*max).max(average.take_max());
            }
            sight.sessions += slot.sessions.get();
            sight.picked += slot.picked.get();
            sight.errors += slot.connect_errors.get()
                + slot.response_errors.get()
                + slot.responses[SERVER_ERRORS].get();
        }
        sight.peak = sight.peak.max(sight.current);
        sight
    }

    /// Adds another's.
    pub(super) fn add(&mut self, other: &Self) {
        self.current += other.current;
        self.peak = self.peak.max(other.peak).max(self.current);
        for (max, other) in self.max.iter_mut().zip(other.max) {
            *max = (*max).max(other);
        }
        self.sessions += other.sessions;
        self.picked += other.picked;
        self.errors += other.errors;
    }
}

impl Series {
    pub(super) fn new(now_ms: u64) -> Self {
        Self {
            first_ms: now_ms,
            ..Self::default()
        }
    }

    pub(super) fn look(&mut self, sight: &Sight, queue: &Queue, now_ms: u64) {
        self.queued = self.queued.max(queue.take_peak() as u64);
        self.peak = self.peak.max(sight.peak);
        for (max, seen) in self.max.iter_mut().zip(sight.max) {
            *max = (*max).max(seen);
        }
        // Picked when work begins, sessions when it was done without a pick.
        let mark = sight.sessions + sight.picked;
        if mark != self.mark {
            self.mark = mark;
            self.used_ms = Some(now_ms);
        }
        self.total = sight.sessions;
        self.error_total = sight.errors;
        self.seen_ms = now_ms;
    }

    /// From here on.
    pub(super) fn begin(&mut self) {
        self.used_ms = None;
        self.sessions.begin(self.total);
    }

    /// Every 30 seconds: what is recent begins later.
    pub(super) fn turn(&mut self, now: Latency) {
        self.older = std::mem::replace(&mut self.old, now);
    }

    pub(super) fn clear_maxima(&mut self) {
        self.peak = 0;
        self.queued = 0;
        self.max = [0; 4];
        self.sessions.max = 0;
        self.errors.max = 0;
    }

    pub(super) fn clear(&mut self, totals: Totals, checks: (u64, u64)) {
        self.clear_maxima();
        self.used_ms = None;
        self.baseline = totals;
        self.checks = checks;
    }
}

/// What is followed of a backend.
#[derive(Debug, Clone)]
pub(in crate::observe) struct BackendSeries {
    pub(in crate::observe) series: Series,
    /// Whether it had a usable server when it was looked at last.
    pub(in crate::observe) up: bool,
    /// When that changed.
    pub(in crate::observe) changed_ms: u64,
    /// Changes to DOWN.
    pub(in crate::observe) downs: u64,
    pub(in crate::observe) trail: Trail,
    down_ms: u64,
}

impl BackendSeries {
    /// Seen for the first time.
    pub(in crate::observe) fn new(up: bool, now_ms: u64) -> Self {
        Self {
            series: Series::new(now_ms),
            up,
            changed_ms: now_ms,
            downs: 0,
            trail: Trail::default(),
            down_ms: 0,
        }
    }

    pub(super) fn watch(&mut self, up: bool, now_ms: u64) {
        if up == self.up {
            return;
        }
        match up {
            true => self.down_ms += now_ms.saturating_sub(self.changed_ms),
            false => self.downs += 1,
        }
        self.up = up;
        self.changed_ms = now_ms;
    }

    /// Milliseconds without a usable server.
    pub(in crate::observe) fn downtime_ms(&self, now_ms: u64) -> u64 {
        match self.up {
            true => self.down_ms,
            false => self.down_ms + now_ms.saturating_sub(self.changed_ms),
        }
    }
}

/// What is followed of a frontend.
#[derive(Debug, Clone, Default)]
pub(in crate::observe) struct FrontendSeries {
    pub(in crate::observe) connections: Rate,
    pub(in crate::observe) sessions: Rate,
    pub(in crate::observe) requests: Rate,
    /// Answers 5xx.
    pub(in crate::observe) errors: Rate,
    pub(in crate::observe) trail: Trail,
    pub(in crate::observe) peak: u64,
    pub(in crate::observe) baseline: FrontendTotals,
    pub(super) totals: FrontendTotals,
    pub(super) seen_ms: u64,
}

impl FrontendSeries {
    /// From here on.
    pub(super) fn begin(&mut self) {
        self.connections.begin(self.totals.connections);
        self.sessions.begin(self.totals.sessions);
        self.requests.begin(self.totals.requests);
    }

    pub(super) fn clear_maxima(&mut self) {
        self.peak = 0;
        for rate in [
            &mut self.connections,
            &mut self.sessions,
            &mut self.requests,
            &mut self.errors,
        ] {
            rate.max = 0;
        }
    }
}

/// What is followed of the process.
#[derive(Debug, Clone)]
pub(in crate::observe) struct ProcessSeries {
    pub(in crate::observe) connections: Rate,
    pub(in crate::observe) sessions: Rate,
    pub(in crate::observe) bytes_out: Rate,
    /// Share of the workers' time that was not used, percent.
    pub(in crate::observe) idle_pct: u32,
    /// Totals of frontends that left: sums of the process never fall.
    pub(in crate::observe) gone: FrontendTotals,
    pub(super) cpu: Duration,
}

impl Default for ProcessSeries {
    fn default() -> Self {
        Self {
            connections: Rate::default(),
            sessions: Rate::default(),
            bytes_out: Rate::default(),
            idle_pct: 100,
            gone: FrontendTotals::default(),
            cpu: Duration::ZERO,
        }
    }
}
