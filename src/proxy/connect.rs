//! A server for a piece of work: pick, dial, try again elsewhere.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};

use super::Shard;
use super::end::{Cause, During, SessionEnd};
use super::queue::{self, Waited};
use super::sessions::{Kill, Slot};
use super::upstream::{Upstream, Use};
use crate::generation::{Backend, Claim, Report, Server};
use crate::net::proxy_header::{Ends, Header};
use crate::net::{Stream, dial};
use crate::state::{BackendId, Entry, ServerId};

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// What dialling needs to know of a backend; copied, so that no generation is held.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// Which backend.
    pub(crate) backend: BackendId,
    /// More tries after a failed one.
    pub(crate) retries: u32,
    /// For one try.
    pub(crate) connect: Duration,
    /// A failed connect counts for the server's health.
    pub(crate) observe: bool,
    /// The server that the client's cookie names: it may keep it while it drains.
    pub(crate) own: Option<ServerId>,
}

impl Plan {
    /// The settings of `backend`.
    #[inline]
    pub(crate) fn of(backend: &Backend) -> Self {
        Self {
            backend: backend.state.id,
            retries: backend.config.retries,
            connect: backend.config.timeouts.connect,
            observe: backend.config.observe_connect,
            own: None,
        }
    }

    /// Whether the client may stay at this server, new work or not.
    fn keeps(&self, server: &Use) -> bool {
        self.own == Some(server.state.id) && server.state.keeps_clients()
    }
}

/// A fresh connection, or whatever leads to a server.
#[derive(Debug)]
pub(crate) struct Dialled<L = Stream> {
    /// The socket, or what stands for one.
    pub(crate) stream: L,
    /// The server, counted as in use.
    pub(crate) server: Use,
    /// Failed tries before this one.
    pub(crate) retries: u32,
    /// One of them was made at another server.
    pub(crate) redispatched: bool,
    /// In the queue, between two tries.
    pub(crate) waited: Waited,
}

/// What leads to a server.
#[derive(Debug)]
pub(crate) enum Link<O> {
    /// A connection of nobody's yet.
    Fresh(Stream),
    /// One that was there.
    Open(O),
}

/// No connection came about.
#[derive(Debug)]
pub(crate) struct NoConnection {
    /// How it ended.
    pub(crate) end: SessionEnd,
    /// The server that was tried last; `None` = none was left to be tried.
    pub(crate) server: Option<Rc<Upstream>>,
    /// Failed tries before the last.
    pub(crate) retries: u32,
    /// One of them was made at another server.
    pub(crate) redispatched: bool,
    /// In the queue.
    pub(crate) waited: Waited,
}

/// Before any server was tried.
impl From<SessionEnd> for NoConnection {
    fn from(end: SessionEnd) -> Self {
        Self {
            end,
            server: None,
            retries: 0,
            redispatched: false,
            waited: Waited::default(),
        }
    }
}

/// Who is to do a piece of work.
#[derive(Debug)]
pub(crate) enum Assigned {
    /// This server, which counts it as its work.
    Server(Use),
    /// Who gets a place in the end: see [`queue::wait`].
    Queue,
    /// Nobody: no server is usable.
    Nobody,
}

/// Where a failed try goes next.
pub(super) enum Again {
    Same,
    Other(Use),
    /// Others could do it, and have enough to do.
    Queue,
    Nowhere,
}

/// Picks another server than the one that failed; that one if it is the only one,
/// which is neither counted as picked again nor as a second session of it.
pub(super) fn pick_again(shard: &Shard, backend: BackendId, failed: &Use) -> Again {
    shard.with_generation(|generation| {
        let mut backends = generation.backends.iter();
        let Some(backend) = backends.find(|b| b.state.id == backend) else {
            return Again::Nowhere;
        };
        if backend.is_limited() {
            return match backend.claim(Some(failed.state.id)) {
                Claim::Server(server, entry) => Again::Other(give(shard, backend, server, entry)),
                // It keeps its place there.
                Claim::Full if failed.state.is_usable() => Again::Same,
                Claim::Full => Again::Queue,
                Claim::Nobody => Again::Nowhere,
            };
        }
        match backend.pick(Some(failed.state.id)) {
            None => Again::Nowhere,
            Some(server) if server.id() == failed.state.id => Again::Same,
            Some(server) => Again::Other(give(shard, backend, server, Entry::Free)),
        }
    })
}

