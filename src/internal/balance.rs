//! The schedule, for its bench.

use std::hint::black_box;

/// Weighted round-robin.
#[derive(Debug, Clone)]
pub struct Schedule(crate::balance::Schedule);

impl Schedule {
    /// A schedule over positive weights.
    pub fn new(weights: &[u32]) -> Self {
        Self(crate::balance::Schedule::new(weights))
    }

    /// Picks with each of these tickets.
    pub fn pick(&self, tickets: std::ops::Range<u64>) {
        for ticket in tickets {
            black_box(self.0.slot(black_box(ticket)));
        }
    }
}
