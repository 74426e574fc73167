//! Active health checks: one task per checked server, on the control thread.
//!
//! Holds the probes, the rise/fall state machine and the words of the log. What
//! it finds goes into the `ServerState` at once, where workers see it, and as a
//! [`HealthEvent`] to control, which logs it and builds a new schedule. It must
//! not know workers, nor who else writes to a server's state.
//! Start at [`Health::reconcile`], then `machine.rs`.

use std::collections::HashMap;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;

mod event;
mod http2;
mod machine;
mod probe;
mod task;
#[cfg(test)]
mod tests;

pub(crate) use event::{HealthEvent, admin_line};
use machine::Machine;
use probe::{Target, probe};
use task::{Context, Prober, Running, Subject, Task, millis};

use crate::config::Check;
use crate::generation::{Backend, Generation, Server};
use crate::state::{Admin, CheckCode, EndpointId, LastCheck, Operational, ServerId, ServerState};

/// The checks of the process. Lives on the control thread, within a local
/// runtime; dropped, all checks end.
pub(crate) struct Health {
    servers: HashMap<ServerId, Presence>,
    /// What another process found, for servers that are new to this one.
    expected: HashMap<(String, String), Known>,
    context: Rc<Context>,
    /// Makes the order of the first checks differ between processes.
    seed: u64,
}

/// What another process knew of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    /// Its backend.
    pub(crate) backend: String,
    /// Its identity there.
    pub(crate) key: String,
    /// Where it was; elsewhere it is another.
    pub(crate) address: String,
    /// What the checks said.
    pub(crate) operational: Operational,
    /// HAProxy's `health`.
    pub(crate) health: u32,
}

/// What is done about a server that has a check.
enum Presence {
    Checked(Running),
    /// In maintenance: not checked, and anew when it comes back.
    Paused,
    /// The operator wants no checks for now: it stays what it is.
    Disabled(EndpointId, Machine),
}

impl Health {
    /// No checks yet, and where their findings come out. `epoch` is the zero of
    /// the monotonic milliseconds in [`ServerState`].
    pub(crate) fn new(epoch: Instant, seed: u64) -> (Self, mpsc::Receiver<HealthEvent>) {
        Self::with_prober(epoch, seed, Box::new(Sockets))
    }

    fn with_prober(
        epoch: Instant,
        seed: u64,
        prober: Box<dyn Prober>,
    ) -> (Self, mpsc::Receiver<HealthEvent>) {
        let (events, receiver) = mpsc::channel(EVENTS_MAX);
        let context = Rc::new(Context {
            prober,
            permits: Semaphore::new(PROBES_MAX),
            events,
            epoch,
        });
        let health = Self {
            servers: HashMap::new(),
            expected: HashMap::new(),
            context,
            seed,
        };
        (health, receiver)
    }

    /// Servers that come now start as another process knew them, not as new ones.
    pub(crate) fn expect(&mut self, known: Vec<Known>) {
        let by_key = |known: Known| ((known.backend.clone(), known.key.clone()), known);
        self.expected = known.into_iter().map(by_key).collect();
    }

    /// Makes the checks those that `generation` and the administrative states
    /// ask for. To be called after either changed; asks nothing of what was before.
    ///
    /// True = a server that was not UP is now (new endpoint, out of maintenance,
    /// no check any more): the schedule has to be built again.
    #[must_use = "the schedule may have to be built again"]
    pub(crate) fn reconcile(&mut self, generation: &Generation) -> bool {
        let mut before = std::mem::take(&mut self.servers);
        let mut starting = Vec::new();
        let mut changed = false;
        for (backend, server) in generation.servers() {
            let id = server.id();
            let old = before.remove(&id);
            let Some(subject) = Subject::of(backend, server) else {
                // Without a check it is UP, whatever the check said last.
                changed |= old.is_some() && self.reset(server, 0);
                changed |= server.state.set_unproven(false);
                continue;
            };
            if server.state.admin() == Admin::Maint || server.state.is_retired() {
                self.servers.insert(id, Presence::Paused);
                continue;
            }
            let check = Arc::clone(&subject.target.check);
            if !server.check_enabled {
                changed |= server.state.set_unproven(false);
                let machine = match old {
                    Some(Presence::Checked(running)) => running.task.machine(),
                    Some(Presence::Disabled(_, machine)) => machine,
                    _ => Machine::new(check.rise, check.fall),
                };
                let disabled = Presence::Disabled(subject.endpoint, machine);
                self.servers.insert(id, disabled);
                continue;
            }
            let machine = match old {
                Some(Presence::Checked(running)) if running.task.subject == subject => {
                    self.servers.insert(id, Presence::Checked(running));
                    continue;
                }
                Some(Presence::Checked(running))
                    if running.task.subject.endpoint == subject.endpoint =>
                {
                    running.task.machine().with_limits(check.rise, check.fall)
                }
                Some(Presence::Disabled(endpoint, machine)) if endpoint == subject.endpoint => {
                    let mut machine = machine.with_limits(check.rise, check.fall);
                    let up = server.state.operational() != Operational::Down;
                    // What the operator said meanwhile is where the checks go on.
                    if machine.is_up() != up {
                        machine.force(up);
                    }
                    machine
                }
                _ => {
                    let (machine, to, is_known) = self.first(backend, server, &check);
                    changed |= self.reset(server, machine.health());
                    changed |= server.state.set_operational(to, self.now_ms());
                    server
                        .state
                        .set_unproven(server.starts_unproven && !is_known);
                    machine
                }
            };
            starting.push((subject, Arc::clone(&server.state), machine));
        }
        self.start(starting);
        changed
    }

