//! The last seconds of a rate, for the small graph.

use std::collections::VecDeque;

/// Work and errors per second, the oldest first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trail(VecDeque<[u32; 2]>);

/// Two minutes at one look a second.
const POINTS: usize = 120;

impl Trail {
    pub(super) fn push(&mut self, work: u64, errors: u64) {
        if self.0.len() == POINTS {
            self.0.pop_front();
        }
        let point = [work, errors].map(|rate| u32::try_from(rate).unwrap_or(u32::MAX));
        self.0.push_back(point);
    }

    /// The points, the oldest first.
    pub(crate) fn points(&self) -> impl Iterator<Item = [u32; 2]> {
        self.0.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_minutes_are_kept() {
        let mut trail = Trail::default();
        for second in 0..130 {
            trail.push(second, u64::MAX);
        }
        let points: Vec<_> = trail.points().collect();
        assert_eq!((points.len(), points[0]), (120, [10, u32::MAX]));
    }
}
