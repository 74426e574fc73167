//! The smooth table: each server's turns as far apart as whole slots allow.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

/// One cycle as a table, `weights[i]` slots for index `i`. O(slots log servers).
///
/// With `w` turns in a cycle of `n` slots, turn `k` of a server falls into slots
/// `floor(k n / w) .. ceil((k + 1) n / w)`: the windows of proportionate fair
/// scheduling (Baruah et al. 1996). Earliest deadline first among the turns
/// whose window is open always finds such a table, so no share is ever a whole
/// turn ahead or behind, and two turns are at most twice the ideal distance
/// apart. Sorting by the middle of the windows instead would put the single
/// turns of a hundred light servers in a row, a hundred slots without the heavy
/// one; nginx's way, the largest credit first, costs slots x servers.
pub(super) fn table(weights: &[u32]) -> Vec<u16> {
    let cycle: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
    let mut waiting: BinaryHeap<_> = (0..)
        .zip(weights)
        .map(|(index, weight)| Reverse((0, Turn::new(index, *weight))))
        .collect();
    let mut open = BinaryHeap::with_capacity(weights.len());
    let mut slots = Vec::with_capacity(cycle as usize);
    for slot in 0..cycle {
        while let Some(next) = waiting.peek_mut().filter(|next| next.0.0 <= slot) {
            let Reverse((_, turn)) = PeekMut::pop(next);
            open.push(Reverse(turn));
        }
        let Some(Reverse(turn)) = open.pop() else {
            unreachable!("slots before `slot` cannot have used up every open window");
        };
        slots.push(turn.index);
        if let Some(next) = turn.next() {
            waiting.push(Reverse((next.opens(cycle), next)));
        }
    }
    slots
}

/// Turn `number` (from 0) of a server. Ordered by deadline, then by index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    /// `(number + 1) / weight`, 32 bits behind the point: deadlines of up to
    /// 4,096 slots differ by more than 2^-24 or are equal.
    deadline: u64,
    index: u16,
    number: u32,
    weight: u32,
}

impl Turn {
    fn new(index: u16, weight: u32) -> Self {
        Self::at(index, weight, 0)
    }

    fn next(self) -> Option<Self> {
        let number = self.number + 1;
        (number < self.weight).then(|| Self::at(self.index, self.weight, number))
    }

    fn at(index: u16, weight: u32, number: u32) -> Self {
        Self {
            deadline: (u64::from(number + 1) << 32) / u64::from(weight),
            index,
            number,
            weight,
        }
    }

    /// First slot this turn may take.
    fn opens(self, cycle: u64) -> u64 {
        u64::from(self.number) * cycle / u64::from(self.weight)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_turn_falls_into_its_window(weights in prop::collection::vec(1..60_u32, 1..68)) {
            let cycle: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
            let mut turns = vec![0; weights.len()];
            for (slot, index) in (0..).zip(table(&weights)) {
                let index = usize::from(index);
                let weight = u64::from(weights[index]);
                let number: u64 = turns[index];
                turns[index] += 1;
                let window = number * cycle / weight..((number + 1) * cycle).div_ceil(weight);
                prop_assert!(window.contains(&slot), "slot {} outside {:?}", slot, window);
            }
        }
    }
}
