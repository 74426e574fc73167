//! A worker's connections to one HTTP/2 server, shared by exchanges.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{Connection, SendRequest};
use h2::{Ping, PingPong};
use tokio::sync::Semaphore;
use tokio::time::{MissedTickBehavior, interval};

use super::connection::Shared;
use super::wire::ServerWire;
use crate::net::Stream;
use crate::proxy::choose::Target;
use crate::proxy::connect::{self, CLIENT_LEFT, Left, Link as Reached, NoConnection, killed};
use crate::proxy::end::{Cause, During, SessionEnd};
use crate::proxy::queue::Waited;
use crate::proxy::sessions::Slot;
use crate::proxy::upstream::Use;
use crate::proxy::{ClientId, Shard};

/// The connections of a worker to an endpoint.
#[derive(Debug)]
pub(crate) struct Pool {
    links: RefCell<Vec<Rc<Link>>>,
    /// One dials; the others find what it has made.
    dialling: Rc<Semaphore>,
}

/// One connection.
#[derive(Debug)]
struct Link {
    /// Whose alone it is; `None` = everybody's.
    client: Option<ClientId>,
    requests: RefCell<SendRequest<Bytes>>,
    life: Rc<Life>,
    is_secure: bool,
    until_ms: Cell<u32>,
}

/// What a connection's driver and its users tell each other.
#[derive(Debug, Default)]
struct Life {
    streams: Cell<usize>,
    dead: Cell<bool>,
}

/// A place for one exchange on a connection.
#[derive(Debug)]
pub(super) struct Lease {
    link: Rc<Link>,
    shard: Rc<Shard>,
    keep: Duration,
}

impl Pool {
    /// No connection takes new exchanges, and idle ones end.
    pub(crate) fn close(&self) {
        self.links.borrow_mut().clear();
    }

    /// No connection of this client's alone is of use any more.
    pub(crate) fn forget(&self, client: ClientId) {
        let mut links = self.links.borrow_mut();
        links.retain(|link| link.client != Some(client));
    }

    /// Closes idle connections past their time.
    pub(crate) fn sweep(&self, now_ms: u32) {
        self.links.borrow_mut().retain(|link| {
            let past = now_ms.wrapping_sub(link.until_ms.get()) < u32::MAX / 2;
            !link.life.dead.get() && (link.life.streams.get() > 0 || !past)
        });
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.links.borrow().is_empty()
    }

    fn lease(
        &self,
        shard: &Rc<Shard>,
        client: Option<ClientId>,
        limit: u32,
        keep: Duration,
    ) -> Option<Lease> {
        let links = self.links.borrow();
        let fits = |link: &&Rc<Link>| link.client == client && link.has_room(limit as usize);
        let link = links.iter().find(fits)?;
        link.life.streams.set(link.life.streams.get() + 1);
        Some(Lease {
            link: Rc::clone(link),
            shard: Rc::clone(shard),
            keep,
        })
    }
}

impl Default for Pool {
    fn default() -> Self {
        Self {
            links: RefCell::default(),
            dialling: Rc::new(Semaphore::new(1)),
        }
    }
}

impl Link {
    fn has_room(&self, limit: usize) -> bool {
        let allowed = self.requests.borrow().current_max_send_streams();
        !self.life.dead.get() && self.life.streams.get() < limit.min(allowed)
    }
}

impl Lease {
    /// A handle for one request. A clone, because one that had to queue a request
    /// takes no second.
    pub(super) fn requests(&self) -> SendRequest<Bytes> {
        self.link.requests.borrow().clone()
    }

    /// `:scheme` of its requests.
    pub(super) fn scheme(&self) -> &'static str {
        if self.link.is_secure { "https" } else { "http" }
    }

    /// The connection takes no more requests.
    pub(super) fn give_up(&self) {
        self.link.life.dead.set(true);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let life = &self.link.life;
        life.streams.set(life.streams.get() - 1);
        let until_ms = self
            .shard
            .clock
            .now_ms()
            .wrapping_add(self.keep.as_millis() as u32);
        self.link.until_ms.set(until_ms);
    }
}

/// A place, and how it was come by.
pub(super) struct Opened {
    pub(super) server: Use,
    pub(super) lease: Lease,
    /// On a connection that was there.
    pub(super) reused: bool,
    /// Failed tries before.
    pub(super) retries: u32,
    /// One of them was made at another server.
    pub(super) redispatched: bool,
    /// In the queue, between two tries.
    pub(super) waited: Waited,
}

