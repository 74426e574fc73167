//! The schedule, for its bench.

use std::hint::black_box;
use std::sync::Arc;

use crate::generation::{Desired, Generation};

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

/// A backend, as workers pick from it.
#[derive(Debug)]
pub struct Backend(Generation);

impl Backend {
    /// So many servers of weight 1, without groups.
    ///
    /// # Panics
    /// More than 60,000 servers: each has a port.
    pub fn plain(servers: usize) -> Self {
        let server = |n: usize| format!("\"127.0.0.1:{}\",\n", n + 1);
        Self::with(&(0..servers).map(server).collect::<String>(), "")
    }

    /// Groups of so many servers of weight 1, each with its share.
    ///
    /// # Panics
    /// As [`Self::plain`].
    pub fn grouped(groups: &[(usize, u32)]) -> Self {
        let of = |(group, (servers, _)): (usize, &(usize, u32))| vec![group; *servers];
        let all = groups.iter().enumerate().flat_map(of);
        let server = |(port, group)| {
            format!("{{ address = \"127.0.0.1:{port}\", group = \"g{group}\" }},\n")
        };
        let shares = groups.iter().enumerate();
        let shares: Vec<_> = shares
            .map(|(n, (_, share))| format!("g{n} = {share}"))
            .collect();
        Self::with(
            &(1_usize..).zip(all).map(server).collect::<String>(),
            &format!("groups.weights.static = {{ {} }}\n", shares.join(", ")),
        )
    }

    fn with(servers: &str, more: &str) -> Self {
        let text = format!("[[backend]]\nname = \"web\"\nserver = [\n{servers}]\n{more}");
        let loaded = crate::config::Config::parse("bench.toml", &text);
        let config = loaded.unwrap_or_else(|errors| panic!("{errors}")).config;
        let desired = Desired::of_file(Arc::new(config));
        Self(Generation::first(&desired, 1).0)
    }

    /// Picks this many times.
    pub fn pick(&self, times: u64) {
        let backend = black_box(&self.0.backends[0]);
        for _ in 0..times {
            black_box(backend.pick(None));
        }
    }
}
