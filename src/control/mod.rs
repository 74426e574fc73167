//! The single writer: decides what is served, publishes it, and watches over the
//! workers.
//!
//! One thread with a runtime of its own. Everything that changes the set takes
//! one way: file, sources and overrides ([`Inputs`]) go through `Control::bring`,
//! which merges them into a [`Desired`] state, opens what must be opened, builds
//! the next generation, publishes it, waits until every worker has passed it, and
//! lets what left drain. This room must not touch bytes of traffic. Start at
//! `change.rs` (what may be asked), then `merge.rs` and `apply.rs`.

mod admin;
mod apply;
mod binds;
mod certificates;
mod change;
mod clear;
mod describe;
mod difference;
mod discover;
mod drain;
mod edit;
mod file_sources;
mod files;
mod frontends;
mod history;
mod inotify;
mod keys;
mod merge;
mod overrides;
mod ready;
mod refusal;
mod register;
mod reload;
mod run;
mod save;
mod sessions;
mod sites;
mod snapshot;
mod sources;
mod spec;
mod stats;
mod stop;
mod supervise;
mod takeover;
#[cfg(test)]
mod tests;
mod view;
mod watch;
mod weights;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use tokio::sync::{Notify, mpsc};

use crate::config::{BindAddress, Config, Global};
use crate::discovery::{Discovery, Registration, SourceId};
use crate::generation::{Desired, Generation, Published};
use crate::health::{Health, HealthEvent};
use crate::log::{EventLog, Logs};
use crate::net::ServiceManager;
use crate::worker::Handle;

use admin::Rivals;
pub(crate) use admin::{AdminSockets, check_admin_conversation};
pub(crate) use apply::ApplyError;
use binds::Binds;
pub(crate) use change::{AddedState, AddressChange, Cause, WeightChange};
pub(crate) use clear::OverrideRow;
use difference::Difference;
pub(crate) use drain::DrainRow;
use drain::Draining;
use file_sources::FileSources;
use files::Files;
pub(crate) use history::GenerationRow;
use history::History;
use keys::Keys;
use merge::Inputs;
pub(crate) use refusal::Refusal;
pub use reload::ReloadReport;
pub(crate) use run::{Command, Inbox};
use save::Saving;
pub use stop::Stopping;
pub(crate) use stop::{Outcome, Stop};
pub use takeover::Program;
use takeover::{Outcomes, Shared};
pub(crate) use takeover::{Predecessor, TakeoverError};
pub(crate) use view::Vitals;
use watch::Watch;

/// For benches.
pub(crate) mod internal {
    pub(crate) use super::apply::set_states;
    pub(crate) use super::describe::describe;
    pub(crate) use super::edit::Edit;
    pub(crate) use super::merge::Inputs;
    pub(crate) use super::overrides::Set;
}

