//! The checks of one server: when, and what comes of them.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::event::HealthEvent;
use super::machine::{Machine, Pace};
use super::probe::Target;
use crate::generation::{Backend, Server, check_info};
use crate::state::{Admin, CheckCode, EndpointId, LastCheck, Operational, ServerState};

/// How a target is asked: through sockets, or as a test makes it up.
pub(super) trait Prober {
    /// Asks once. The future is dropped when the answer is no longer wanted.
    fn ask(&self, target: Rc<Target>) -> Pin<Box<dyn Future<Output = LastCheck>>>;
}

/// What all tasks share.
pub(super) struct Context {
    pub(super) prober: Box<dyn Prober>,
    /// Bounds the probes under way.
    pub(super) permits: Semaphore,
    /// To control. Full: the server's own task waits, its next check with it.
    pub(super) events: mpsc::Sender<HealthEvent>,
    /// Zero of the milliseconds in [`ServerState`].
    pub(super) epoch: Instant,
}

/// What a task depends on: any change of it makes another task.
#[derive(Debug, PartialEq)]
pub(super) struct Subject {
    pub(super) backend: Arc<str>,
    pub(super) server: Arc<str>,
    pub(super) endpoint: EndpointId,
    pub(super) observe_connect: bool,
    pub(super) target: Rc<Target>,
}

impl Subject {
    /// `None` = there is nothing to check.
    pub(super) fn of(backend: &Backend, server: &Server) -> Option<Self> {
        Some(Self {
            backend: Arc::clone(&backend.name),
            server: Arc::clone(&server.name),
            endpoint: server.check_endpoint,
            observe_connect: backend.config.observe_connect,
            target: Rc::new(Target::new(server, server.check.as_ref()?)),
        })
    }
}

/// The checks of one server. Dropped by [`Running`].
pub(super) struct Task {
    pub(super) subject: Subject,
    state: Arc<ServerState>,
    machine: Cell<Machine>,
    /// Refused connects that workers saw and that were not counted yet.
    refused: Cell<u32>,
    refusal: Notify,
    /// The next check is due sooner.
    hurry: Notify,
    context: Rc<Context>,
}

/// A task that ends when this is dropped.
pub(super) struct Running {
    pub(super) task: Rc<Task>,
    handle: JoinHandle<()>,
}

impl Running {
    /// Starts the checks, the first of them at `first`.
    pub(super) fn start(task: Task, first: Instant) -> Self {
        let task = Rc::new(task);
        let running = Rc::clone(&task);
        let handle = tokio::task::spawn_local(async move {
            tokio::join!(running.actively(first), running.passively());
        });
        Self { task, handle }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.handle.abort();
    }
}

impl Task {
    pub(super) fn new(
        subject: Subject,
        state: Arc<ServerState>,
        machine: Machine,
        context: Rc<Context>,
    ) -> Self {
        state.set_health(machine.health());
        Self {
            subject,
            state,
            machine: Cell::new(machine),
            refused: Cell::new(0),
            refusal: Notify::new(),
            hurry: Notify::new(),
            context,
        }
    }

    pub(super) fn machine(&self) -> Machine {
        self.machine.get()
    }

    /// A worker's connect was refused.
    pub(super) fn refused(&self) {
        if self.subject.observe_connect {
            // More than `fall` of them cannot change anything.
            let most = self.subject.target.check.fall;
            self.refused.set(most.min(self.refused.get() + 1));
            self.refusal.notify_one();
        }
    }

    /// The operator knows better, until the next check.
    pub(super) fn force(&self, to: Operational) {
        self.state.set_unproven(false);
        let mut machine = self.machine.get();
        machine.force(to != Operational::Down);
        self.machine.set(machine);
        self.state.set_health(machine.health());
        self.hurry.notify_one();
    }

    async fn actively(&self, first: Instant) {
        let mut due = first;
        loop {
            due = self.wait(due).await;
            let result = {
                // Never closed; and without a permit there is nothing to do.
                let Ok(_permit) = self.context.permits.acquire().await else {
                    return;
                };
                match self.is_checked() {
                    true => Some(self.ask().await),
                    false => None,
                }
            };
            // The server may have left or gone into maintenance meanwhile.
            if let Some(result) = result.filter(|_| self.is_checked()) {
                self.take(result).await;
            }
            due = tick_after(due, self.interval(), Instant::now());
        }
    }

    /// Waits for `due`, or sooner if asked to hurry; the moment it waited for.
    async fn wait(&self, mut due: Instant) -> Instant {
        loop {
            tokio::select! {
                () = sleep_until(due) => return due,
                () = self.hurry.notified() => due = due.min(Instant::now() + self.interval()),
            }
        }
    }