/// Picks a server of this backend and counts it as in use: its `own` for a client that
/// has one, which is no choice of the algorithm's, and not counted as one.
#[inline]
pub(crate) fn assign(shard: &Shard, backend: &Backend, own: Option<&Arc<Server>>) -> Assigned {
    if backend.is_limited() {
        return assign_place(shard, backend, own);
    }
    if let Some(server) = own {
        return Assigned::Server(seat(shard, backend, server, Entry::Free));
    }
    match backend.pick(None) {
        Some(server) => Assigned::Server(give(shard, backend, server, Entry::Free)),
        None => Assigned::Nobody,
    }
}

/// As [`assign`], where servers have limits.
fn assign_place(shard: &Shard, backend: &Backend, own: Option<&Arc<Server>>) -> Assigned {
    if let Some(server) = own {
        return assign_own(shard, backend, server);
    }
    // Who waits already comes first.
    if backend.state.queue.is_awaited() {
        return Assigned::Queue;
    }
    match backend.claim(None) {
        Claim::Server(server, entry) => Assigned::Server(give(shard, backend, server, entry)),
        Claim::Full => Assigned::Queue,
        Claim::Nobody => Assigned::Nobody,
    }
}

/// As [`assign`], of a client's own server that has a limit. Whoever waits for any
/// server does not come first, as in HAProxy.
fn assign_own(shard: &Shard, backend: &Backend, server: &Server) -> Assigned {
    match server.state.line.is_awaited() {
        true => Assigned::Queue,
        false => enter_own(shard, backend, server),
    }
}

/// The same for the first in its line.
pub(super) fn enter_own(shard: &Shard, backend: &Backend, server: &Server) -> Assigned {
    match server.state.slots.enter() {
        Some(entry) => Assigned::Server(seat(shard, backend, server, entry)),
        None => Assigned::Queue,
    }
}

/// As [`assign`] for the first in line. What is given out there is no choice of the
/// algorithm's to HAProxy, and is not counted as one.
pub(super) fn assign_first(shard: &Shard, backend: &Backend) -> Assigned {
    match backend.claim(None) {
        Claim::Server(server, entry) => Assigned::Server(seat(shard, backend, server, entry)),
        Claim::Full => Assigned::Queue,
        Claim::Nobody => Assigned::Nobody,
    }
}

/// A place at a server that the algorithm has chosen.
#[inline]
fn give(shard: &Shard, backend: &Backend, server: &Server, entry: Entry) -> Use {
    let place = seat(shard, backend, server, entry);
    place.counters.picked.add(1);
    place
}

/// A place at a server that was found in another way.
#[inline]
fn seat(shard: &Shard, backend: &Backend, server: &Server, entry: Entry) -> Use {
    Use::new(shard.upstreams.get(shard, backend, server), entry)
}

/// Connects to `first`, else to others, at most `plan.retries` times more. A
/// refused connect goes to another server at once. `ends` tells servers that want to
/// know who the client is; the others do not ask. `left` = whether the client has left:
/// asked where a connect takes [`UNWATCHED`], and while a place at another server is
/// waited for.
///
/// # Errors
/// How it ended: no server left (`SC`), all tries refused (`SC`) or timed out
/// (`sC`), the client left (`CC`), the session was ended from outside (`K`, `D`), no place
/// (see [`queue::wait`]).
pub(crate) async fn establish(
    slot: &Slot,
    plan: Plan,
    first: Use,
    ends: &dyn Fn() -> Option<Ends>,
    left: &mut Left<'_>,
) -> Result<Dialled, NoConnection> {
    let open = |_: &Use| None::<Infallible>;
    let dialled = reach(slot, plan, first, ends, left, &open).await?;
    let Link::Fresh(stream) = dialled.stream;
    Ok(Dialled {
        stream,
        server: dialled.server,
        retries: dialled.retries,
        redispatched: dialled.redispatched,
        waited: dialled.waited,
    })
}

