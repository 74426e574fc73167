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
mod change;
mod describe;
mod difference;
mod drain;
mod edit;
mod files;
mod history;
mod inotify;
mod merge;
mod overrides;
mod reload;
mod run;
mod save;
mod sessions;
mod snapshot;
mod sources;
mod spec;
mod stop;
mod supervise;
mod takeover;
#[cfg(test)]
mod tests;
mod view;
mod watch;

use std::cell::{Cell, RefCell};
use std::collections::{HashSet, VecDeque};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use tokio::sync::{Notify, mpsc};

use crate::config::{BindAddress, Config, Global};
use crate::generation::{Desired, Generation, Published};
use crate::health::{Health, HealthEvent};
use crate::log::{EventLog, Logs};
use crate::net::ServiceManager;
use crate::worker::Handle;

use admin::Rivals;
pub(crate) use admin::{AdminSockets, check_admin_conversation};
pub(crate) use apply::ApplyError;
use binds::Binds;
pub use change::ReloadReport;
pub(crate) use change::{
    AddedState, AddressChange, Cause, DrainRow, GenerationRow, OverrideRow, Refusal, WeightChange,
};
use difference::Difference;
use drain::Draining;
use files::Files;
use history::History;
use merge::Inputs;
pub(crate) use run::{Command, Inbox};
use save::Saving;
pub use stop::Stopping;
pub(crate) use stop::{Outcome, Stop};
use takeover::Shared;
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
    /// What the last merge could not take; each is said once.
    merge_warnings: RefCell<HashSet<String>>,
    history: RefCell<History>,
    /// Looks at the files are one after the other.
    files: tokio::sync::Mutex<Files>,
    saving: Saving,
    binds: RefCell<Binds>,
    health: RefCell<Health>,
    drains: RefCell<Draining>,
    watch: RefCell<Watch>,
    /// What is remembered for those who look.
    shown: view::Shown,
    admin: RefCell<AdminSockets>,
    /// `None` = they have ended.
    logs: RefCell<Option<Logs>>,
    /// Who started the process.
    manager: ServiceManager,
    /// Whose the listening sockets are.
    shared: RefCell<Shared>,
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
        let control = Rc::new(Self {
            published: parts.published,
            workers: parts.workers,
            paths: first.paths,
            started: first.config.global.clone(),
            expanded: RefCell::new(first.expanded.into()),
            inputs: RefCell::default(),
            desired: RefCell::new(Arc::new(Desired::nothing())),
            differences: RefCell::default(),
            merge_warnings: RefCell::default(),
            history: RefCell::default(),
            files: tokio::sync::Mutex::default(),
            saving: Saving::default(),
            binds: RefCell::default(),
            health: RefCell::new(health),
            drains: RefCell::default(),
            watch: RefCell::default(),
            shown: view::Shown::default(),
            admin: RefCell::default(),
            logs: RefCell::new(Some(parts.logs)),
            manager: first.manager,
            shared: RefCell::default(),
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
            let taken = std::mem::take(&mut predecessor.taken);
            control.binds.borrow_mut().take_over(taken);
        }
        control.replace_config(first.config, &Cause::Start).await?;
        control.name_restored();
        control.health.borrow_mut().expect(Vec::new());
        match predecessor {
            Some(predecessor) => control.take_over(predecessor, &admin).await?,
            // Behind the binds: a second process that finds them taken touches no socket of the first.
            None => AdminSockets::reconcile(&control, &admin, Rivals::Respect).await?,
        }
        // Each worker has answered from within its accept loop.
        control.manager.ready();
        Ok((control, events))
    }

    /// Brings another configuration into force, with its server files.
    ///
    /// # Errors
    /// A bind could not be opened; everything goes on as before.
    pub(super) async fn replace_config(
        &self,
        config: Arc<Config>,
        cause: &Cause,
    ) -> Result<(), ApplyError> {
        let (sources, report) = self.first_look(&config).await;
        let turn = self.turn.lock().await;
        let mut inputs = self.inputs.borrow().clone();
        inputs.config = config;
        for (id, members) in sources {
            inputs.sources.set(id, members);
        }
        let brought = self.bring(&turn, inputs, cause, None).await?;
        for warning in report.into_iter().chain(brought.warnings) {
            tracing::warn!("{warning}");
        }
        Ok(())
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

    /// Open binds and their frontends, ports filled in.
    pub(crate) fn binds(&self) -> Vec<(Arc<str>, BindAddress)> {
        self.binds.borrow().shown()
    }

    /// Monotonic milliseconds since the start.
    fn now_ms(&self) -> u64 {
        self.origin.elapsed().as_millis() as u64
    }
}

/// Wall clock, Unix seconds: what is kept on disk outlives a monotonic clock.
fn unix_now() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.unwrap_or_default().as_secs()
}
