//! Weighted round-robin: whose turn a ticket is.

use std::sync::Arc;

use super::smooth;
use super::stride::Stride;

/// Weighted round-robin over `0..weights.len()`. Over [`Self::cycle`] tickets
/// in a row, from any ticket on, index `i` comes up exactly `weights[i] / gcd`
/// times. Cheap to clone; never changes.
#[derive(Debug, Clone)]
pub(crate) struct Schedule {
    turns: Turns,
}

#[derive(Debug, Clone)]
enum Turns {
    /// One index per slot of the cycle: 1.4 ns a pick (benches/schedule.rs).
    Table(Arc<[u16]>),
    /// For cycles too long for a table: 6 ns a pick with 100 servers, 16 with 10,000.
    Stride(Arc<Stride>),
}

impl Schedule {
    /// A schedule over these weights. All must be positive: what takes no part
    /// has no index here. There may be none.
    pub(crate) fn new(weights: &[u32]) -> Self {
        debug_assert!(weights.iter().all(|weight| *weight > 0));
        let gcd = weights.iter().fold(0, |gcd, weight| gcd_of(gcd, *weight));
        let weights: Vec<u32> = weights.iter().map(|weight| weight / gcd).collect();
        let cycle: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
        let turns = if cycle <= TABLE_SLOTS_MAX {
            Turns::Table(smooth::table(&weights).into())
        } else {
            Turns::Stride(Arc::new(Stride::new(&weights)))
        };
        Self { turns }
    }

    /// Index into the weights. The schedule must not be empty.
    ///
    /// Tickets may wrap at `u64::MAX`: the cycle they wrap in is cut short.
    #[inline]
    pub(crate) fn slot(&self, ticket: u64) -> usize {
        match &self.turns {
            Turns::Table(slots) => usize::from(slots[(ticket % slots.len() as u64) as usize]),
            Turns::Stride(stride) => stride.slot(ticket),
        }
    }

    /// Whether nobody takes part.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.cycle() == 0
    }

    /// After this many tickets every share is exact: sum of the weights / their gcd.
    #[cfg(test)]
    pub(crate) fn cycle(&self) -> u64 {
        match &self.turns {
            Turns::Table(slots) => slots.len() as u64,
            Turns::Stride(stride) => stride.cycle(),
        }
    }
}

