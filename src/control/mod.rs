//! The single writer: decides what is served, publishes it, and watches over the
//! workers.
//!
//! One thread with a runtime of its own. Everything that changes the set takes
//! one way: a [`Desired`] state goes through [`Control::apply`], which opens
//! what must be opened, builds the next generation, publishes it, waits until
//! every worker has passed it, and lets what left drain. This room must not
//! touch bytes of traffic. Start at [`Control::apply`].

mod admin;
mod apply;
mod binds;
mod change;
mod drain;
mod run;
mod stop;
mod supervise;
mod view;
mod watch;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{Notify, mpsc};

use crate::config::{BindAddress, Config};
use crate::generation::{Desired, Generation, Published, Report};
use crate::health::{Health, HealthEvent};
use crate::worker::Handle;

pub(crate) use admin::AdminSockets;
pub(crate) use apply::ApplyError;
use binds::Binds;
pub use change::ReloadReport;
pub(crate) use change::{
    AddedState, AddressChange, Cause, DrainRow, GenerationRow, OverrideRow, Refusal, WeightChange,
};
use drain::Draining;
pub(crate) use run::{Command, Inbox};
pub use stop::Stopping;
pub(crate) use stop::{Outcome, Stop};

/// The control plane of a process; lives on the control thread.
pub(crate) struct Control {
    /// The door to the workers.
    published: Arc<Published>,
    /// The workers.
    workers: Vec<Handle>,
    /// What is wanted now.
    desired: RefCell<Desired>,
    binds: RefCell<Binds>,
    health: RefCell<Health>,
    drains: RefCell<Draining>,
    /// What is remembered for those who look.
    shown: view::Shown,
    admin: RefCell<AdminSockets>,
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
}

impl Control {
    /// Brings the first configuration into force. Needs a local runtime.
    ///
    /// # Errors
    /// A bind or an admin socket could not be opened.
    pub(crate) async fn start(
        parts: Parts,
        config: Arc<Config>,
    ) -> Result<(Rc<Self>, mpsc::Receiver<HealthEvent>), ApplyError> {
        let seed = u64::from(std::process::id());
        let (health, events) = Health::new(parts.origin.into(), seed);
        let control = Rc::new(Self {
            published: parts.published,
            workers: parts.workers,
            desired: RefCell::new(Desired::nothing()),
            binds: RefCell::default(),
            health: RefCell::new(health),
            drains: RefCell::default(),
            shown: view::Shown::default(),
            admin: RefCell::default(),
            replaced: RefCell::default(),
            turn: tokio::sync::Mutex::new(()),
            stale: Notify::new(),
            stop: Cell::new(None),
            stopping: Notify::new(),
            origin: parts.origin,
        });
        let admin = config.global.admin.clone();
        control.apply(Desired::of_file(config)).await?;
        // Behind the binds: a second process that finds them taken touches no socket of the first.
        AdminSockets::reconcile(&control, &admin).await?;
        Ok((control, events))
    }

    /// The generation in force.
    pub(crate) fn generation(&self) -> Arc<Generation> {
        self.published.generation.load_full()
    }

    /// Where each frontend listens, for those who asked for port 0.
    pub(crate) fn addresses(&self) -> Vec<(Arc<str>, SocketAddr)> {
        self.binds.borrow().addresses()
    }

    /// Values that went from the environment into the file: shown to nobody.
    pub(crate) fn expanded(&self) -> Vec<String> {
        Vec::new()
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