/// The control plane of a process; lives on the control thread.
pub(crate) struct Control {
    /// The door to the workers.
    published: Arc<Published>,
    /// The workers.
    workers: Vec<Handle>,
    /// The files the process was started with.
    paths: Vec<PathBuf>,
    /// What stays as it was at the start.
    started: Global,
    /// Values that came into the file from the environment.
    expanded: RefCell<Arc<[String]>>,
    /// All that decides what is served.
    inputs: RefCell<Inputs>,
    /// What is wanted now: the inputs, merged.
    desired: RefCell<Arc<Desired>>,
    /// Where that is not what is written.
    differences: RefCell<Vec<Difference>>,
    /// What members announced and others have.
    conflicts: RefCell<Vec<sites::Conflict>>,
    /// What the last merge could not take; each is said once.
    merge_warnings: RefCell<HashSet<String>>,
    history: RefCell<History>,
    /// Looks at the files are one after the other.
    files: tokio::sync::Mutex<Files>,
    /// How server files are, for those who look.
    file_sources: RefCell<FileSources>,
    saving: Saving,
    keys: Keys,
    binds: RefCell<Binds>,
    health: RefCell<Health>,
    discovery: RefCell<Discovery>,
    registrations: RefCell<Vec<Registration>>,
    /// When an earlier process heard each source, Unix seconds, until the providers start.
    heard: RefCell<BTreeMap<SourceId, u64>>,
    drains: RefCell<Draining>,
    watch: RefCell<Watch>,
    /// What is remembered for those who look.
    shown: view::Shown,
    admin: RefCell<AdminSockets>,
    /// Where the stats page is.
    stats: stats::Sites,
    /// `None` = they have ended.
    logs: RefCell<Option<Logs>>,
    /// What cannot be read of certificates, said once.
    bad_certificates: RefCell<HashSet<String>>,
    /// Certificates near their end, and when that was said last.
    expiring: RefCell<HashMap<(PathBuf, i64), u64>>,
    /// Who started the process.
    manager: ServiceManager,
    /// It knows that the process is ready.
    is_ready_told: Cell<bool>,
    /// Whose the listening sockets are.
    shared: RefCell<Shared>,
    /// What this process runs, to be started anew by `upgrade`.
    program: Option<Program>,
    /// One upgrade at a time.
    upgrade_turn: tokio::sync::Mutex<()>,
    /// Who waits for the outcome of a takeover.
    upgrading: RefCell<Option<Outcomes>>,
    /// Generations that workers may still look at: freed here, never on a worker.
    replaced: RefCell<VecDeque<Arc<Generation>>>,
    /// One change at a time.
    turn: tokio::sync::Mutex<()>,
    /// Health changed: the schedules have to be built again.
    stale: Notify,
    /// Somebody wants the process to end.
    stop: Cell<Option<Stop>>,
    stopping: Notify,
    origin: Instant,
}

/// What control is made of; crosses into its thread.
pub(crate) struct Parts {
    /// The door, with an empty generation behind it.
    pub(crate) published: Arc<Published>,
    /// Running workers.
    pub(crate) workers: Vec<Handle>,
    /// Time zero of the process.
    pub(crate) origin: Instant,
    /// Its logs.
    pub(crate) logs: Logs,
}

/// What a process starts with.
#[derive(Debug, Default)]
pub(crate) struct First {
    /// The configuration.
    pub(crate) config: Arc<Config>,
    /// The files it came from, to be followed and read again; empty = none.
    pub(crate) paths: Vec<PathBuf>,
    /// Values in it that came from the environment.
    pub(crate) expanded: Vec<String>,
    /// Who started the process.
    pub(crate) manager: ServiceManager,
    /// What the process runs, if it can be started anew.
    pub(crate) program: Option<Program>,
    /// The running process whose place we take.
    pub(crate) predecessor: Option<Predecessor>,
    /// Where events go.
    pub(crate) events: EventLog,
}

impl Control {
    /// Brings the first configuration into force. Needs a local runtime.
    ///
    /// # Errors
    /// A bind or an admin socket could not be opened.
    pub(crate) async fn start(
        parts: Parts,
        first: First,
    ) -> Result<(Rc<Self>, mpsc::Receiver<HealthEvent>), ApplyError> {
        let seed = u64::from(std::process::id());
        let (health, events) = Health::new(parts.origin.into(), seed);
        let control = Rc::new_cyclic(|control| Self {
            published: parts.published,
            workers: parts.workers,
            paths: first.paths,
            started: first.config.global.clone(),
            expanded: RefCell::new(first.expanded.into()),
            inputs: RefCell::default(),
            desired: RefCell::new(Arc::new(Desired::nothing())),
            differences: RefCell::default(),
            conflicts: RefCell::default(),
            merge_warnings: RefCell::default(),
            history: RefCell::default(),
            files: tokio::sync::Mutex::default(),
            file_sources: RefCell::default(),
            saving: Saving::default(),
            keys: Keys::default(),
            binds: RefCell::default(),
            health: RefCell::new(health),
            discovery: RefCell::default(),
            registrations: RefCell::default(),
            heard: RefCell::default(),
            drains: RefCell::default(),
            watch: RefCell::default(),
            shown: view::Shown::default(),
            admin: RefCell::default(),
            stats: stats::Sites::new(Weak::clone(control)),
            logs: RefCell::new(Some(parts.logs)),
            bad_certificates: RefCell::default(),
            expiring: RefCell::default(),
            manager: first.manager,
            is_ready_told: Cell::new(false),
            shared: RefCell::default(),
            program: first.program,
            upgrade_turn: tokio::sync::Mutex::default(),
            upgrading: RefCell::default(),
            replaced: RefCell::default(),
            turn: tokio::sync::Mutex::new(()),
            stale: Notify::new(),
            stop: Cell::new(None),
            stopping: Notify::new(),
            origin: parts.origin,
        });
        let admin = first.config.global.admin.clone();
        let mut predecessor = first.predecessor;
        control.restore(&first.config, predecessor.as_ref()).await;
        if let Some(predecessor) = &mut predecessor {
            control.health.borrow_mut().expect(predecessor.known());
            let tickets = std::mem::take(&mut predecessor.tickets);
            control.generation().tls.tickets().import(tickets);
            let taken = std::mem::take(&mut predecessor.taken);
            control.binds.borrow_mut().take_over(taken);
            control.stats.share(true);
        }
        control.first_config(first.config).await?;
        control.name_restored();
        control.health.borrow_mut().expect(Vec::new());
        if let Some(predecessor) = &predecessor {
            control.adopt_counters(&predecessor.counters);
        }
        match predecessor {
            Some(predecessor) => {
                control.take_over(predecessor, &admin).await?;
                control.stats.share(false);
            }
            // Behind the binds: a second process that finds them taken touches no socket of the first.
            None => AdminSockets::reconcile(&control, &admin, Rivals::Respect).await?,
        }
        Ok((control, events))
    }

