//! A worker's connections to one endpoint of a server.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crossbeam_utils::CachePadded;

use super::end::During;
use super::http2;
use super::record::Load;
use super::{ClientId, Shard};
use crate::config::{ProxyVersion, ServerAddress};
use crate::generation::{Backend, Server};
use crate::net::Stream;
use crate::state::{Counters, EndpointId, Entry, Queue, ServerState};
use crate::tls::Origin;

/// An upstream nobody used for this long is forgotten.
const FORGET_MS: u32 = 60_000;
/// A request that must not be sent twice takes only a connection idle for less than this.
const FRESH_MS: u32 = 1000;

/// What a worker knows of one endpoint.
#[derive(Debug)]
pub(crate) struct Upstream {
    /// Of which server.
    pub(crate) state: Arc<ServerState>,
    /// Its name, for the log.
    pub(crate) name: Arc<str>,
    /// The backend's name, for the log.
    pub(crate) backend: Arc<str>,
    /// Where it listens.
    pub(crate) address: ServerAddress,
    /// Handshakes with it; `None` = it is spoken to in plain.
    pub(crate) tls: Option<Arc<Origin>>,
    /// The header it is sent first. It names a client, so a connection is of use to that
    /// one alone.
    pub(crate) proxy_protocol: Option<ProxyVersion>,
    /// This worker's slot.
    pub(crate) counters: Arc<CachePadded<Counters>>,
    /// This worker's slot of the backend.
    pub(crate) backend_counters: Arc<CachePadded<Counters>>,
    /// Who waits for a place at a server of its backend.
    queue: Arc<Queue>,
    /// Sessions of server and backend, for the log.
    pub(super) load: Load,
    /// Oldest in front, newest taken first.
    idle: RefCell<VecDeque<Idle>>,
    /// Where it speaks HTTP/2: connections that many share.
    pub(super) http2: http2::Pool,
    used_ms: Cell<u32>,
}

#[derive(Debug)]
struct Idle {
    stream: Stream,
    /// Who used it last.
    client: ClientId,
    since_ms: u32,
    /// When it is closed.
    until_ms: u32,
}

impl Upstream {
    /// A pooled connection that is alive as far as can be told. `confirm` = the
    /// request must not be sent twice: ask the kernel, and take only a fresh one.
    pub(crate) fn take(&self, client: ClientId, now_ms: u32, confirm: bool) -> Option<Stream> {
        loop {
            let idle = match self.proxy_protocol {
                None => self.idle.borrow_mut().pop_back()?,
                Some(_) => self.take_of(client)?,
            };
            self.counters.idle.down();
            let stale = now_ms.wrapping_sub(idle.until_ms) < u32::MAX / 2;
            let old = confirm && now_ms.wrapping_sub(idle.since_ms) >= FRESH_MS;
            if !stale && !old && is_quiet(&idle.stream, confirm) {
                return Some(idle.stream);
            }
        }
    }

    /// The newest of this client alone. There are at most a few hundred.
    #[cold]
    fn take_of(&self, client: ClientId) -> Option<Idle> {
        let mut idle = self.idle.borrow_mut();
        let index = idle.iter().rposition(|idle| idle.client == client)?;
        idle.remove(index)
    }

    /// Pools a connection, unless this worker's share of `max` is full or the server takes no work.
    pub(crate) fn give(
        &self,
        stream: Stream,
        client: ClientId,
        now_ms: u32,
        keep: Duration,
        max: usize,
    ) {
        let mut idle = self.idle.borrow_mut();
        if max == 0 || !self.state.may_pool() {
            return;
        }
        if idle.len() >= max {
            if self.proxy_protocol.is_none() {
                return;
            }
            // The oldest has waited longest for a client that may want no more.
            idle.pop_front();
            self.counters.idle.down();
        }
        let until_ms = now_ms.wrapping_add(keep.as_millis() as u32);
        idle.push_back(Idle {
            stream,
            client,
            since_ms: now_ms,
            until_ms,
        });
        self.counters.idle.up();
    }

    /// Closes what is pooled for this client alone.
    fn forget(&self, client: ClientId) {
        self.http2.forget(client);
        self.idle.borrow_mut().retain(|idle| {
            let stays = idle.client != client;
            if !stays {
                self.counters.idle.down();
            }
            stays
        });
    }

    /// Closes idle connections that are past their time, all of them if the server takes no work.
    fn sweep(&self, now_ms: u32) {
        let mut idle = self.idle.borrow_mut();
        let all = !self.state.may_pool();
        if all {
            self.http2.close();
        }
        self.http2.sweep(now_ms);
        while let Some(oldest) = idle.front() {
            if !all && now_ms.wrapping_sub(oldest.until_ms) >= u32::MAX / 2 {
                break;
            }
            idle.pop_front();
            self.counters.idle.down();
        }
    }
}

impl Drop for Upstream {
    /// A connection that was in use when its endpoint was closed comes back to an
    /// upstream nobody finds any more: it ends here, and must not stay counted.
    fn drop(&mut self) {
        for _ in self.idle.get_mut().drain(..) {
            self.counters.idle.down();
        }
    }
}

