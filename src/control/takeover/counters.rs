//! Counters that go on where those of the predecessor stand.
//!
//! What it shows is handed over, not what it holds: `clear counters` has been
//! taken off already. What its last sessions still count while it drains is lost.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::control::Control;
use crate::generation::{Backend, Generation};
use crate::observe::{BackendRow, FrontendTotals, ServerRow, Totals};
use crate::state::{ServerId, ServerState, WorkerId};

/// Of everything that is served.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::control) struct SharedCounters {
    frontends: Vec<SharedFrontend>,
    backends: Vec<SharedBackend>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct SharedFrontend {
    name: String,
    totals: FrontendTotals,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct SharedBackend {
    name: String,
    /// With those of its servers, and of servers that left.
    totals: Totals,
    #[serde(default)]
    servers: Vec<ServerCounters>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct ServerCounters {
    /// Identity in the backend.
    key: String,
    totals: Totals,
    #[serde(default)]
    check_failures: u64,
    #[serde(default)]
    downs: u64,
    /// Seconds.
    #[serde(default)]
    downtime: u64,
}

impl Control {
    /// What this process shows now.
    pub(super) fn shared_counters(&self) -> SharedCounters {
        let snapshot = self.snapshot();
        let generation = self.generation();
        let keys: HashMap<ServerId, &str> = generation
            .servers()
            .map(|(_, server)| (server.id(), &*server.key))
            .collect();
        let mut shared = SharedCounters::default();
        for proxy in &snapshot.proxies {
            if let Some(row) = &proxy.frontend {
                shared.frontends.push(SharedFrontend {
                    name: proxy.name.to_string(),
                    totals: row.totals,
                });
            }
            if let Some(row) = &proxy.backend {
                let name = proxy.name.to_string();
                shared.backends.push(SharedBackend::of(name, row, &keys));
            }
        }
        shared
    }

    /// Lets the counters of this process go on from there.
    pub(in crate::control) fn adopt_counters(&self, shared: &SharedCounters) {
        shared.add_to(&self.generation());
        self.begin_samples();
    }
}

impl SharedCounters {
    fn add_to(&self, generation: &Generation) {
        for shared in &self.frontends {
            let mut frontends = generation.frontends.iter();
            if let Some(frontend) = frontends.find(|f| *f.config.name == *shared.name) {
                shared.totals.add_to(&frontend.state.counters.slot(CONTROL));
            }
        }
        for shared in &self.backends {
            if let Some(backend) = generation.backend(&shared.name) {
                shared.add_to(backend);
            }
        }
    }
}

impl SharedBackend {
    fn of(name: String, row: &BackendRow, keys: &HashMap<ServerId, &str>) -> Self {
        let servers = row.servers.iter().filter_map(|server| {
            let key = keys.get(&server.id)?;
            ServerCounters::of(key, server)
        });
        Self {
            name,
            totals: row.work.totals,
            servers: servers.collect(),
        }
    }

    /// What belongs to none of its servers of today stays the backend's own.
    fn add_to(&self, backend: &Backend) {
        let servers: HashMap<&str, &ServerState> = backend
            .servers
            .iter()
            .map(|server| (&*server.key, &*server.state))
            .collect();
        let mut own = self.totals;
        for shared in &self.servers {
            let Some(state) = servers.get(&*shared.key) else {
                continue;
            };
            own = own.since(&shared.totals);
            shared.totals.add_to(&state.counters.slot(CONTROL));
            state.inherit_checks(shared.check_failures, shared.downs, shared.downtime * 1000);
        }
        own.add_to(&backend.state.counters.slot(CONTROL));
    }
}

impl ServerCounters {
    /// `None` = nothing to tell.
    fn of(key: &str, row: &ServerRow) -> Option<Self> {
        let check = row.check.as_ref();
        let counters = Self {
            key: key.to_owned(),
            totals: row.work.totals,
            check_failures: check.map_or(0, |check| check.failures),
            downs: check.map_or(0, |check| check.downs),
            downtime: check.map_or(0, |check| check.downtime_s),
        };
        let is_nothing = counters.totals == Totals::default() && counters.check_failures == 0;
        (!is_nothing).then_some(counters)
    }
}

/// Control's own slot.
const CONTROL: WorkerId = WorkerId(usize::MAX);
