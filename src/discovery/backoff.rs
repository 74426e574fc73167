//! How long to wait before the next try.

use std::time::Duration;

/// Doubles from `min` to `max`, with full jitter: each wait is anywhere between
/// nothing and the bound, so that many balancers do not come back together.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    min: Duration,
    max: Duration,
    tries: u32,
    /// State of splitmix64: jitter needs no better.
    random: u64,
}

impl Backoff {
    /// `seed` differs between processes and tasks.
    pub(crate) fn new(min: Duration, max: Duration, seed: u64) -> Self {
        Self {
            min,
            max: max.max(min),
            tries: 0,
            random: seed,
        }
    }

    /// It worked: the next failure starts at the bottom.
    pub(crate) fn reset(&mut self) {
        self.tries = 0;
    }

    /// It failed again: wait this long. At least a tenth of `min`, so that a
    /// lucky draw does not make a loop spin.
    pub(crate) fn next(&mut self) -> Duration {
        let bound = self
            .min
            .saturating_mul(1 << self.tries.min(20))
            .min(self.max);
        self.tries = self.tries.saturating_add(1);
        let share = (self.draw() >> 11) as f64 / (1_u64 << 53) as f64;
        bound.mul_f64(share).max(self.min / 10)
    }

    fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIN: Duration = Duration::from_millis(250);
    const MAX: Duration = Duration::from_secs(30);

    #[test]
    fn waits_grow_to_the_bound_and_start_over() {
        let longest = |backoff: &mut Backoff, tries: u32| {
            let waits = (0..200).map(|seed| {
                let mut one = Backoff {
                    random: seed,
                    ..backoff.clone()
                };
                for _ in 1..tries {
                    one.next();
                }
                one.next()
            });
            waits.max().unwrap()
        };
        let mut backoff = Backoff::new(MIN, MAX, 1);
        for (tries, bound) in [(1, MIN), (2, MIN * 2), (5, MIN * 16), (60, MAX)] {
            let longest = longest(&mut backoff, tries);
            assert!(
                longest <= bound && longest > bound.mul_f64(0.9),
                "{tries}: {longest:?}"
            );
        }
        for _ in 0..1_000 {
            assert!(backoff.next() >= MIN / 10);
        }
        backoff.reset();
        assert!(backoff.next() <= MIN);
    }
}
