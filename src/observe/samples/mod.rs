//! From sums to rates, maxima and ages: what only time can tell.
//!
//! Pure: the time comes in, so tests need no clock. [`Samples::sample`] is to be
//! called once a second; between two calls [`Samples::look`] keeps maxima and
//! ages fresh. All entries hang on identities and go with them.

use std::collections::HashMap;

mod series;
#[cfg(test)]
mod tests;
mod trail;

use super::Numbers;
use super::rows::Usable;
use super::snapshot::View;
use super::totals::{FrontendTotals, Latency, Totals};
use crate::generation::{Backend, Server};
use crate::state::{BackendId, FrontendId, ServerId};
pub(crate) use series::Rate;
pub(super) use series::{BackendSeries, FrontendSeries, ProcessSeries, Series};
use series::{SERVER_ERRORS, Sight};
pub(crate) use trail::Trail;

/// What was learnt over time. Lives on the control thread.
#[derive(Debug, Default)]
pub(crate) struct Samples {
    numbers: Numbers,
    /// When `sample` was called last.
    last_ms: u64,
    /// When what is recent was last moved on.
    turned_ms: u64,
    frontends: HashMap<FrontendId, FrontendSeries>,
    backends: HashMap<BackendId, BackendSeries>,
    servers: HashMap<ServerId, Series>,
    process: ProcessSeries,
}

/// Percentiles are of the last one to two times this.
const RECENT_MS: u64 = 30_000;

impl Samples {
    /// HAProxy's numbers, for names given as `#id`.
    pub(crate) fn numbers(&self) -> &Numbers {
        &self.numbers
    }

    /// The last minutes of a frontend.
    pub(crate) fn frontend_trail(&self, id: FrontendId) -> Option<&Trail> {
        self.frontends.get(&id).map(|series| &series.trail)
    }

    /// The last minutes of a backend.
    pub(crate) fn backend_trail(&self, id: BackendId) -> Option<&Trail> {
        self.backends.get(&id).map(|series| &series.trail)
    }

    /// Rates over the time since the last call. To be called once a second.
    pub(crate) fn sample(&mut self, view: &View<'_>) {
        self.look(view);
        self.forget(view.now_ms);
        let elapsed_ms = view.now_ms.saturating_sub(self.last_ms);
        if elapsed_ms == 0 {
            return;
        }
        self.last_ms = view.now_ms;
        let mut all = self.process.gone;
        for series in self.frontends.values_mut() {
            let totals = series.totals;
            series.connections.sample(totals.connections, elapsed_ms);
            series.sessions.sample(totals.sessions, elapsed_ms);
            series.requests.sample(totals.requests, elapsed_ms);
            let errors = totals.responses[SERVER_ERRORS];
            series.errors.sample(errors, elapsed_ms);
            // A TCP frontend has no requests.
            let work = series.requests.now.max(series.sessions.now);
            series.trail.push(work, series.errors.now);
            all.add(&totals);
        }
        let backends = self
            .backends
            .values_mut()
            .map(|backend| &mut backend.series);
        for series in backends.chain(self.servers.values_mut()) {
            series.sessions.sample(series.total, elapsed_ms);
            series.errors.sample(series.error_total, elapsed_ms);
        }
        for backend in self.backends.values_mut() {
            let series = &backend.series;
            let (work, errors) = (series.sessions.now, series.errors.now);
            backend.trail.push(work, errors);
        }
        let process = &mut self.process;
        process
            .connections
            .sample(view.process.accepted, elapsed_ms);
        process.sessions.sample(all.sessions, elapsed_ms);
        process.bytes_out.sample(all.bytes_out, elapsed_ms);
        let busy = view.process.cpu.saturating_sub(process.cpu).as_millis();
        let time = u128::from(elapsed_ms) * view.process.workers.max(1) as u128;
        process.idle_pct = 100 - u32::try_from((busy * 100 / time).min(100)).unwrap_or(100);
        process.cpu = view.process.cpu;
    }

    /// What was counted by now is no work of this process: no rate, no use.
    pub(crate) fn begin(&mut self, view: &View<'_>) {
        self.look(view);
        for series in self.frontends.values_mut() {
            series.begin();
        }
        let backends = self.backends.values_mut().map(|b| &mut b.series);
        for series in backends.chain(self.servers.values_mut()) {
            series.begin();
        }
        let all = self.all_frontends();
        self.process.sessions.begin(all.sessions);
        self.process.bytes_out.begin(all.bytes_out);
    }

    /// Whether a backend is up, as soon as that may have changed: one that was down for
    /// less than the time between two looks was down, too.
    pub(crate) fn watch(&mut self, backend: &Backend, now_ms: u64) {
        let up = Usable::of(backend).is_up(backend);
        let entry = self.backends.entry(backend.state.id);
        let series = entry.or_insert_with(|| BackendSeries::new(up, now_ms));
        series.watch(up, now_ms);
    }