fn gcd_of(mut a: u32, mut b: u32) -> u32 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// Longest cycle that is kept as a table: 8 KiB of it stay in the first-level
/// cache, and it is built in well under a millisecond. The entries are `u16`.
const TABLE_SLOTS_MAX: u64 = 4096;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Slots of the cycle that begins at `from`.
    fn cycle_from(schedule: &Schedule, from: u64) -> Vec<usize> {
        (from..from + schedule.cycle())
            .map(|ticket| schedule.slot(ticket))
            .collect()
    }

    fn shares(slots: &[usize], servers: usize) -> Vec<u64> {
        let mut shares = vec![0; servers];
        for slot in slots {
            shares[*slot] += 1;
        }
        shares
    }

    /// Longest distance between two turns, per server, the cycle being a ring.
    fn longest_gaps(slots: &[usize], servers: usize) -> Vec<u64> {
        let mut last: Vec<Option<u64>> = vec![None; servers];
        let mut longest = vec![0; servers];
        for (position, slot) in (0..).zip(slots.iter().chain(slots)) {
            if let Some(last) = last[*slot] {
                longest[*slot] = longest[*slot].max(position - last);
            }
            last[*slot] = Some(position);
        }
        longest
    }

    /// Longest gap of any server over its ideal one.
    fn worst_ratio(schedule: &Schedule, weights: &[u32]) -> f64 {
        let slots = cycle_from(schedule, 0);
        let total: f64 = weights.iter().map(|weight| f64::from(*weight)).sum();
        let gaps = longest_gaps(&slots, weights.len());
        let ratios = gaps
            .iter()
            .zip(weights)
            .map(|(gap, weight)| *gap as f64 * f64::from(*weight) / total);
        ratios.fold(0.0, f64::max)
    }

    fn letters(weights: &[u32]) -> String {
        let slots = cycle_from(&Schedule::new(weights), 0);
        slots
            .iter()
            .map(|slot| char::from(b'a' + *slot as u8))
            .collect()
    }

    #[test]
    fn small_orders_are_interleaved() {
        assert_eq!(letters(&[5, 1, 1]), "aaabaac"); // HAProxy's order, too
        assert_eq!(letters(&[3, 2, 1]), "ababac");
        assert_eq!(letters(&[1, 1, 1]), "abc");
        assert_eq!(letters(&[2, 2]), "ab");
        assert_eq!(letters(&[256]), "a");
        assert_eq!(letters(&[4, 1, 1, 1, 1]), "abacadae");
    }

    #[test]
    fn nobody_is_a_schedule() {
        let schedule = Schedule::new(&[]);
        assert!(schedule.is_empty());
        assert_eq!(schedule.cycle(), 0);
    }

    #[test]
    fn weights_are_divided_by_their_gcd() {
        assert_eq!(Schedule::new(&[100, 200, 50]).cycle(), 7);
        assert_eq!(Schedule::new(&[256; 2000]).cycle(), 2000);
        assert_eq!(Schedule::new(&[u32::MAX, u32::MAX]).cycle(), 2);
    }

    #[test]
    fn tickets_at_the_end_of_their_range_are_served() {
        let table = Schedule::new(&[5, 1, 1]);
        let stride = Schedule::new(&[256, 255, 4000]);
        for ticket in [u64::MAX - 1, u64::MAX] {
            assert!(table.slot(ticket) < 3);
            assert!(stride.slot(ticket) < 3);
        }
        let position = u64::MAX % stride.cycle();
        assert_eq!(stride.slot(u64::MAX), stride.slot(position));
    }

    #[test]
    fn table_and_stride_meet_at_the_limit() {
        for extra in [0, 1] {
            let weights = [1, TABLE_SLOTS_MAX as u32 - 1 + extra];
            let schedule = Schedule::new(&weights);
            assert_eq!(
                matches!(schedule.turns, Turns::Stride(_)),
                extra == 1,
                "{weights:?}"
            );
            let expected: Vec<u64> = weights.iter().copied().map(u64::from).collect();
            assert_eq!(shares(&cycle_from(&schedule, 99), 2), expected);
        }
    }

    /// What HAProxy's range of weights allows, up to 2,000 servers; 0 takes no part.
    fn weights() -> impl Strategy<Value = Vec<u32>> {
        let servers = prop_oneof![1..8_usize, 1..64_usize, 1..2000_usize];
        servers
            .prop_flat_map(|servers| prop::collection::vec(0..=256_u32, servers))
            .prop_map(|weights| weights.into_iter().filter(|weight| *weight > 0).collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        #[test]
        fn shares_are_exact_over_every_cycle(weights in weights(), from in 0..1_u64 << 40) {
            let schedule = Schedule::new(&weights);
            let gcd = weights.iter().fold(0, |gcd, weight| gcd_of(gcd, *weight));
            let expected: Vec<u64> = weights.iter().map(|weight| u64::from(weight / gcd)).collect();
            prop_assert_eq!(schedule.cycle(), expected.iter().sum::<u64>());
            prop_assert_eq!(shares(&cycle_from(&schedule, from), weights.len()), expected);
        }

        #[test]
        fn no_server_waits_long(weights in weights().prop_filter("someone", |w| !w.is_empty())) {
            let schedule = Schedule::new(&weights);
            match schedule.turns {
                // The bound is the next whole slot above twice the ideal distance.
                Turns::Table(_) => {
                    let total: u64 = schedule.cycle();
                    let slots = cycle_from(&schedule, 0);
                    let shares = shares(&slots, weights.len());
                    for (gap, share) in longest_gaps(&slots, weights.len()).iter().zip(shares) {
                        prop_assert!(*gap <= (2 * total).div_ceil(share));
                    }
                }
                // Measured: 2.2 on average, at most 2.9.
                Turns::Stride(_) => {
                    let ratio = worst_ratio(&schedule, &weights);
                    prop_assert!(ratio <= 3.5, "{ratio}");
                }
            }
        }
    }
}
