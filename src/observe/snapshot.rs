//! Everything there is to see, at one moment, as plain owned data.

use std::collections::HashMap;
use std::sync::Arc;

use super::numbers::other_half;
use super::rows::{
    BackendRow, CheckRow, FrontendRow, ProcessSums, Proxy, QueueRow, ServerRow, Usable, Work,
};
use super::samples::{BackendSeries, FrontendSeries, Samples, Series};
use super::tables::{DrainRow, GroupRow};
use super::tls::TlsFacts;
use super::totals::{FrontendTotals, Latency, Mean, Means, Totals, to_millis};
use super::{Numbers, ProcessFacts};
use crate::config::Balance;
use crate::discovery::SourceRow;
use crate::generation::{Backend, Frontend, Generation, Group, Server, check_info, status};
use crate::state::{BackendId, CheckCode, Counters, FrontendId, LastCheck, PerWorker, ServerId};

/// What is looked at: borrowed, on the control thread, for one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    /// Monotonic milliseconds, on the clock of `ServerState`.
    pub(crate) now_ms: u64,
    /// In force.
    pub(crate) generation: &'a Generation,
    /// Servers that left and still have sessions.
    pub(crate) departing: &'a [Departing<'a>],
    /// Frontends whose listeners the operator closed.
    pub(crate) paused: &'a [FrontendId],
    /// About the process.
    pub(crate) process: &'a ProcessFacts,
}

/// A server that left and still has sessions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Departing<'a> {
    /// The backend it left, of whatever generation.
    pub(crate) backend: &'a Backend,
    /// It.
    pub(crate) server: &'a Server,
    /// What is left is cut in this time; `None` = it was cut already.
    pub(crate) cut_in_ms: Option<u64>,
}

impl<'a> View<'a> {
    /// The servers that left, by the backend whose sums they still belong to.
    pub(super) fn departing_by_backend(&self) -> HashMap<BackendId, Vec<&'a Server>> {
        let mut by_backend: HashMap<_, Vec<_>> = HashMap::new();
        for departing in self.departing {
            let servers = by_backend.entry(departing.backend.state.id).or_default();
            servers.push(departing.server);
        }
        by_backend
    }
}

/// Plain data, so that rendering may take its time elsewhere.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    /// Id of the generation in force.
    pub(crate) generation: u64,
    /// About the process.
    pub(crate) process: ProcessFacts,
    /// Rates and sums of the process.
    pub(crate) sums: ProcessSums,
    /// In HAProxy's order: each frontend (with its servers and backend if it is a
    /// `[[listen]]`), then the other backends, as in the file.
    pub(crate) proxies: Vec<Proxy>,
    /// Where servers come from; filled in by whoever has them.
    pub(crate) sources: Vec<SourceRow>,
    /// What drains.
    pub(crate) drains: Vec<DrainRow>,
    /// The servers of `drains`, in the same order.
    pub(crate) draining: Vec<ServerId>,
    /// TLS; filled in by whoever takes the snapshot.
    pub(crate) tls: TlsFacts,
    /// Sessions and requests of each worker that are with a server now.
    pub(crate) worker_sessions: Vec<u64>,
}

impl Snapshot {
    /// Copies what `view` shows. Costs about a microsecond per server and worker.
    pub(crate) fn take(view: &View<'_>, samples: &mut Samples) -> Self {
        samples.look(view);
        let taker = Taker {
            view,
            samples,
            departing: view.departing_by_backend(),
        };
        let process = samples.process();
        Self {
            generation: view.generation.id.get(),
            process: view.process.clone(),
            sums: ProcessSums {
                connections: process.connections,
                sessions: process.sessions,
                bytes_out: process.bytes_out,
                idle_pct: process.idle_pct,
                totals: samples.all_frontends(),
            },
            proxies: taker.proxies(),
            sources: Vec::new(),
            drains: view.departing.iter().map(drain_row).collect(),
            draining: view.departing.iter().map(|d| d.server.id()).collect(),
            tls: TlsFacts::default(),
            worker_sessions: worker_sessions(view),
        }
    }

    /// The groups of a backend, or of all.
    ///
    /// # Errors
    /// There is no such backend.
    pub(crate) fn groups(&self, backend: Option<&str>) -> Result<Vec<GroupRow>, &'static str> {
        let named = |proxy: &&Proxy| backend.is_none_or(|name| *proxy.name == *name);
        let named = self.proxies.iter().filter(named);
        let mut backends = named.filter_map(|proxy| proxy.backend.as_ref()).peekable();
        if backend.is_some() && backends.peek().is_none() {
            return Err("No such backend.");
        }
        Ok(backends
            .flat_map(|backend| backend.groups.iter().cloned())
            .collect())
    }

    /// Every server with its backend's name.
    pub(crate) fn servers(&self) -> impl Iterator<Item = (&Proxy, &ServerRow)> {
        self.proxies.iter().flat_map(|proxy| {
            let servers = proxy.backend.iter().flat_map(|backend| &backend.servers);
            servers.map(move |server| (proxy, server))
        })
    }
}

