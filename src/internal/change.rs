//! The single writer without its sockets, for its bench.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::config::Config;
use crate::control::internal::{Edit, Inputs, Set, describe, set_states};
use crate::generation::{Desired, Generation, RequestFacts, Returning};

/// What a command goes through, from its words to the published generation.
#[derive(Debug)]
pub struct Writer {
    inputs: Inputs,
    desired: Arc<Desired>,
    published: ArcSwap<Generation>,
}

impl Writer {
    /// A backend `web` of servers `s0`, `s1`, ... with random weights 1-256.
    pub fn new(servers: usize) -> Self {
        let servers = (0..servers as u32).map(|i| {
            let weight = i.wrapping_mul(2_654_435_761) % 256 + 1;
            let address = format!("10.{}.{}.{}:80", i >> 16, i >> 8 & 255, i & 255);
            format!("{{ name = \"s{i}\", address = \"{address}\", weight = {weight} }},\n")
        });
        let servers: String = servers.collect();
        let text = format!("[[backend]]\nname = \"web\"\nserver = [\n{servers}]\n");
        let loaded = Config::parse_with("bench.toml", &text, &|_| None);
        let inputs = Inputs {
            config: Arc::new(loaded.map(|loaded| loaded.config).unwrap_or_default()),
            ..Inputs::default()
        };
        let desired = Arc::new(inputs.merge().desired);
        let (first, _) = Generation::first(&desired, 4);
        Self {
            inputs,
            desired,
            published: ArcSwap::new(Arc::new(first)),
        }
    }

    /// `set weight web/s<server> <weight>`; the number of lines that say what changed.
    pub fn set_weight(&mut self, server: usize, weight: u16) -> usize {
        let mut inputs = self.inputs.clone();
        let name = format!("s{server}");
        let mut edit = Edit::new(&mut inputs, &self.desired, "set weight");
        if let Ok(server) = edit.server("web", &name) {
            let written = server.written.weight;
            Set::put(&mut server.set.weight, weight, &written, &server.stamp);
        }
        inputs.settle(0);
        let desired = Arc::new(inputs.merge().desired);
        let lines = describe(&self.desired, &desired).len();
        let current = self.published.load_full();
        set_states(&current, &desired, &Returning::new(), 0);
        let (next, _) = current.next(&desired, 4);
        self.published.store(Arc::new(next));
        (self.inputs, self.desired) = (inputs, desired);
        lines
    }
}

/// A frontend with many sites.
#[derive(Debug)]
pub struct Sites {
    generation: Generation,
}

impl Sites {
    /// Routes for `s0.test`, `s1.test`, ...
    pub fn new(sites: usize) -> Self {
        let routes = (0..sites)
            .map(|i| format!("[[frontend.route]]\nhost = \"s{i}.test\"\nbackend = \"web\"\n"));
        let routes: String = routes.collect();
        let text = format!(
            "[[backend]]\nname = \"web\"\nserver = \"10.0.0.1:80\"\n\
             [[frontend]]\nname = \"web\"\nbind = \":80\"\n{routes}"
        );
        let loaded = Config::parse_with("bench.toml", &text, &|_| None);
        let config = loaded.map(|loaded| loaded.config).unwrap_or_default();
        let desired = Desired::of_file(Arc::new(config));
        let (generation, _) = Generation::first(&desired, 4);
        Self { generation }
    }

    /// The backend of a request for this host.
    pub fn route(&self, host: &[u8]) -> Option<usize> {
        let facts = RequestFacts {
            method: "GET",
            host,
            target: b"/",
            has_field: |_: &crate::config::HeaderMatch| false,
        };
        self.generation.frontends.first()?.route(&facts)?.backend()
    }
}
