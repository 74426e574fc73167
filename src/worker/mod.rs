//! One thread per core: a runtime, listeners of its own, housekeeping, orders
//! from control.
//!
//! A worker knows nothing of control: it reads generations through its shard
//! and takes [`Order`]s from a bounded mailbox. Start at [`start`].

mod accept;
mod order;

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use crate::generation::Published;
use crate::log::{Producer, Rings};
use crate::proxy::{Kill, Shard};
use crate::state::WorkerId;
use accept::Listeners;
pub(crate) use order::{Order, SessionRow};

/// What a worker is made with.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// How many workers there are.
    pub(crate) workers: usize,
    /// Pin each to the core of its number.
    pub(crate) pin: bool,
    /// Connections accepted per wake of a listener.
    pub(crate) accept_budget: usize,
    /// Pipes of the process.
    pub(crate) pipes_max: usize,
    /// TLS handshakes with clients at once, of the process.
    pub(crate) tls_handshakes_max: usize,
    /// On stop an idle client is closed once idle for this long.
    pub(crate) close_idle_after: Duration,
    /// Time zero of all clocks of the process.
    pub(crate) origin: Instant,
    /// Where records of the access log go.
    pub(crate) rings: Arc<Rings>,
}

/// Control's end of a worker.
#[derive(Debug)]
pub(crate) struct Handle {
    /// Which.
    pub(crate) id: WorkerId,
    /// Its mailbox.
    pub(crate) orders: mpsc::Sender<Order>,
    /// When it ticked last.
    pub(crate) pulse: Arc<Pulse>,
    /// Its thread; ends when the worker was stopped.
    pub(crate) thread: std::thread::JoinHandle<()>,
}

/// The time of a worker's last tick, for the watch. The worker writes, control reads.
#[derive(Debug)]
pub(crate) struct Pulse {
    origin: Instant,
    last_ms: AtomicU64,
    late_max_ms: AtomicU64,
}

impl Pulse {
    fn new(origin: Instant) -> Self {
        let pulse = Self {
            origin,
            last_ms: AtomicU64::new(0),
            late_max_ms: AtomicU64::new(0),
        };
        pulse.beat();
        pulse
    }

    /// Notes a tick; returns how late it came.
    fn beat(&self) -> Duration {
        let now = self.origin.elapsed().as_millis() as u64;
        let last = self.last_ms.swap(now, Ordering::Relaxed);
        let late = now
            .saturating_sub(last)
            .saturating_sub(TICK.as_millis() as u64);
        if last != 0 {
            self.late_max_ms.fetch_max(late, Ordering::Relaxed);
        }
        Duration::from_millis(late)
    }

    /// Milliseconds of the process's clock at the last tick.
    pub(crate) fn last_ms(&self) -> u64 {
        self.last_ms.load(Ordering::Relaxed)
    }

    /// Time since the last tick.
    pub(crate) fn age(&self) -> Duration {
        let now = self.origin.elapsed().as_millis() as u64;
        Duration::from_millis(now.saturating_sub(self.last_ms.load(Ordering::Relaxed)))
    }

    /// The latest that any tick ever came.
    pub(crate) fn late_max(&self) -> Duration {
        Duration::from_millis(self.late_max_ms.load(Ordering::Relaxed))
    }
}

/// Deadlines are looked at this often.
const TICK: Duration = Duration::from_millis(50);
/// A tick this late finds sessions that had no chance to run: nothing expires.
const LATE: Duration = Duration::from_secs(1);
/// Orders that may wait; control waits for room.
const ORDERS_MAX: usize = 256;

