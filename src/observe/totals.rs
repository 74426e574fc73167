//! Sums over workers.

use serde::{Deserialize, Serialize};

use crate::state::{Average, CLASSES, Counters, FrontendCounters, Histogram, PerWorker, Times};

/// A struct of sums with one field per counter of that name.
macro_rules! totals {
    ($(#[$doc:meta])* $name:ident of $counters:ident { $($field:ident),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default)]
        pub(crate) struct $name {
            $(
                #[doc = concat!("Sum of [`", stringify!($counters), "::", stringify!($field), "`].")]
                pub(crate) $field: u64,
            )*
            /// 1xx to 5xx, then others.
            pub(crate) responses: [u64; 6],
        }

        impl $name {
            /// The sums now.
            pub(crate) fn of(counters: &PerWorker<$counters>) -> Self {
                let mut sum = Self::default();
                for slot in counters.iter() {
                    $(sum.$field = sum.$field.wrapping_add(slot.$field.get());)*
                    for (sum, counter) in sum.responses.iter_mut().zip(&slot.responses) {
                        *sum = sum.wrapping_add(counter.get());
                    }
                }
                sum
            }

            /// Adds another's.
            pub(crate) fn add(&mut self, other: &Self) {
                $(self.$field = self.$field.wrapping_add(other.$field);)*
                for (own, other) in self.responses.iter_mut().zip(other.responses) {
                    *own = own.wrapping_add(other);
                }
            }

            /// Adds all of it to one slot; only the owner of the slot may call this.
            pub(crate) fn add_to(&self, slot: &$counters) {
                $(slot.$field.add(self.$field);)*
                for (counter, more) in slot.responses.iter().zip(self.responses) {
                    counter.add(more);
                }
            }

            /// What came since `baseline`.
            pub(crate) fn since(&self, baseline: &Self) -> Self {
                let mut since = *self;
                $(since.$field = self.$field.saturating_sub(baseline.$field);)*
                for (own, before) in since.responses.iter_mut().zip(baseline.responses) {
                    *own = own.saturating_sub(before);
                }
                since
            }
        }
    };
}

totals! {
    /// What was done for a server or backend.
    Totals of Counters {
        sessions, picked, requests, bytes_in, bytes_out, connect_errors, response_errors,
        retries, redispatches, client_aborts, server_aborts, internal_errors, connects, reuses,
    }
}

totals! {
    /// What was done for a frontend.
    FrontendTotals of FrontendCounters {
        connections, sessions, requests, bytes_in, bytes_out, spliced_out, request_errors,
        denied, denied_connections, intercepted, internal_errors, proxy_headers_refused,
    }
}

/// A sum and its samples: joined with others before it becomes an average.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Mean {
    /// Microseconds.
    pub(crate) sum: u64,
    /// How many.
    pub(crate) samples: u64,
}

impl Mean {
    fn add(&mut self, other: Self) {
        self.sum += other.sum;
        self.samples += other.samples;
    }

    /// Milliseconds, rounded; 0 without samples.
    pub(crate) fn millis(self) -> u64 {
        match self.sum.checked_div(self.samples) {
            Some(micros) => to_millis(micros),
            None => 0,
        }
    }
}

/// Queue, connect, response, total.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Means(pub(crate) [Mean; 4]);

impl Means {
    /// The windows of all workers, joined.
    pub(crate) fn of(counters: &PerWorker<Counters>) -> Self {
        let mut means = Self::default();
        for slot in counters.iter() {
            for (mean, average) in means.0.iter_mut().zip(averages(&slot.times)) {
                let (sum, samples) = average.window();
                mean.add(Mean { sum, samples });
            }
        }
        means
    }

    /// Joins another's by weight.
    pub(crate) fn add(&mut self, other: &Self) {
        for (own, other) in self.0.iter_mut().zip(other.0) {
            own.add(other);
        }
    }
}

/// Total times of requests and sessions, by class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Latency {
    /// Samples in each class of [`Histogram`].
    pub(crate) classes: [u64; CLASSES],
    /// Of all samples, microseconds.
    pub(crate) sum_us: u64,
}

impl Default for Latency {
    fn default() -> Self {
        Self {
            classes: [0; CLASSES],
            sum_us: 0,
        }
    }
}

