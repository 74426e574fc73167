//! What one worker owns: nothing here is shared, so nothing here locks.

use std::cell::{Cell, RefCell};
use std::hash::{BuildHasher, RandomState};
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, Cache};
use tokio::sync::Semaphore;

use super::buffers::Buffers;
use super::client::ClientId;
use super::clock::Clock;
use super::http1::Exchange;
use super::sessions::Sessions;
use super::upstream::Upstreams;
use crate::generation::{Generation, Phase, Published};
use crate::log::Producer;
use crate::net::splice::Pipes;
use crate::state::WorkerId;

/// Spare exchanges a worker keeps.
const EXCHANGES_MAX: usize = 256;

/// A worker's own things.
#[derive(Debug)]
pub(crate) struct Shard {
    /// Which worker.
    pub(crate) worker: WorkerId,
    /// How many there are.
    pub(crate) workers: usize,
    /// The door to control.
    pub(crate) published: Arc<Published>,
    cache: RefCell<Cache<Door, Arc<Generation>>>,
    /// Time.
    pub(crate) clock: Clock,
    /// Deadlines of the sessions.
    pub(crate) sessions: Sessions,
    /// Spare buffers.
    pub(crate) buffers: Buffers,
    /// Spare pipes.
    pub(crate) pipes: Pipes,
    /// Server connections, idle ones too.
    pub(crate) upstreams: Upstreams,
    /// Where records of the access log go.
    pub(crate) log: Producer,
    /// Places for TLS handshakes with clients.
    pub(crate) handshakes: Semaphore,
    #[expect(clippy::vec_box, reason = "what is pooled is the allocation")]
    exchanges: RefCell<Vec<Box<Exchange>>>,
    request_ids: Cell<u64>,
    clients: Cell<u64>,
    seed: u64,
}

impl Shard {
    /// The shard of `worker`; all clocks of a process share `origin`.
    pub(crate) fn new(
        worker: WorkerId,
        workers: usize,
        published: Arc<Published>,
        pipes_max: usize,
        handshakes_max: usize,
        origin: Instant,
        log: Producer,
    ) -> Rc<Self> {
        Rc::new(Self {
            worker,
            workers,
            cache: RefCell::new(Cache::new(Door(Arc::clone(&published)))),
            clock: Clock::new(origin),
            sessions: Sessions::default(),
            buffers: Buffers::default(),
            pipes: Pipes::new(Arc::clone(&published.pipes), pipes_max),
            upstreams: Upstreams::default(),
            log,
            handshakes: Semaphore::new(handshakes_max.div_ceil(workers.max(1))),
            exchanges: RefCell::default(),
            request_ids: Cell::new(0),
            clients: Cell::new(0),
            seed: RandomState::new().hash_one(origin),
            published,
        })
    }

    /// Looks at the generation in force. Costs a load, no reference count: nothing
    /// of it may be kept but by cloning the part that is needed.
    #[inline]
    pub(crate) fn with_generation<R>(&self, f: impl FnOnce(&Generation) -> R) -> R {
        f(self.cache.borrow_mut().load())
    }

    /// Whether connections should not be kept any more.
    #[inline]
    pub(crate) fn is_stopping(&self) -> bool {
        self.published.phase() != Phase::Running
    }

    /// A request id: unique per process by worker and count, and not to be guessed
    /// from another process's by the seed.
    pub(crate) fn request_id(&self) -> [u8; 32] {
        let count = self.request_ids.get();
        self.request_ids.set(count.wrapping_add(1));
        let low = (self.worker.0 as u64) << 48 | count & 0xffff_ffff_ffff;
        let mut id = [0; 32];
        for (index, digit) in id.iter_mut().enumerate() {
            let word = if index < 16 { self.seed } else { low };
            *digit = b"0123456789abcdef"[(word >> (60 - 4 * (index % 16)) & 15) as usize];
        }
        id
    }

    pub(super) fn next_client(&self) -> ClientId {
        self.clients.set(self.clients.get() + 1);
        ClientId(self.clients.get())
    }

    pub(super) fn take_exchange(&self) -> Box<Exchange> {
        self.exchanges.borrow_mut().pop().unwrap_or_default()
    }

    pub(super) fn give_exchange(&self, exchange: Box<Exchange>) {
        let mut exchanges = self.exchanges.borrow_mut();
        if exchanges.len() < EXCHANGES_MAX {
            exchanges.push(exchange);
        }
    }

    /// Housekeeping, every 50 ms. `late` = the tick came more than a second after
    /// its time: then nothing expires this round, since the sessions had no chance to run.
    pub(crate) fn tick(&self, late: bool, close_idle_after: Duration) {
        self.clock.correct();
        let now = self.clock.now_ms();
        self.with_generation(|_| ());
        self.upstreams.sweep(now);
        if late {
            return;
        }
        self.sessions.expire(now);
        let idle = close_idle_after.as_millis() as u32;
        let stopping = self.is_stopping();
        self.sessions
            .expire_idle(now, idle, |frontend| stopping || frontend.is_gone());
    }
}

/// Lets `Cache` find the `ArcSwap` behind the shared door.
#[derive(Debug)]
struct Door(Arc<Published>);

impl Deref for Door {
    type Target = ArcSwap<Generation>;

    fn deref(&self) -> &Self::Target {
        &self.0.generation
    }
}
