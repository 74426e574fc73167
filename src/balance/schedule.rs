//! Smooth weighted round-robin as a table of slots.

/// Whose turn a ticket is.
#[derive(Debug, Clone)]
pub(crate) struct Schedule {
    slots: std::sync::Arc<[u32]>,
}

impl Schedule {
    /// A schedule over these weights; each must be positive.
    pub(crate) fn new(weights: &[u32]) -> Self {
        let slots = weights
            .iter()
            .enumerate()
            .flat_map(|(i, w)| std::iter::repeat_n(i as u32, *w as usize));
        Self {
            slots: slots.collect(),
        }
    }

    /// Index into the weights. The schedule must not be empty.
    #[inline]
    pub(crate) fn slot(&self, ticket: u64) -> usize {
        self.slots[(ticket % self.slots.len() as u64) as usize] as usize
    }
}
