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
mod stop;
mod watch;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, mpsc};

use crate::config::Config;
use crate::generation::{Desired, Generation, Published, Report};
use crate::health::{Health, HealthEvent};
use crate::state::GenerationId;
use crate::worker::Handle;

pub(crate) use apply::{ApplyError, Applied};
use binds::Binds;
use drain::Draining;
pub(crate) use stop::Stop;

/// The control plane of a process; lives on the control thread.
pub(crate) struct Control {
    /// The door to the workers.
    pub(crate) published: Arc<Published>,
    /// The workers.
    pub(crate) workers: Vec<Handle>,
    /// What is wanted now.
    desired: RefCell<Desired>,
    binds: RefCell<Binds>,
    health: RefCell<Health>,
    draining: RefCell<Draining>,
    /// Generations that workers may still look at; control frees them, not a worker.
    replaced: RefCell<Vec<Arc<Generation>>>,
    /// One change at a time.
    turn: tokio::sync::Mutex<()>,
    /// The schedule has to be built again: health changed.
    stale: Notify,
    /// The process is to end.
    pub(crate) stopping: Notify,
    stop: Cell<Option<Stop>>,
    origin: Instant,
}
