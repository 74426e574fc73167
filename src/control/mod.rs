//! The single writer: decides what is served, publishes it, and watches over the
//! workers.
//!
//! One thread with a runtime of its own. Everything that changes the set takes
//! one way: a [`Desired`] state goes through [`Control::apply`], which opens
//! what must be opened, builds the next generation, publishes it, waits until
//! every worker has passed it, and lets what left drain. This room must not
//! touch bytes of traffic. Start at [`Control::apply`].

mod apply;
mod binds;
mod drain;
mod run;
mod stop;
mod supervise;
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

pub(crate) use apply::ApplyError;
use binds::Binds;
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
    draining: RefCell<Draining>,
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
    /// A bind could not be opened.
    pub(crate) async fn start(
        parts: Parts,
        config: Arc<Config>,
    ) -> Result<(Rc<Self>, mpsc::Receiver<HealthEvent>), ApplyError> {
        let seed = u64::from(std::process::id());
        let (health, events) = Health::new(parts.origin.into(), seed);
        let empty = Desired {
            config: Arc::default(),
            members: Vec::new(),
        };
        let control = Rc::new(Self {
            published: parts.published,
            workers: parts.workers,
            desired: RefCell::new(empty),
            binds: RefCell::default(),
            health: RefCell::new(health),
            draining: RefCell::default(),
            replaced: RefCell::default(),
            turn: tokio::sync::Mutex::new(()),
            stale: Notify::new(),
            stop: Cell::new(None),
            stopping: Notify::new(),
            origin: parts.origin,
        });
        control.apply(Desired::of_file(config)).await?;
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

    /// Open binds and their frontends, ports filled in.
    pub(crate) fn binds(&self) -> Vec<(Arc<str>, BindAddress)> {
        self.binds.borrow().shown()
    }

    /// Monotonic milliseconds since the start.
    fn now_ms(&self) -> u64 {
        self.origin.elapsed().as_millis() as u64
    }
}
