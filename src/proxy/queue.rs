//! Waiting for a server, where all that could serve have as much to do as they may.

use std::future::poll_fn;
use std::task::Poll;

use super::Shard;
use super::connect::{self, Assigned, Left, NO_SERVER, killed};
use super::end::{Cause, During, SessionEnd};
use super::sessions::Slot;
use super::upstream::Use;
use crate::generation::{Backend, Generation};
use crate::state::{BackendId, Waiting};

/// A stay in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Waited {
    /// How long, microseconds.
    pub(crate) us: u64,
    /// One, and those who were served meanwhile; 0 = it was none.
    pub(crate) position: u32,
}

impl Waited {
    /// Adds another stay.
    pub(crate) fn add(&mut self, other: Self) {
        self.us += other.us;
        self.position = self.position.saturating_add(other.position);
    }
}

/// Waits in the line of a backend until a server has a place, at most for its
/// `timeouts.queue`. Whenever there may be one, the first in line decides anew, by the
/// generation in force.
///
/// # Errors
/// How it ended: too long in line (`sQ`), as many wait as may (`SQ`), the client left
/// (`CQ`), no server is usable any more (`SC`), the session was ended from outside (`KQ`).
pub(crate) async fn wait(
    slot: &Slot,
    backend: BackendId,
    left: &mut Left<'_>,
) -> (Result<Use, SessionEnd>, Waited) {
    let shard = slot.shard();
    let waiting = match join(slot, backend) {
        Ok(waiting) => waiting,
        Err(end) => return (Err(end), Waited::default()),
    };
    slot.set_server(None);
    let began_us = shard.clock.read();
    let outcome = poll_fn(|cx| {
        if let Some(kill) = slot.killed() {
            return Poll::Ready(Err(killed(kill, During::Queue)));
        }
        // Known to be woken first, then the look: a place given back in between wakes us.
        if waiting.is_first(cx.waker()) {
            match with_backend(shard, backend, |backend| {
                connect::assign_first(shard, backend)
            }) {
                Some(Assigned::Server(server)) => return Poll::Ready(Ok(server)),
                Some(Assigned::Queue) => {}
                Some(Assigned::Nobody) | None => return Poll::Ready(Err(NO_SERVER)),
            }
        }
        if left(cx).is_ready() {
            return Poll::Ready(Err(SessionEnd::new(Cause::Client, During::Queue)));
        }
        match slot.expired() {
            true => Poll::Ready(Err(TOO_LONG)),
            false => Poll::Pending,
        }
    })
    .await;
    let position = u32::try_from(waiting.position()).unwrap_or(u32::MAX);
    match &outcome {
        Ok(_) => waiting.served(),
        Err(_) => drop(waiting),
    }
    if let Err(end) = &outcome {
        count(slot, backend, *end);
    }
    let us = shard.clock.read().saturating_sub(began_us);
    (outcome, Waited { us, position })
}

fn join(slot: &Slot, backend: BackendId) -> Result<Waiting, SessionEnd> {
    let joined = with_backend(slot.shard(), backend, |backend| {
        slot.arm(backend.config.queue_timeout);
        let joined = backend.state.queue.join(backend.config.maxqueue);
        joined.ok_or(TOO_MANY)
    });
    let joined = joined.unwrap_or(Err(NO_SERVER));
    joined.inspect_err(|end| count(slot, backend, *end))
}

/// Who never got a server is an error of the backend's, unless it left by itself.
fn count(slot: &Slot, backend: BackendId, end: SessionEnd) {
    if matches!(end, TOO_LONG | TOO_MANY | NO_SERVER) {
        connect::backend_counters(slot.shard(), backend, |counters| {
            counters.connect_errors.add(1);
        });
    }
}

/// `None` = it has left the configuration.
fn with_backend<R>(shard: &Shard, id: BackendId, f: impl FnOnce(&Backend) -> R) -> Option<R> {
    shard.with_generation(|generation: &Generation| {
        let mut backends = generation.backends.iter();
        backends
            .find(|backend| backend.state.id == id)
            .map(|backend| f(backend))
    })
}

const TOO_LONG: SessionEnd = SessionEnd::new(Cause::ServerTimeout, During::Queue);
const TOO_MANY: SessionEnd = SessionEnd::new(Cause::Server, During::Queue);