/// The same, where a connection that is `open` to a server serves as well as a fresh one.
///
/// # Errors
/// As for [`establish`].
pub(super) async fn reach<O>(
    slot: &Slot,
    plan: Plan,
    first: Use,
    ends: &dyn Fn() -> Option<Ends>,
    left: &mut Left<'_>,
    open: &dyn Fn(&Use) -> Option<O>,
) -> Result<Dialled<Link<O>>, NoConnection> {
    let shard = slot.shard();
    let mut server = first;
    let (mut retries, mut redispatched) = (0, false);
    let mut waited = Waited::default();
    loop {
        slot.set_server(Some(server.state.id));
        if let Some(open) = open(&server) {
            return Ok(Dialled {
                stream: Link::Open(open),
                server,
                retries,
                redispatched,
                waited,
            });
        }
        server.counters.connects.add(1);
        let outcome = attempt(slot, plan.connect, &server, ends, left).await;
        let failed = |end, server| NoConnection {
            end,
            server,
            retries,
            redispatched,
            waited,
        };
        let end = match outcome {
            Attempt::Connected(stream) => {
                // A backend that left the configuration while we dialled: nobody else is
                // left to do it, and what a server that left has in hand it may finish.
                let may_serve = server.state.may_serve() || plan.keeps(&server);
                let stays = may_serve || is_gone(shard, plan.backend);
                // It was drained while we dialled: no new work, and nobody's failure.
                let next = match stays {
                    true => Again::Same,
                    false => pick_again(shard, plan.backend, &server),
                };
                match next {
                    Again::Same => {
                        return Ok(Dialled {
                            stream: Link::Fresh(stream),
                            server,
                            retries,
                            redispatched,
                            waited,
                        });
                    }
                    Again::Other(other) => server = other,
                    Again::Queue => {
                        drop(server);
                        server =
                            queued(slot, plan, left, &mut waited, (retries, redispatched)).await?;
                    }
                    Again::Nowhere => return Err(failed(NO_SERVER, None)),
                }
                continue;
            }
            Attempt::Ended(end) => return Err(failed(end, Some(server.release()))),
            Attempt::Refused => SessionEnd::new(Cause::Server, During::Connect),
            Attempt::TimedOut => SessionEnd::new(Cause::ServerTimeout, During::Connect),
        };
        if plan.observe {
            // A full queue loses the report; the next check sees the same.
            let _ = shard
                .published
                .reports
                .try_send(Report::ConnectFailed(server.state.id));
        }
        let next = if retries < plan.retries {
            pick_again(shard, plan.backend, &server)
        } else {
            Again::Nowhere
        };
        match next {
            Again::Nowhere => {
                server.counters.connect_errors.add(1);
                return Err(failed(end, Some(server.release())));
            }
            Again::Same => server.counters.retries.add(1),
            Again::Other(next) => {
                redispatched = true;
                server.counters.redispatches.add(1);
                server = next;
            }
            Again::Queue => {
                redispatched = true;
                server.counters.redispatches.add(1);
                // Before the wait: another may want its place.
                drop(server);
                server = queued(slot, plan, left, &mut waited, (retries + 1, true)).await?;
            }
        }
        retries += 1;
    }
}

/// Waits for a place amid a connect.
async fn queued(
    slot: &Slot,
    plan: Plan,
    left: &mut Left<'_>,
    waited: &mut Waited,
    (retries, redispatched): (u32, bool),
) -> Result<Use, NoConnection> {
    // Boxed: as a dial.
    let line = (plan.backend, None);
    let (outcome, took) = Box::pin(queue::wait(slot, line, left)).await;
    waited.add(took);
    outcome.map_err(|end| NoConnection {
        retries,
        redispatched,
        waited: *waited,
        ..NoConnection::from(end)
    })
}

fn is_gone(shard: &Shard, backend: BackendId) -> bool {
    shard.with_generation(|generation| generation.backends.iter().all(|b| b.state.id != backend))
}

/// Ready when nobody waits for the connection any more; remembers whom to wake.
pub(crate) type Left<'a> = dyn FnMut(&mut Context<'_>) -> Poll<()> + 'a;

/// How long a client goes unwatched while we wait for its server: most connects, and most
/// answers, come before that. One that leaves meanwhile is noticed after it.
pub(super) const UNWATCHED: Duration = Duration::from_millis(50);

/// The client left while it had no connection: HAProxy's `CC`.
pub(super) const CLIENT_LEFT: SessionEnd = SessionEnd::new(Cause::Client, During::Connect);