    /// Brings the first configuration into force, with its server files and without
    /// its admin sockets.
    async fn first_config(&self, config: Arc<Config>) -> Result<(), ApplyError> {
        let (looked, report) = self.first_look(&config).await;
        self.prepare_tls(&config, &looked.sources).await?;
        let turn = self.turn.lock().await;
        let inputs = self.inputs_with(config, looked);
        let brought = self.bring(&turn, inputs, &Cause::Start, None).await?;
        warn(report, brought.warnings);
        Ok(())
    }

    /// Brings another configuration into force, with its server files.
    ///
    /// # Errors
    /// A bind or an admin socket could not be opened; everything goes on as before.
    async fn replace_config(self: &Rc<Self>, config: Arc<Config>) -> Result<(), ApplyError> {
        let (looked, report) = self.first_look(&config).await;
        self.prepare_tls(&config, &looked.sources).await?;
        let turn = self.turn.lock().await;
        let inputs = self.inputs_with(config, looked);
        let brought = self.bring_written(&turn, inputs, &Cause::Engine).await?;
        warn(report, brought.warnings);
        Ok(())
    }

    fn inputs_with(&self, config: Arc<Config>, looked: merge::Looked) -> Inputs {
        let mut inputs = self.inputs.borrow().clone();
        inputs.config = self.stats.with_routes(config);
        inputs.take(looked);
        inputs
    }

    /// Values that came into the file from the environment: never to be shown.
    pub(crate) fn expanded(&self) -> Arc<[String]> {
        Arc::clone(&self.expanded.borrow())
    }

    /// The generation in force.
    pub(crate) fn generation(&self) -> Arc<Generation> {
        self.published.generation.load_full()
    }

    /// Where each frontend listens, for those who asked for port 0.
    pub(crate) fn addresses(&self) -> Vec<(Arc<str>, SocketAddr)> {
        self.binds.borrow().addresses()
    }

    /// Where `[stats]` listens.
    pub(crate) fn stats_addresses(&self) -> Vec<SocketAddr> {
        self.stats.addresses()
    }

    /// Open binds and their frontends, ports filled in.
    pub(crate) fn binds(&self) -> Vec<(Arc<str>, BindAddress)> {
        self.binds.borrow().shown()
    }

    /// Monotonic milliseconds since the start.
    fn now_ms(&self) -> u64 {
        self.origin.elapsed().as_millis() as u64
    }
}

fn warn(report: Vec<String>, warnings: Vec<String>) {
    for warning in report.into_iter().chain(warnings) {
        tracing::warn!("{warning}");
    }
}

/// Wall clock, Unix seconds: what is kept on disk outlives a monotonic clock.
fn unix_now() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.unwrap_or_default().as_secs()
}