/// An idle connection must be silent: FIN, reset and stray bytes all make it
/// readable. The driver's view costs nothing but may lie ("ready" after a read
/// that filled its buffer), so a ready one is asked once.
fn is_quiet(stream: &Stream, confirm: bool) -> bool {
    if !confirm && stream.seems_silent() {
        return true;
    }
    // poll_read returns at once where the driver knows of nothing: ask past it.
    let mut byte = [0; 1];
    let asked = stream.try_recv(&mut byte);
    let quiet = matches!(asked, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock);
    let mut cx = Context::from_waker(Waker::noop());
    quiet
        && matches!(
            stream.poll_read_ready(&mut cx),
            Poll::Pending | Poll::Ready(Ok(()))
        )
}

/// One unit of work on a server; counts it as long as it lives.
#[derive(Debug)]
pub(crate) struct Use {
    upstream: Rc<Upstream>,
    /// Whether it holds a place, where the server has a limit.
    entry: Entry,
}

impl Use {
    pub(super) fn new(upstream: Rc<Upstream>, entry: Entry) -> Self {
        upstream.counters.current.up();
        upstream.backend_counters.busy.up();
        Self { upstream, entry }
    }

    /// Whether it is one of so many that the server may have at once.
    pub(super) fn is_limited(&self) -> bool {
        self.entry == Entry::Counted
    }

    /// Counts an answer that did not come in time, unless its head did.
    pub(super) fn count_missing(&self, during: During) {
        if during == During::Headers {
            self.counters.response_errors.add(1);
        }
    }

    /// Lets go, and says of what.
    pub(super) fn release(self) -> Rc<Upstream> {
        Rc::clone(&self.upstream)
    }
}

impl std::ops::Deref for Use {
    type Target = Upstream;

    fn deref(&self) -> &Upstream {
        &self.upstream
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        self.upstream.counters.current.down();
        self.upstream.backend_counters.busy.down();
        if self.entry == Entry::Counted {
            self.upstream.state.slots.leave();
            // Whoever is first in either line looks, and one of them finds it.
            self.upstream.queue.wake();
            self.upstream.state.line.wake();
        }
    }
}

/// The upstreams of a worker.
#[derive(Debug, Default)]
pub(crate) struct Upstreams {
    by_endpoint: RefCell<HashMap<EndpointId, Rc<Upstream>, BuildHasherDefault<IdHasher>>>,
}

impl Upstreams {
    /// The upstream of a server's endpoint.
    #[inline]
    pub(crate) fn get(&self, shard: &Shard, backend: &Backend, server: &Server) -> Rc<Upstream> {
        let mut map = self.by_endpoint.borrow_mut();
        let upstream = map.entry(server.endpoint).or_insert_with(|| {
            Rc::new(Upstream {
                state: Arc::clone(&server.state),
                name: Arc::clone(&server.name),
                backend: Arc::clone(&backend.name),
                address: server.address.clone(),
                tls: server.tls.clone(),
                proxy_protocol: server.proxy_protocol,
                counters: server.state.counters.slot(shard.worker),
                backend_counters: backend.state.counters.slot(shard.worker),
                queue: Arc::clone(&backend.state.queue),
                load: Load::of(Arc::clone(&backend.state)),
                idle: RefCell::default(),
                http2: http2::Pool::default(),
                used_ms: Cell::new(0),
            })
        });
        upstream.used_ms.set(shard.clock.now_ms());
        Rc::clone(upstream)
    }

    /// Closes what is pooled to an endpoint that nobody uses any more.
    pub(crate) fn close(&self, endpoint: EndpointId) {
        if let Some(upstream) = self.by_endpoint.borrow_mut().remove(&endpoint) {
            upstream.http2.close();
            while upstream.idle.borrow_mut().pop_front().is_some() {
                upstream.counters.idle.down();
            }
        }
    }

    /// Closes what is pooled for this client alone.
    pub(super) fn forget(&self, client: ClientId) {
        let all = self.by_endpoint.borrow();
        for upstream in all.values().filter(|u| u.proxy_protocol.is_some()) {
            upstream.forget(client);
        }
    }

    /// Closes idle connections past their time and forgets unused upstreams.
    pub(super) fn sweep(&self, now_ms: u32) {
        self.by_endpoint.borrow_mut().retain(|_, upstream| {
            upstream.sweep(now_ms);
            let is_recent = now_ms.wrapping_sub(upstream.used_ms.get()) < FORGET_MS;
            Rc::strong_count(upstream) > 1
                || !upstream.idle.borrow().is_empty()
                || !upstream.http2.is_empty()
                || (is_recent && !upstream.state.is_retired())
        });
    }
}

/// Identities are counted up: any spreading will do, and SipHash costs 15 ns.
#[derive(Debug, Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, id: u64) {
        self.0 = (self.0 ^ id)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(26);
    }
}