fn worker_sessions(view: &View<'_>) -> Vec<u64> {
    let mut sessions = vec![0; view.process.workers];
    let leaving = view.departing.iter().map(|departing| departing.server);
    let servers = view.generation.servers().map(|(_, server)| &**server);
    for server in servers.chain(leaving) {
        for (sum, slot) in sessions.iter_mut().zip(server.state.counters.slots()) {
            *sum += slot.map_or(0, |slot| slot.current.get());
        }
    }
    sessions
}

fn drain_row(departing: &Departing<'_>) -> DrainRow {
    let counters = &departing.server.state.counters;
    DrainRow {
        backend: Arc::clone(&departing.backend.name),
        server: Arc::clone(&departing.server.name),
        left: counters.sum(|counters| counters.current.get()),
        cut_in_ms: departing.cut_in_ms,
    }
}

struct Taker<'a> {
    view: &'a View<'a>,
    samples: &'a Samples,
    departing: HashMap<BackendId, Vec<&'a Server>>,
}

impl Taker<'_> {
    fn numbers(&self) -> &Numbers {
        self.samples.numbers()
    }

    fn proxies(&self) -> Vec<Proxy> {
        let generation = self.view.generation;
        let mut halves = Vec::new();
        let mut proxies = Vec::with_capacity(generation.frontends.len());
        for frontend in &generation.frontends {
            let half = other_half(generation, frontend);
            halves.extend(half.map(|backend| backend.state.id));
            proxies.push(Proxy {
                iid: self.numbers().frontend_iid(frontend.state.id),
                name: Arc::clone(&frontend.config.name),
                mode: frontend.config.mode,
                frontend: Some(self.frontend(frontend)),
                backend: half.map(|backend| self.backend(backend)),
            });
        }
        for backend in &generation.backends {
            if !halves.contains(&backend.state.id) && !backend.is_built_in() {
                proxies.push(Proxy {
                    iid: self.numbers().backend_iid(backend.state.id),
                    name: Arc::clone(&backend.name),
                    mode: backend.config.mode,
                    frontend: None,
                    backend: Some(self.backend(backend)),
                });
            }
        }
        proxies
    }

    fn frontend(&self, frontend: &Frontend) -> FrontendRow {
        let state = &frontend.state;
        let none = FrontendSeries::default();
        let series = self.samples.frontend(state.id).unwrap_or(&none);
        let status = if self.view.paused.contains(&state.id) {
            "PAUSED"
        } else if self.view.process.stopping {
            "STOP"
        } else {
            "OPEN"
        };
        let limit = frontend.config.maxconn.unwrap_or(self.view.process.maxconn);
        FrontendRow {
            id: state.id,
            status,
            current: state.connections() as u64,
            peak: series.peak,
            limit: limit as u64,
            totals: FrontendTotals::of(&state.counters).since(&series.baseline),
            connections: series.connections,
            sessions: series.sessions,
            requests: series.requests,
            errors: series.errors,
        }
    }

    fn backend(&self, backend: &Backend) -> BackendRow {
        let now_ms = self.view.now_ms;
        let state = &backend.state;
        let usable = Usable::of(backend);
        let none = BackendSeries::new(true, now_ms);
        let series = self.samples.backend(state.id).unwrap_or(&none);
        let leaving = self.departing.get(&state.id).into_iter().flatten();
        let all = std::iter::once(&state.counters)
            .chain(backend.servers.iter().map(|server| &server.state.counters))
            .chain(leaving.map(|server| &server.state.counters));
        BackendRow {
            servers: backend
                .servers
                .iter()
                .enumerate()
                .map(|(index, server)| self.server(backend, index, server))
                .collect(),
            groups: groups(backend),
            work: Work::of(all, &series.series, now_ms),
            queue: QueueRow {
                now: state.queue.len() as u64,
                peak: series.series.queued,
                limit: (backend.is_limited()).then_some(backend.config.maxqueue as u64),
            },
            up: usable.is_up(backend),
            usable,
            downs: series.downs.saturating_sub(series.series.checks.1),
            changed_ms: series.changed_ms,
            changed_s: since_s(now_ms, series.changed_ms),
            downtime_s: series.downtime_ms(now_ms) / 1000,
            algorithm: match backend.config.balance {
                Balance::RoundRobin => "roundrobin",
            },
            cookie: backend.cookies().map(|cookies| Arc::clone(&cookies.name)),
        }
    }

    fn server(&self, backend: &Backend, index: usize, server: &Server) -> ServerRow {
        let now_ms = self.view.now_ms;
        let state = &server.state;
        let none = Series::default();
        let series = self.samples.server(server.id()).unwrap_or(&none);
        let workers = self.view.process.workers;
        let idle = state.counters.slots().take(workers);
        ServerRow {
            id: server.id(),
            sid: self.numbers().sid(server.id()),
            name: Arc::clone(&server.name),
            address: server.address.clone(),
            tls: server.tls.is_some(),
            status: status(server),
            admin: state.admin(),
            operational: state.operational(),
            weight: backend.shown_weight(index),
            own_weight: server.weight,
            initial_weight: server.initial_weight,
            maxconn: server.maxconn,
            backup: server.backup,
            work: Work::of(std::iter::once(&state.counters), series, now_ms),
            idle_by_worker: idle.map(|slot| slot.map_or(0, |s| s.idle.get())).collect(),
            pool_max: backend.config.pool_max,
            pool_idle: backend.config.timeouts.pool_idle,
            // A state counts from 0, the start of the process; the server may be younger.
            changed_ms: state.changed_ms().max(series.first_ms),
            changed_s: since_s(now_ms, state.changed_ms().max(series.first_ms)),
            check: check(server, series, now_ms),
            cookie: backend.cookies().map(|c| Arc::clone(c.value(index))),
            waiting: (state.line.len() as u64, series.queued),
        }
    }
}

