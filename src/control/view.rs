//! What control shows of itself, to those who only look.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::{Instant, MissedTickBehavior};

use super::{Control, Outcome};
use crate::generation::{Backend, Frontend, Phase, Server};
use crate::log::Logs;
use crate::observe::{Departing, ProcessFacts, Samples, Snapshot, View, cpu_time, node_name};
use crate::state::FrontendId;

/// What is remembered for those who look.
#[derive(Debug)]
pub(super) struct Shown {
    samples: RefCell<Samples>,
    started: SystemTime,
    descriptors: usize,
}

/// Whether the process itself is well; backends are not its health.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Vitals {
    /// Binds that should be open.
    pub(crate) binds: usize,
    /// Those that are.
    pub(crate) binds_open: usize,
    /// It is on its way to its end.
    pub(crate) draining: bool,
    /// Worker threads.
    pub(crate) workers: usize,
    /// Those whose tick is late.
    pub(crate) workers_late: usize,
    /// Sources that never answered, nor had anything to begin with, and are still
    /// waited for.
    pub(crate) sources_waiting: usize,
}

/// A worker this late is not well.
const LATE: Duration = Duration::from_secs(2);
/// Rates are per second.
const SAMPLE: Duration = Duration::from_secs(1);

impl Default for Shown {
    fn default() -> Self {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        Self {
            samples: RefCell::default(),
            started: SystemTime::now(),
            descriptors: limit.current.map_or(usize::MAX, |limit| limit as usize),
        }
    }
}

impl Control {
    /// Time since the start.
    pub(crate) fn uptime(&self) -> Duration {
        self.origin.elapsed()
    }

    /// Everything there is to see, now, as plain data.
    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot {
            tls: self.tls_facts(),
            sources: self.sources(),
            ..self.with_view(Snapshot::take)
        }
    }

    /// Whether the process itself is well.
    pub(crate) fn vitals(&self) -> Vitals {
        let generation = self.generation();
        let wanted = generation.frontends.iter().filter(|f| !f.paused);
        let late = self.workers.iter().filter(|w| w.pulse.age() >= LATE);
        Vitals {
            binds: wanted.map(|f| f.config.binds.len()).sum(),
            binds_open: self.binds.borrow().ids().len(),
            draining: self.is_stopping(),
            workers: self.workers.len(),
            workers_late: late.count(),
            sources_waiting: self.sources_waited_for(),
        }
    }

    fn is_stopping(&self) -> bool {
        self.published.phase() != Phase::Running || self.stop.get().is_some()
    }

    /// Rates and maxima come from looking once a second.
    pub(super) async fn sample_always(self: Rc<Self>) -> Outcome {
        let mut tick = tokio::time::interval(SAMPLE);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            self.with_view(|view, samples| samples.sample(view));
        }
    }

    /// A change of health, or of what the operator wants, is seen when it happens.
    pub(super) fn watch_backends(&self, which: impl Fn(&Backend) -> bool) {
        let (generation, now_ms) = (self.generation(), self.now_ms());
        let mut samples = self.shown.samples.borrow_mut();
        for backend in generation.backends.iter().filter(|b| which(b)) {
            samples.watch(backend, now_ms);
        }
    }

    /// What is counted by now was counted by another process.
    pub(super) fn begin_samples(&self) {
        self.with_view(|view, samples| samples.begin(view));
    }

    /// `clear counters`: the maxima, or `all`.
    pub(crate) fn clear_counters(&self, all: bool) {
        self.with_view(|view, samples| {
            if all {
                samples.clear_all(view);
            } else {
                samples.clear_maxima(view);
            }
        });
    }

    /// `clear counters server`.
    pub(crate) fn clear_server_counters(&self, server: &Server) {
        self.with_view(|view, samples| samples.clear_server(view, server));
    }

    /// `set maxconn global`; false = more than the process was made for.
    pub(crate) fn set_maxconn(&self, maxconn: usize) -> bool {
        self.published.set_maxconn(maxconn)
    }

    /// A backend by name or `#id`.
    pub(crate) fn find_backend(&self, word: &str) -> Option<Arc<Backend>> {
        self.numbered(word, |samples, word| {
            let generation = self.generation();
            samples.numbers().find_backend(&generation, word).cloned()
        })
    }

    /// A frontend by name or `#id`.
    pub(crate) fn find_frontend(&self, word: &str) -> Option<Arc<Frontend>> {
        self.numbered(word, |samples, word| {
            let generation = self.generation();
            samples.numbers().find_frontend(&generation, word).cloned()
        })
    }

    /// A server of this backend by name or `#id`.
    pub(crate) fn find_server(&self, backend: &Backend, word: &str) -> Option<Arc<Server>> {
        self.numbered(word, |samples, word| {
            samples.numbers().find_server(backend, word).cloned()
        })
    }

    /// What was learnt over time.
    pub(super) fn with_samples<T>(&self, look: impl FnOnce(&Samples) -> T) -> T {
        look(&self.shown.samples.borrow())
    }

    /// Numbers are given when somebody looks: before one is looked up, then.
    fn numbered<T>(&self, word: &str, find: impl FnOnce(&Samples, &str) -> T) -> T {
        if word.starts_with('#') {
            self.with_view(|view, samples| samples.look(view));
        }
        find(&self.shown.samples.borrow(), word)
    }

    fn with_view<T>(&self, look: impl FnOnce(&View<'_>, &mut Samples) -> T) -> T {
        let generation = self.generation();
        let process = self.process_facts();
        let now = Instant::now();
        let drains = self.drains.borrow();
        let departing: Vec<Departing<'_>> = drains
            .iter()
            .map(|leaving| Departing {
                backend: &leaving.backend,
                server: &leaving.server,
                cut_in_ms: leaving
                    .deadline
                    .checked_duration_since(now)
                    .map(|left| left.as_millis() as u64),
            })
            .collect();
        let paused: Vec<FrontendId> = generation
            .frontends
            .iter()
            .filter(|frontend| frontend.paused)
            .map(|frontend| frontend.state.id)
            .collect();
        let view = View {
            now_ms: self.now_ms(),
            generation: &generation,
            departing: &departing,
            paused: &paused,
            process: &process,
        };
        look(&view, &mut self.shown.samples.borrow_mut())
    }

    fn process_facts(&self) -> ProcessFacts {
        let published = &self.published;
        let late_max = self.workers.iter().map(|worker| worker.pulse.late_max());
        ProcessFacts {
            pid: std::process::id(),
            node: node_name(),
            started_unix_ms: unix_ms(self.shown.started),
            now_unix_ms: unix_ms(SystemTime::now()),
            uptime: self.uptime(),
            cpu: cpu_time(),
            workers: self.workers.len(),
            descriptors: self.shown.descriptors,
            maxconn: published.maxconn(),
            connections: published.connections(),
            accepted: published.accepted(),
            pipes_max: self.desired.borrow().config.global.pipes_max,
            pipes: published.pipes.load(Ordering::Relaxed),
            listeners: self.binds.borrow().ids().len(),
            stopping: self.is_stopping(),
            panics: published.panics.load(Ordering::Relaxed),
            generation_unix_ms: self.last_change().map_or(0, unix_ms),
            changes: self.changes(),
            late_max: late_max.collect(),
            dropped_logs: self.logs.borrow().as_ref().map_or(0, Logs::lost),
            ..ProcessFacts::default()
        }
    }
}

fn unix_ms(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis() as u64
}