/// Starts the thread of worker `id`.
///
/// # Errors
/// The thread or its runtime could not be made.
pub(crate) fn start(
    id: WorkerId,
    settings: &Settings,
    published: &Arc<Published>,
) -> io::Result<Handle> {
    let (orders, mailbox) = mpsc::channel(ORDERS_MAX);
    let pulse = Arc::new(Pulse::new(settings.origin));
    let parts = (settings.clone(), Arc::clone(published), Arc::clone(&pulse));
    let runtime = Builder::new_current_thread();
    let thread = std::thread::Builder::new()
        .name(format!("worker-{}", id.0))
        .spawn(move || {
            let mut runtime = runtime;
            let (settings, published, pulse) = parts;
            if settings.pin {
                pin(id);
            }
            match runtime.enable_all().build_local(LocalOptions::default()) {
                Ok(runtime) => runtime.block_on(run(id, settings, published, pulse, mailbox)),
                Err(error) => tracing::error!(worker = id.0, %error, "cannot make a runtime"),
            }
        })?;
    Ok(Handle {
        id,
        orders,
        pulse,
        thread,
    })
}

fn pin(id: WorkerId) {
    let mut cores = rustix::thread::CpuSet::new();
    let Ok(allowed) = rustix::thread::sched_getaffinity(None) else {
        return;
    };
    let usable: Vec<usize> = (0..rustix::thread::CpuSet::MAX_CPU)
        .filter(|c| allowed.is_set(*c))
        .collect();
    if usable.is_empty() {
        return;
    }
    cores.set(usable[id.0 % usable.len()]);
    if let Err(error) = rustix::thread::sched_setaffinity(None, &cores) {
        tracing::warn!(worker = id.0, %error, "cannot pin the worker to its core");
    }
}

async fn run(
    id: WorkerId,
    settings: Settings,
    published: Arc<Published>,
    pulse: Arc<Pulse>,
    mut mailbox: mpsc::Receiver<Order>,
) {
    let shard = Shard::new(
        id,
        settings.workers,
        published,
        settings.pipes_max,
        settings.tls_handshakes_max,
        settings.origin,
        Producer::new(&settings.rings, id.0),
    );
    let mut listeners = Listeners::new(Rc::clone(&shard), settings.accept_budget);
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            _ = tick.tick() => {
                let late = pulse.beat() > LATE;
                shard.tick(late, settings.close_idle_after);
                listeners.look_after();
            }
            order = mailbox.recv() => match order {
                None | Some(Order::Stop) => return,
                Some(order) => obey(order, &shard, &mut listeners),
            },
        }
    }
}

fn obey(order: Order, shard: &Rc<Shard>, listeners: &mut Listeners) {
    // Nobody may be waiting for the answer any more; the work is done all the same.
    match order {
        Order::OpenBind {
            bind,
            frontend,
            fd,
            done,
        } => {
            listeners.open(bind, frontend, fd, done);
        }
        Order::CloseBind { bind, gently, done } => {
            // It takes a while, and the worker has other things to do.
            let closing = listeners.take(bind);
            tokio::task::spawn_local(async move {
                let _ = done.send(closing.close(gently).await);
            });
        }
        Order::ShareBinds { done } => {
            let _ = done.send(listeners.duplicates());
        }
        Order::Refresh { closed, done } => {
            shard.with_generation(|_| ());
            for endpoint in closed.iter() {
                shard.upstreams.close(*endpoint);
            }
            let _ = done.send(());
        }
        Order::CloseServer {
            server,
            asked,
            done,
        } => {
            let why = if asked { Kill::Admin } else { Kill::ServerCut };
            let cut = |session: &crate::proxy::SessionInfo| session.server == Some(server);
            let _ = done.send(shard.sessions.kill(why, cut));
        }
        Order::CloseFrontend { frontend, done } => {
            let cut = |session: &crate::proxy::SessionInfo| session.frontend.id == frontend;
            let _ = done.send(shard.sessions.kill(Kill::Admin, cut));
        }
        Order::ListSessions { done } => {
            let now = shard.clock.now_ms();
            let rows = shard.sessions.list(now).into_iter();
            let _ = done.send(
                rows.map(|info| SessionRow {
                    worker: shard.worker,
                    info,
                })
                .collect(),
            );
        }
        Order::KillSession { index, done } => {
            let one =
                |session: &crate::proxy::SessionInfo| index.is_none_or(|i| session.index == i);
            let _ = done.send(shard.sessions.kill(Kill::Admin, one));
        }
        Order::Stop => {}
    }
}