    /// Maxima, ages and numbers as of now.
    pub(crate) fn look(&mut self, view: &View<'_>) {
        let now_ms = view.now_ms;
        self.numbers.assign(view.generation);
        for frontend in &view.generation.frontends {
            let state = &frontend.state;
            let series = self.frontends.entry(state.id).or_default();
            let peak = state.take_connections_max().max(state.connections());
            series.peak = series.peak.max(peak as u64);
            series.totals = FrontendTotals::of(&state.counters);
            series.seen_ms = now_ms;
        }
        let departing = view.departing_by_backend();
        for backend in &view.generation.backends {
            let mut all = Sight::take(&backend.state.counters);
            let leaving = departing.get(&backend.state.id).into_iter().flatten();
            let servers = backend.servers.iter().map(|server| &**server);
            for server in servers.chain(leaving.copied()) {
                let sight = Sight::take(&server.state.counters);
                let entry = self.servers.entry(server.id());
                let series = entry.or_insert_with(|| Series::new(now_ms));
                series.look(&sight, &server.state.line, now_ms);
                all.add(&sight);
            }
            self.look_at_backend(backend, &all, now_ms);
        }
        if now_ms >= self.turned_ms + RECENT_MS {
            self.turned_ms = now_ms;
            self.turn(view, &departing);
        }
    }

    /// What is recent begins anew.
    fn turn(&mut self, view: &View<'_>, departing: &HashMap<BackendId, Vec<&Server>>) {
        for backend in &view.generation.backends {
            let mut all = Latency::of(&backend.state.counters);
            let leaving = departing.get(&backend.state.id).into_iter().flatten();
            let servers = backend.servers.iter().map(|server| &**server);
            for server in servers.chain(leaving.copied()) {
                let latency = Latency::of(&server.state.counters);
                all.add(&latency);
                if let Some(series) = self.servers.get_mut(&server.id()) {
                    series.turn(latency);
                }
            }
            if let Some(series) = self.backends.get_mut(&backend.state.id) {
                series.series.turn(all);
            }
        }
    }

    fn look_at_backend(&mut self, backend: &Backend, all: &Sight, now_ms: u64) {
        self.watch(backend, now_ms);
        if let Some(series) = self.backends.get_mut(&backend.state.id) {
            series.series.look(all, &backend.state.queue, now_ms);
        }
    }

    /// Forgets what was not seen by the look at `now_ms`.
    fn forget(&mut self, now_ms: u64) {
        let gone = &mut self.process.gone;
        self.frontends.retain(|_, series| {
            let stays = series.seen_ms == now_ms;
            if !stays {
                gone.add(&series.totals);
            }
            stays
        });
        self.backends.retain(|_, b| b.series.seen_ms == now_ms);
        self.servers.retain(|_, series| series.seen_ms == now_ms);
        let Self {
            numbers,
            frontends,
            backends,
            servers,
            ..
        } = self;
        numbers.retain(
            |id| frontends.contains_key(&id),
            |id| backends.contains_key(&id),
            |id| servers.contains_key(&id),
        );
    }

    /// `clear counters`: maxima begin anew.
    pub(crate) fn clear_maxima(&mut self, view: &View<'_>) {
        // What the counters still hold belongs to the past.
        self.look(view);
        for series in self.frontends.values_mut() {
            series.clear_maxima();
        }
        for backend in self.backends.values_mut() {
            backend.series.clear_maxima();
        }
        for series in self.servers.values_mut() {
            series.clear_maxima();
        }
        let process = &mut self.process;
        for rate in [&mut process.connections, &mut process.sessions] {
            rate.max = 0;
        }
    }

    /// `clear counters all`: everything is shown from 0 on. Averages follow the
    /// last requests anyway, and go on.
    pub(crate) fn clear_all(&mut self, view: &View<'_>) {
        self.clear_maxima(view);
        for series in self.frontends.values_mut() {
            series.baseline = series.totals;
        }
        let departing = view.departing_by_backend();
        for backend in &view.generation.backends {
            let mut all = Totals::of(&backend.state.counters);
            let leaving = departing.get(&backend.state.id).into_iter().flatten();
            let servers = backend.servers.iter().map(|server| &**server);
            for server in servers.chain(leaving.copied()) {
                let totals = Totals::of(&server.state.counters);
                all.add(&totals);
                self.clear_series(server, totals);
            }
            if let Some(series) = self.backends.get_mut(&backend.state.id) {
                let downs = series.downs;
                series.series.clear(all, (0, downs));
            }
        }
    }

    /// `clear counters server b/s`.
    pub(crate) fn clear_server(&mut self, view: &View<'_>, server: &Server) {
        self.look(view);
        self.clear_series(server, Totals::of(&server.state.counters));
    }

    fn clear_series(&mut self, server: &Server, totals: Totals) {
        let checks = (server.state.check_failures(), server.state.downs());
        if let Some(series) = self.servers.get_mut(&server.id()) {
            series.clear(totals, checks);
        }
    }

    pub(super) fn frontend(&self, id: FrontendId) -> Option<&FrontendSeries> {
        self.frontends.get(&id)
    }

    pub(super) fn backend(&self, id: BackendId) -> Option<&BackendSeries> {
        self.backends.get(&id)
    }

    pub(super) fn server(&self, id: ServerId) -> Option<&Series> {
        self.servers.get(&id)
    }

    pub(super) fn process(&self) -> &ProcessSeries {
        &self.process
    }

    /// Totals of all frontends there ever were.
    pub(super) fn all_frontends(&self) -> FrontendTotals {
        let mut all = self.process.gone;
        for series in self.frontends.values() {
            all.add(&series.totals);
        }
        all
    }
}