/// A place on a connection to `first`, else, when that cannot be reached, to another server.
/// What is open to one of them is taken before another connection is made.
/// One that a PROXY header says to be a client's is shared by that client's exchanges alone.
///
/// # Errors
/// As for [`connect::establish`].
pub(super) async fn open(
    slot: &Slot,
    shared: &Shared,
    target: &Target,
    first: Use,
    left: &mut Left<'_>,
) -> Result<Opened, NoConnection> {
    let shard = slot.shard();
    slot.set_server(Some(first.state.id));
    slot.arm(target.plan.connect);
    let (limit, keep) = (target.http2.streams, target.timeouts.pool_idle);
    let lease = |server: &Use| {
        let owner = owner(shared, server);
        server.http2.lease(shard, owner, limit, keep)
    };
    let everybodys = Rc::clone(&first.http2.dialling);
    let dialling = match first.proxy_protocol {
        None => &*everybodys,
        Some(_) => &shared.dialling,
    };
    let mut permit = None;
    loop {
        if let Some(lease) = lease(&first) {
            first.counters.reuses.add(1);
            return Ok(Opened {
                server: first,
                lease,
                reused: true,
                retries: 0,
                redispatched: false,
                waited: Waited::default(),
            });
        }
        if permit.is_some() {
            break;
        }
        // Somebody else may be about to connect: then there is a place soon.
        permit = Some(within(slot, left, dialling.acquire()).await?);
    }
    let ends = || shared.client.borrow().ends();
    let dialled = connect::reach(slot, target.plan, first, &ends, left, &lease).await?;
    let (server, retries, redispatched) = (dialled.server, dialled.retries, dialled.redispatched);
    let waited = dialled.waited;
    let (lease, reused) = match dialled.stream {
        // That of another server, where the first could not be reached.
        Reached::Open(lease) => {
            server.counters.reuses.add(1);
            (Ok(lease), true)
        }
        Reached::Fresh(stream) => {
            let lease = introduce(slot, shared, target, stream, &server, left).await;
            (lease, false)
        }
    };
    match lease {
        Ok(lease) => Ok(Opened {
            server,
            lease,
            reused,
            retries,
            redispatched,
            waited,
        }),
        Err(end) => {
            server.counters.connect_errors.add(1);
            Err(NoConnection {
                end,
                server: Some(server.release()),
                retries,
                redispatched,
                waited,
            })
        }
    }
}

/// Whose a connection is that says by a PROXY header whose it is.
fn owner(shared: &Shared, server: &Use) -> Option<ClientId> {
    server.proxy_protocol.map(|_| shared.client.borrow().id)
}

/// Begins to speak HTTP/2 on a fresh connection.
async fn introduce(
    slot: &Slot,
    shared: &Shared,
    target: &Target,
    stream: Stream,
    server: &Use,
    left: &mut Left<'_>,
) -> Result<Lease, SessionEnd> {
    let is_secure = stream.is_secure();
    if is_secure && !stream.is_h2() {
        let (backend, server) = (&*server.backend, &*server.name);
        tracing::warn!(
            backend,
            server,
            "the server does not agree (ALPN) to speak HTTP/2"
        );
        return Err(connect::NO_SERVER);
    }
    let mut builder = h2::client::Builder::new();
    builder
        .enable_push(false)
        .initial_window_size(target.http2.window)
        .initial_connection_window_size(target.http2.connection_window)
        .max_header_list_size(target.limits.head as u32)
        .max_send_buffer_size(SEND_BUFFER);
    let shaking = builder.handshake::<_, Bytes>(ServerWire(stream));
    let (requests, connection) = within(slot, left, shaking)
        .await?
        .map_err(|_| SessionEnd::new(Cause::Server, During::Connect))?;
    let life = Rc::new(Life::default());
    tokio::task::spawn_local(drive(connection, Rc::clone(&life), target.http2.ping));
    server.http2.links.borrow_mut().push(Rc::new(Link {
        client: owner(shared, server),
        requests: RefCell::new(requests),
        life,
        is_secure,
        until_ms: Cell::new(0),
    }));
    let (limit, keep) = (target.http2.streams, target.timeouts.pool_idle);
    let owner = owner(shared, server);
    let lease = server.http2.lease(slot.shard(), owner, limit, keep);
    lease.ok_or(connect::NO_SERVER)
}

/// Waits under the session's deadline, and no longer than the client does.
async fn within<F: Future>(
    slot: &Slot,
    left: &mut Left<'_>,
    work: F,
) -> Result<F::Output, SessionEnd> {
    let mut work = pin!(work);
    poll_fn(|cx| {
        if let Some(kill) = slot.killed() {
            return Poll::Ready(Err(killed(kill, During::Connect)));
        }
        match work.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Ok(output)),
            Poll::Pending if slot.expired() => {
                let late = SessionEnd::new(Cause::ServerTimeout, During::Connect);
                Poll::Ready(Err(late))
            }
            Poll::Pending if left(cx).is_ready() => Poll::Ready(Err(CLIENT_LEFT)),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Carries a connection's frames until it ends, or does not answer any more.
async fn drive(
    mut connection: Connection<ServerWire, Bytes>,
    life: Rc<Life>,
    every: Option<Duration>,
) {
    let mut pings = connection.ping_pong().zip(every);
    match &mut pings {
        Some((pings, every)) => tokio::select! {
            // How it ended is told to each of its streams.
            _ = connection => {}
            () = watch(pings, *every, &life) => {}
        },
        None => drop(connection.await),
    }
    life.dead.set(true);
}

/// Returns when a busy connection has not answered a PING until the next was due.
async fn watch(pings: &mut PingPong, every: Duration, life: &Life) {
    let mut beat = interval(every);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    beat.tick().await;
    loop {
        beat.tick().await;
        if life.streams.get() == 0 {
            continue;
        }
        tokio::select! {
            answered = pings.ping(Ping::opaque()) => if answered.is_err() {
                // The connection ends, and says so itself.
                std::future::pending::<()>().await;
            },
            _ = beat.tick() => return,
        }
    }
}

/// Bytes of a request that wait in the library.
const SEND_BUFFER: usize = 64 << 10;