impl Latency {
    /// Those of all workers.
    pub(crate) fn of(counters: &PerWorker<Counters>) -> Self {
        let mut all = Self::default();
        for slot in counters.iter() {
            let (classes, sum_us) = slot.times.latency.get();
            all.add(&Self { classes, sum_us });
        }
        all
    }

    /// Adds another's.
    pub(crate) fn add(&mut self, other: &Self) {
        for (own, other) in self.classes.iter_mut().zip(other.classes) {
            *own += other;
        }
        self.sum_us = self.sum_us.wrapping_add(other.sum_us);
    }

    /// What came since an earlier look.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let classes = self.classes.iter().zip(earlier.classes);
        let mut since = Self {
            sum_us: self.sum_us.saturating_sub(earlier.sum_us),
            ..Self::default()
        };
        for (since, (now, earlier)) in since.classes.iter_mut().zip(classes) {
            *since = now.saturating_sub(earlier);
        }
        since
    }

    /// How many samples.
    pub(crate) fn count(&self) -> u64 {
        self.classes.iter().sum()
    }

    /// The time that `percent` of the samples do not exceed, in microseconds; `None`
    /// without samples. Exact to the class, a line within it.
    pub(crate) fn percentile(&self, percent: u64) -> Option<u64> {
        let count = self.count();
        let wanted = (count * percent).div_ceil(100).max(1);
        let mut before = 0;
        for (class, samples) in self.classes.iter().enumerate() {
            if *samples > 0 && before + samples >= wanted {
                let start = class.checked_sub(1).and_then(Histogram::end_of);
                let start = start.unwrap_or(0);
                let end = Histogram::end_of(class).unwrap_or(start);
                return Some(start + (end - start) * (wanted - before) / samples);
            }
            before += samples;
        }
        None
    }
}

/// The averages in the order of HAProxy's columns.
pub(super) fn averages(times: &Times) -> [&Average; 4] {
    [&times.queue, &times.connect, &times.response, &times.total]
}

/// Microseconds as milliseconds, rounded.
pub(super) fn to_millis(micros: u64) -> u64 {
    micros.saturating_add(500) / 1000
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::WorkerId;

    #[test]
    fn sums_go_over_all_workers() {
        let counters = PerWorker::<Counters>::new(2);
        for worker in 0..3 {
            let slot = counters.slot(WorkerId(worker));
            slot.requests.add(2);
            slot.responses[1].add(1);
        }
        let totals = Totals::of(&counters);
        assert_eq!((totals.requests, totals.responses[1]), (6, 3));
        let mut twice = totals;
        twice.add(&totals);
        assert_eq!(twice.since(&totals), totals);
        totals.add_to(&counters.slot(WorkerId(2)));
        assert_eq!(Totals::of(&counters), twice);
        assert_eq!(totals.since(&twice), Totals::default(), "never below zero");
    }

    #[test]
    fn percentiles_are_off_by_less_than_their_class_is_wide() {
        let counters = PerWorker::<Counters>::new(2);
        assert_eq!(Latency::of(&counters).percentile(50), None);
        for worker in 0..2 {
            let slot = counters.slot(WorkerId(worker));
            for millis in 1..=1000 {
                slot.times.latency.add(millis * 1000);
            }
        }
        let latency = Latency::of(&counters);
        assert_eq!((latency.count(), latency.sum_us), (2000, 2 * 500_500_000));
        for percent in [1, 10, 50, 90, 99] {
            let found = latency.percentile(percent).unwrap() as f64;
            let expected = percent as f64 * 10_000.0;
            assert!((found / expected - 1.0).abs() < 0.2, "{percent}: {found}");
        }
        assert_eq!(latency.since(&latency).count(), 0);
    }

    #[test]
    fn averages_are_joined_by_weight() {
        let counters = PerWorker::<Counters>::new(2);
        counters.slot(WorkerId(0)).times.total.add(9_000);
        for _ in 0..3 {
            counters.slot(WorkerId(1)).times.total.add(1_000);
        }
        let means = Means::of(&counters);
        assert_eq!(means.0[3].millis(), 3);
        assert_eq!(means.0[0].millis(), 0);
    }
}
