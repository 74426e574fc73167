//! Waiting for a server, where all that could serve have as much to do as they may.

use std::future::poll_fn;
use std::task::Poll;

use super::Shard;
use super::connect::{self, Assigned, Left, NO_SERVER, killed};
use super::end::{Cause, During, SessionEnd};
use super::sessions::Slot;
use super::upstream::Use;
use crate::generation::{Backend, Generation, Server};
use crate::state::{BackendId, ServerId, Waiting};

/// A stay in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Waited {
    /// How long, microseconds.
    pub(crate) us: u64,
    /// In the backend's line: one, and those who were served meanwhile; 0 = it was not there.
    pub(crate) position: u32,
    /// The same in the line of its own server.
    pub(crate) own_position: u32,
}

impl Waited {
    /// Adds another stay.
    pub(crate) fn add(&mut self, other: Self) {
        self.us += other.us;
        self.position = self.position.saturating_add(other.position);
        self.own_position = self.own_position.saturating_add(other.own_position);
    }
}

/// A line to stand in: of this backend, or of the client's own server in it.
pub(crate) type Place = (BackendId, Option<ServerId>);

/// Waits in the line of a backend until a server has a place, at most for its
/// `timeouts.queue`. Whenever there may be one, the first in line decides anew, by the
/// generation in force. Who has a server of its own waits in the line of that, as long
/// as it keeps its clients.
///
/// # Errors
/// How it ended: too long in line (`sQ`), as many wait as may (`SQ`), the client left
/// (`CQ`), no server is usable any more (`SC`), the session was ended from outside (`KQ`).
pub(crate) async fn wait(
    slot: &Slot,
    (backend, mut own): Place,
    left: &mut Left<'_>,
) -> (Result<Use, SessionEnd>, Waited) {
    let shard = slot.shard();
    let began_us = shard.clock.read();
    slot.set_server(None);
    with_backend(shard, backend, |backend| {
        slot.arm(backend.config.queue_timeout)
    });
    let mut waited = Waited::default();
    let mut outcome = Err(Stay::Moved);
    if own.is_some() {
        (outcome, waited.own_position) = stay(slot, (backend, own), left).await;
    }
    if matches!(outcome, Err(Stay::Moved)) {
        own = None;
        (outcome, waited.position) = stay(slot, (backend, None), left).await;
    }
    let outcome = outcome.map_err(|stay| match stay {
        Stay::Ended(end) => end,
        Stay::Moved => NO_SERVER,
    });
    if let Err(end) = &outcome {
        count(shard, (backend, own), *end);
    }
    if waited != Waited::default() {
        waited.us = shard.clock.read().saturating_sub(began_us);
    }
    (outcome, waited)
}

/// Why a stay in one line came to no server.
enum Stay {
    Ended(SessionEnd),
    /// Its own server is its own no more.
    Moved,
}

impl From<SessionEnd> for Stay {
    fn from(end: SessionEnd) -> Self {
        Self::Ended(end)
    }
}

/// One stay in one line, under the deadline that is set; and the position there.
async fn stay(slot: &Slot, place: Place, left: &mut Left<'_>) -> (Result<Use, Stay>, u32) {
    let waiting = match join(slot.shard(), place) {
        Ok(waiting) => waiting,
        Err(end) => return (Err(end), 0),
    };
    let outcome = poll_fn(|cx| {
        if let Some(kill) = slot.killed() {
            return Poll::Ready(Err(killed(kill, During::Queue).into()));
        }
        // Known to be woken first, then the look: a place given back in between wakes us.
        if waiting.is_first(cx.waker()) {
            match look(slot.shard(), place) {
                Ok(Assigned::Server(server)) => return Poll::Ready(Ok(server)),
                Ok(Assigned::Queue) => {}
                Ok(Assigned::Nobody) => return Poll::Ready(Err(NO_SERVER.into())),
                Err(end) => return Poll::Ready(Err(end)),
            }
        }
        if left(cx).is_ready() {
            let end = SessionEnd::new(Cause::Client, During::Queue);
            return Poll::Ready(Err(end.into()));
        }
        match slot.expired() {
            true => Poll::Ready(Err(TOO_LONG.into())),
            false => Poll::Pending,
        }
    })
    .await;
    let position = u32::try_from(waiting.position()).unwrap_or(u32::MAX);
    match &outcome {
        Ok(_) => waiting.served(),
        Err(_) => drop(waiting),
    }
    (outcome, position)
}

/// What the first in line finds.
fn look(shard: &Shard, (backend, own): Place) -> Result<Assigned, Stay> {
    let looked = with_backend(shard, backend, |backend| match own {
        None => Ok(connect::assign_first(shard, backend)),
        Some(own) => {
            let server = keeper(backend, own).ok_or(Stay::Moved)?;
            Ok(connect::enter_own(shard, backend, server))
        }
    });
    looked.unwrap_or(Err(NO_SERVER.into()))
}

fn join(shard: &Shard, (backend, own): Place) -> Result<Waiting, Stay> {
    let joined = with_backend(shard, backend, |backend| {
        let line = match own {
            None => &backend.state.queue,
            Some(own) => &keeper(backend, own).ok_or(Stay::Moved)?.state.line,
        };
        let joined = line.join(backend.config.maxqueue);
        joined.ok_or(Stay::Ended(TOO_MANY))
    });
    joined.unwrap_or(Err(NO_SERVER.into()))
}

/// The server of this identity, if it keeps its clients.
fn keeper(backend: &Backend, own: ServerId) -> Option<&Server> {
    let server = backend.server_of(own)?;
    server.state.keeps_clients().then_some(&**server)
}

/// Who never got a server is an error of the backend's, or of the server it stood in line
/// for, unless it left by itself.
fn count(shard: &Shard, (backend, own): Place, end: SessionEnd) {
    if !matches!(end, TOO_LONG | TOO_MANY | NO_SERVER) {
        return;
    }
    with_backend(shard, backend, |backend| {
        let own = own.and_then(|own| backend.server_of(own));
        let counters = own.map_or(&backend.state.counters, |own| &own.state.counters);
        counters.slot(shard.worker).connect_errors.add(1);
    });
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