    /// A worker's connect to this server was refused or timed out: one failed
    /// check, if its backend has `observe_connect`.
    pub(crate) fn passive_failure(&self, id: ServerId) {
        if let Some(Presence::Checked(running)) = self.servers.get(&id) {
            running.task.refused();
        }
    }

    /// `set server ... health`: in force until the next check finds otherwise,
    /// for good on a server without checks. True = the state changed.
    pub(crate) fn force(&self, server: &Server, to: Operational) -> bool {
        if let Some(Presence::Checked(running)) = self.servers.get(&server.id()) {
            running.task.force(to);
        }
        server.state.set_operational(to, self.now_ms())
    }

    /// How a server that is new to us starts, and whether another process knew it.
    fn first(
        &self,
        backend: &Backend,
        server: &Server,
        check: &Check,
    ) -> (Machine, Operational, bool) {
        let known = match self.expected.is_empty() {
            true => None,
            false => {
                let key = (backend.name.to_string(), server.key.to_string());
                self.expected.get(&key)
            }
        };
        match known.filter(|known| known.address == server.address.to_string()) {
            None => (Machine::new(check.rise, check.fall), Operational::Up, false),
            Some(known) => {
                let is_up = known.operational != Operational::Down;
                let machine = Machine::known(check.rise, check.fall, known.health, is_up);
                (machine, known.operational, true)
            }
        }
    }

    /// UP, and nothing is known of it. True = it was not UP before.
    fn reset(&self, server: &Server, health: u32) -> bool {
        let state: &ServerState = &server.state;
        state.record_check(INITIAL, health, false);
        state.set_operational(Operational::Up, self.now_ms())
    }

    /// First checks are spread evenly over the interval, in an order of this
    /// process's own, so that neither many servers nor many balancers make a
    /// burst. A single new server is asked at once.
    fn start(&mut self, mut starting: Vec<(Subject, Arc<ServerState>, Machine)>) {
        let now = Instant::now();
        let count = u32::try_from(starting.len()).unwrap_or(u32::MAX);
        starting.sort_by_key(|(_, state, _)| mix(self.seed ^ state.id.get()));
        for (position, (subject, state, machine)) in (0..count).zip(starting) {
            let interval = subject.target.check.interval;
            let spread = interval.mul_f64(f64::from(position) / f64::from(count));
            // One that serves only after its first check is asked at once.
            let first = match state.is_unproven() {
                true => now,
                false => now + spread,
            };
            let id = state.id;
            let task = Task::new(subject, state, machine, Rc::clone(&self.context));
            let running = Running::start(task, first);
            self.servers.insert(id, Presence::Checked(running));
        }
    }

    fn now_ms(&self) -> u64 {
        millis(Instant::now() - self.context.epoch)
    }
}

/// The prober of every day.
struct Sockets;

impl Prober for Sockets {
    fn ask(&self, target: Rc<Target>) -> Pin<Box<dyn Future<Output = LastCheck>>> {
        Box::pin(async move { probe(&target).await })
    }
}

/// The finalizer of splitmix64: neighbours end far apart.
fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Most probes at once. Each holds a descriptor and some 10 KiB on the thread
/// that also steers: 256 silent servers with the default timeout are asked
/// without delay, 10,000 answering ones within their 2 s; thousands of silent
/// ones are asked in turn, each later than its interval says.
const PROBES_MAX: usize = 256;

/// Most findings control has not looked at yet. What comes on top waits in the
/// task of its server, whose state has changed by then.
const EVENTS_MAX: usize = 256;

/// Before the first check.
const INITIAL: LastCheck = LastCheck {
    code: CheckCode::Ini,
    status: 0,
    errno: 0,
    duration_ms: 0,
};