fn groups(backend: &Backend) -> Vec<GroupRow> {
    let Some(groups) = backend.groups() else {
        return Vec::new();
    };
    let parts = backend.parts();
    let total: u64 = groups.iter().map(|group| u64::from(group.share)).sum();
    let row = |group: &Group| {
        let members = group.members.iter().map(|index| *index as usize);
        let server = |index: usize| &backend.servers[index];
        GroupRow {
            backend: Arc::clone(&backend.name),
            group: Arc::clone(&group.name),
            weight: group.wanted,
            wanted: match total {
                0 => 0.0,
                total => f64::from(group.share) * 100.0 / total as f64,
            },
            served: members.clone().map(|index| parts[index]).sum::<f64>() * 100.0,
            usable: (members.clone())
                .filter(|index| server(*index).weight > 0 && server(*index).state.is_usable())
                .count(),
            servers: members
                .map(|index| Arc::clone(&server(index).name))
                .collect(),
        }
    };
    groups.iter().map(row).collect()
}

fn check(server: &Server, series: &Series, now_ms: u64) -> Option<CheckRow> {
    let check = server.check.as_ref()?;
    let state = &server.state;
    let last = state.last_check().unwrap_or(LastCheck {
        code: CheckCode::Ini,
        status: 0,
        errno: 0,
        duration_ms: 0,
    });
    let elsewhere = server.check_address != server.address;
    Some(CheckRow {
        address: elsewhere.then(|| server.check_address.clone()),
        rise: check.rise,
        fall: check.fall,
        health: state.health(),
        last,
        running: state.is_checking(),
        info: check_info(last),
        failures: state.check_failures().saturating_sub(series.checks.0),
        downs: state.downs().saturating_sub(series.checks.1),
        downtime_s: state.downtime_ms(now_ms) / 1000,
    })
}

impl Work {
    fn of<'a>(
        all: impl Iterator<Item = &'a PerWorker<Counters>>,
        series: &Series,
        now_ms: u64,
    ) -> Self {
        let mut totals = Totals::default();
        let mut means = Means::default();
        let mut latency = Latency::default();
        let (mut current, mut idle) = (0, 0);
        for counters in all {
            totals.add(&Totals::of(counters));
            means.add(&Means::of(counters));
            latency.add(&Latency::of(counters));
            current += counters.sum(|counters| counters.current.get());
            idle += counters.sum(|counters| counters.idle.get());
        }
        Self {
            current,
            peak: series.peak,
            idle,
            totals: totals.since(&series.baseline),
            sessions: series.sessions,
            errors: series.errors,
            used_ms: series.used_ms,
            last_used_s: series.used_ms.map(|used| since_s(now_ms, used)),
            average_ms: means.0.map(Mean::millis),
            max_ms: series.max.map(to_millis),
            recent: latency.since(&series.older),
            latency,
        }
    }
}

fn since_s(now_ms: u64, then_ms: u64) -> u64 {
    now_ms.saturating_sub(then_ms) / 1000
}