/// No server is usable: HAProxy's `SC`.
pub(crate) const NO_SERVER: SessionEnd = SessionEnd::new(Cause::Server, During::Connect);

enum Attempt {
    Connected(Stream),
    Refused,
    TimedOut,
    Ended(SessionEnd),
}

async fn attempt(
    slot: &Slot,
    patience: Duration,
    server: &Use,
    ends: &dyn Fn() -> Option<Ends>,
    left: &mut Left<'_>,
) -> Attempt {
    // Boxed: dialling is rare, and its future would widen every session's.
    let mut dialling = Box::pin(dial(server, ends));
    let begun_ms = slot.shard().clock.now_ms();
    let mut watched = patience <= UNWATCHED;
    slot.arm(patience.min(UNWATCHED));
    poll_fn(|cx| {
        if let Some(kill) = slot.killed() {
            return Poll::Ready(Attempt::Ended(killed(kill, During::Connect)));
        }
        if let Poll::Ready(outcome) = dialling.as_mut().poll(cx) {
            return Poll::Ready(outcome);
        }
        match slot.expired() {
            true if watched => return Poll::Ready(Attempt::TimedOut),
            true => {
                watched = true;
                let gone_ms = slot.shard().clock.now_ms().wrapping_sub(begun_ms);
                slot.arm(patience.saturating_sub(Duration::from_millis(gone_ms.into())));
            }
            false => {}
        }
        if watched && left(cx).is_ready() {
            return Poll::Ready(Attempt::Ended(CLIENT_LEFT));
        }
        Poll::Pending
    })
    .await
}

/// Connects, says for whom where the server wants to know, and handshakes where it
/// speaks TLS; all within the time for a connect.
async fn dial(server: &Use, ends: &dyn Fn() -> Option<Ends>) -> Attempt {
    let mut stream = match dial::dial(&server.address).await {
        Ok(stream) => stream,
        Err(error) => return refused(server, &error),
    };
    if let Some(version) = server.proxy_protocol {
        // At once and by itself: the server may be the one to speak first.
        let header = Header::passed_on(version, ends());
        if let Err(error) = stream.write_all(header.as_bytes()).await {
            return refused(server, &error);
        }
    }
    let Some(origin) = &server.tls else {
        return Attempt::Connected(stream);
    };
    let shaken = match origin.connect() {
        Ok(session) => {
            stream.secure(session);
            poll_fn(|cx| stream.poll_handshake(cx)).await
        }
        Err(error) => Err(error.into()),
    };
    match shaken {
        Ok(()) => Attempt::Connected(stream),
        Err(error) => {
            tracing::warn!(
                backend = &*server.backend,
                server = &*server.name,
                %error,
                "TLS handshake with a server failed",
            );
            Attempt::Refused
        }
    }
}

fn refused(server: &Use, error: &io::Error) -> Attempt {
    tracing::debug!(backend = &*server.backend, server = &*server.name, %error, "connect failed");
    let errno = error
        .raw_os_error()
        .map(rustix::io::Errno::from_raw_os_error);
    match errno {
        Some(rustix::io::Errno::TIMEDOUT) => Attempt::TimedOut,
        // Ours to bear, not the server's: no descriptor, no port, no memory.
        Some(
            rustix::io::Errno::MFILE
            | rustix::io::Errno::NFILE
            | rustix::io::Errno::ADDRNOTAVAIL
            | rustix::io::Errno::NOBUFS
            | rustix::io::Errno::NOMEM,
        ) => Attempt::Ended(SessionEnd::new(Cause::Resource, During::Connect)),
        _ => Attempt::Refused,
    }
}

/// How a session ends that is ended from outside.
pub(crate) fn killed(kill: Kill, during: During) -> SessionEnd {
    let cause = match kill {
        Kill::Admin => Cause::Killed,
        Kill::ServerCut => Cause::Down,
    };
    SessionEnd::new(cause, during)
}

/// Counts in the backend's own slot: exchanges that reached no server.
pub(crate) fn backend_counters(
    shard: &Rc<Shard>,
    backend: BackendId,
    count: impl FnOnce(&crate::state::Counters),
) {
    shard.with_generation(|generation| {
        if let Some(backend) = generation.backends.iter().find(|b| b.state.id == backend) {
            count(&backend.state.counters.slot(shard.worker));
        }
    });
}
