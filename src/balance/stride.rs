//! Cycles too long for a table: the cycle is walked in one fixed stride.

/// Ticket `t` takes position `t * stride mod cycle`; a server owns as many
/// positions in a row as its weight. The stride being coprime to the cycle,
/// every position comes up once per cycle, so shares are exact. Built in
/// O(servers); no cap on the weights.
#[derive(Debug)]
pub(super) struct Stride {
    /// Running sums of the weights: server `i` owns the positions below `ends[i]`.
    ends: Box<[u64]>,
    cycle: u64,
    stride: u64,
}

impl Stride {
    /// Over these weights, which must have no common divisor.
    pub(super) fn new(weights: &[u32]) -> Self {
        let ends: Box<[u64]> = weights
            .iter()
            .scan(0, |sum, weight| {
                *sum += u64::from(*weight);
                Some(*sum)
            })
            .collect();
        let cycle = ends.last().copied().unwrap_or(0);
        Self {
            ends,
            cycle,
            stride: even_stride(cycle),
        }
    }

    #[inline]
    pub(super) fn slot(&self, ticket: u64) -> usize {
        let position = product_mod(ticket % self.cycle, self.stride, self.cycle);
        self.ends.partition_point(|end| *end <= position)
    }

    #[cfg(test)]
    pub(super) fn cycle(&self) -> u64 {
        self.cycle
    }
}

/// `a * b mod modulus` for factors below the modulus.
#[inline]
fn product_mod(a: u64, b: u64, modulus: u64) -> u64 {
    if modulus <= 1 << 32 {
        a * b % modulus
    } else {
        // Sixteen million servers of the largest weight: a slow division may be.
        (u128::from(a) * u128::from(b) % u128::from(modulus)) as u64
    }
}

/// A stride coprime to `cycle` that spreads the visits of every run of
/// positions evenly. Of the strides next to cycle / phi it takes the one whose
/// continued fraction has the smallest largest quotient: the distances between
/// visits are governed by these quotients (three-distance theorem), and a
/// stride that is only *near* the golden section may have large ones deep down.
fn even_stride(cycle: u64) -> u64 {
    debug_assert!(cycle > CANDIDATES * 2);
    let middle = (cycle as f64 / GOLDEN) as u64;
    let candidates = (0..CANDIDATES).flat_map(|away| [middle + away, middle - away]);
    candidates
        .filter_map(|stride| Some((largest_quotient(cycle, stride)?, stride)))
        // The first of the best: the nearest to the golden section.
        .min_by_key(|(quotient, _)| *quotient)
        .map_or(1, |(_, stride)| stride)
}

/// Largest quotient of Euclid's algorithm; `None` when not coprime.
fn largest_quotient(mut a: u64, mut b: u64) -> Option<u64> {
    let mut largest = 0;
    while b != 0 {
        largest = largest.max(a / b);
        (a, b) = (b, a % b);
    }
    (a == 1).then_some(largest)
}

const GOLDEN: f64 = 1.618_033_988_749_895;

/// How far from cycle / phi strides are tried. 127 numbers in a row always hold
/// one coprime to a given `u64`, which has at most 15 different prime factors
/// (Jacobsthal's function of 15 primes is 100).
const CANDIDATES: u64 = 64;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn huge_cycles_do_not_overflow() {
        let weights = [u32::MAX, u32::MAX - 1, 7];
        let stride = Stride::new(&weights);
        assert_eq!(stride.cycle(), 2 * u64::from(u32::MAX) + 6);
        let mut shares = [0_u32; 3];
        for ticket in u64::MAX - 10_000..u64::MAX {
            shares[stride.slot(ticket)] += 1;
        }
        assert!((4999..=5001).contains(&shares[0]), "{shares:?}");
    }

    proptest! {
        #[test]
        fn every_position_comes_up_once(cycle in 4097..60_000_u64) {
            let stride = even_stride(cycle);
            let mut seen = vec![false; cycle as usize];
            for ticket in 0..cycle {
                let position = product_mod(ticket, stride, cycle) as usize;
                prop_assert!(!std::mem::replace(&mut seen[position], true));
            }
        }

        #[test]
        fn strides_are_coprime_and_even(cycle in 4097..1_u64 << 24) {
            // 65,536 servers of weight 256; of 4,000 random cycles none needed more than 8.
            prop_assert!(largest_quotient(cycle, even_stride(cycle)).is_some_and(|q| q <= 16));
        }
    }
}