    async fn passively(&self) {
        loop {
            self.refusal.notified().await;
            while let Some(left) = self.refused.get().checked_sub(1) {
                self.refused.set(left);
                // One that comes late must not undo the way back up.
                if self.is_checked() && self.machine.get().is_up() {
                    self.take(REFUSED).await;
                    self.hurry.notify_one();
                }
            }
        }
    }

    fn is_checked(&self) -> bool {
        !self.state.is_retired() && self.state.admin() != Admin::Maint
    }

    /// A panic in there is ours, not the server's.
    async fn ask(&self) -> LastCheck {
        let _under_way = UnderWay::begin(&self.state);
        let mut probe = self.context.prober.ask(Rc::clone(&self.subject.target));
        poll_fn(|context| {
            // The future is not polled again after a panic.
            catch_unwind(AssertUnwindSafe(|| probe.as_mut().poll(context))).unwrap_or_else(|_| {
                let Subject {
                    backend, server, ..
                } = &self.subject;
                tracing::error!(%backend, %server, "a health check panicked");
                std::task::Poll::Ready(PANICKED)
            })
        })
        .await
    }

    /// Counts one result and says so if it changed the server's state.
    async fn take(&self, check: LastCheck) {
        let mut machine = self.machine.get();
        if check.code == CheckCode::SockErr {
            // Our own trouble, of which the server must not suffer: nothing is
            // learned, and with no descriptors left all servers would go down.
            if self.state.last_check().map(|last| last.code) != Some(CheckCode::SockErr) {
                let Subject {
                    backend, server, ..
                } = &self.subject;
                tracing::warn!(%backend, %server, info = check_info(check), "cannot check");
            }
            self.state.record_check(check, machine.health(), false);
            return;
        }
        let counts = match check.code.passed() {
            true => {
                machine.pass();
                false
            }
            false => machine.fail(),
        };
        self.machine.set(machine);
        self.state.record_check(check, machine.health(), counts);
        let from = self.state.operational();
        let to = match machine.is_up() {
            true => Operational::Up,
            false => Operational::Down,
        };
        let now = millis(Instant::now() - self.context.epoch);
        // The first check of one that nobody knew: it serves from now on.
        let is_proven = self.state.set_unproven(false);
        if self.state.set_operational(to, now) || is_proven {
            let event = HealthEvent {
                backend: Arc::clone(&self.subject.backend),
                server: Arc::clone(&self.subject.server),
                id: self.state.id,
                from,
                to,
                check,
                text: check_info(check),
            };
            // Fails only when control is gone, and we with it.
            let _ = self.context.events.send(event).await;
        }
    }

    fn interval(&self) -> Duration {
        let check = &self.subject.target.check;
        match self.machine.get().pace() {
            Pace::Normal => check.interval,
            Pace::Fast => check.fast_interval,
            Pace::Down => check.down_interval,
        }
    }
}

/// The next tick after the one at `due`, `every` so often: what was missed
/// meanwhile is skipped, not made up for, and the beat is kept.
fn tick_after(due: Instant, every: Duration, now: Instant) -> Instant {
    let every = every.max(Duration::from_millis(1));
    let next = due + every;
    if next >= now {
        return next;
    }
    let late = (now - due).as_nanos() % every.as_nanos();
    now + every - Duration::from_nanos(late as u64)
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A check that those who look see as running, until this is dropped: its task may be
/// aborted at any moment.
struct UnderWay<'a>(&'a ServerState);

impl<'a> UnderWay<'a> {
    fn begin(state: &'a ServerState) -> Self {
        state.set_checking(true);
        Self(state)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.set_checking(false);
    }
}

/// What a worker's refused connect counts as.
const REFUSED: LastCheck = LastCheck {
    code: CheckCode::L4Con,
    status: 0,
    errno: 0,
    duration_ms: 0,
};

const PANICKED: LastCheck = LastCheck {
    code: CheckCode::SockErr,
    ..REFUSED
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missed_ticks_are_skipped_and_the_beat_is_kept() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let every = Duration::from_millis(100);
        assert_eq!(tick_after(start, every, at(3)), at(100));
        assert_eq!(tick_after(start, every, at(100)), at(100));
        assert_eq!(tick_after(start, every, at(101)), at(200));
        assert_eq!(tick_after(start, every, at(350)), at(400));
        assert_eq!(tick_after(start, Duration::ZERO, at(5)), at(6));
    }
}
