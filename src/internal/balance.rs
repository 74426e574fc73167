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
    /// `servers` of weight 1, in this many groups of the same share; 0 = without groups.
    ///
    /// # Panics
    /// More than 60,000 servers: each has a port.
    pub fn new(servers: usize, groups: usize) -> Self {
        let server = |n: usize| {
            let group = match groups {
                0 => String::new(),
                groups => format!(", group = \"g{}\"", n % groups),
            };
            format!("{{ address = \"127.0.0.1:{}\"{group} }},\n", n + 1)
        };
        let servers: String = (0..servers).map(server).collect();
        let shares: Vec<_> = (0..groups).map(|group| format!("g{group} = 7")).collect();
        let more = match groups {
            0 => String::new(),
            _ => format!("groups.weights.static = {{ {} }}\n", shares.join(", ")),
        };
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
