//! The one door between the planes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use crossbeam_utils::CachePadded;
use tokio::sync::mpsc;

use super::Generation;
use crate::state::{Places, ServerId};

/// How far the process is on its way to its end. Only rises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Serving.
    Running = 0,
    /// Listeners closed, sessions finish; idle clients are closed.
    Draining = 1,
    /// Everything ends now.
    Cut = 2,
}

/// What a worker tells control outside of counters. Rare by nature; a full
/// queue drops the report, since the next check will see the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Report {
    /// A connect was refused or timed out, on a backend with `observe_connect`.
    ConnectFailed(ServerId),
}

/// What control publishes and workers read.
#[derive(Debug)]
pub(crate) struct Published {
    /// The generation in force. Control stores, each worker loads through a cache of its own.
    pub(crate) generation: ArcSwap<Generation>,
    /// A [`Phase`]. Control stores.
    phase: AtomicU8,
    /// The process is about to end and nobody takes its place: others should send
    /// their traffic elsewhere. Control stores, before it closes a listener.
    leaving: AtomicBool,
    /// Client connections of the process. Workers write, once per connection.
    places: CachePadded<Places>,
    /// Connections that were accepted ever. Workers write, once per connection.
    accepted: CachePadded<AtomicU64>,
    /// Most client connections of the process now. Control writes, workers read once per
    /// connection.
    maxconn: AtomicUsize,
    /// What the process was made for: its descriptors are counted for so many.
    maxconn_max: usize,
    /// Pipes (splice) of the process now. Workers write, once per pipe made or closed.
    pub(crate) pipes: Arc<AtomicUsize>,
    /// Sessions that ended in a panic.
    pub(crate) panics: AtomicU64,
    /// Workers to control.
    pub(crate) reports: mpsc::Sender<Report>,
}

impl Published {
    /// Publishes the first generation.
    pub(crate) fn new(
        first: Arc<Generation>,
        maxconn: usize,
        reports: mpsc::Sender<Report>,
    ) -> Self {
        Self {
            generation: ArcSwap::new(first),
            phase: AtomicU8::new(Phase::Running as u8),
            leaving: AtomicBool::new(false),
            places: CachePadded::default(),
            accepted: CachePadded::new(AtomicU64::new(0)),
            maxconn: AtomicUsize::new(maxconn),
            maxconn_max: maxconn,
            pipes: Arc::default(),
            panics: AtomicU64::new(0),
            reports,
        }
    }

    /// How far the process is on its way to its end.
    #[inline]
    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Relaxed) {
            0 => Phase::Running,
            1 => Phase::Draining,
            _ => Phase::Cut,
        }
    }

    /// Whether monitors should say that no traffic is wanted.
    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed)
    }

    /// From now on they do. Control only; never goes back.
    pub(crate) fn leave_service(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }

    /// Control only; never goes back.
    pub(crate) fn advance(&self, phase: Phase) {
        self.phase.fetch_max(phase as u8, Ordering::Relaxed);
    }

    /// Takes a place for a client connection; false = the process is full.
    pub(crate) fn enter(&self) -> bool {
        self.places.enter(self.maxconn()).is_some()
    }

    /// Takes a place although the process may be full.
    pub(crate) fn squeeze_in(&self) {
        self.places.enter(usize::MAX);
    }

    /// Gives a place back.
    pub(crate) fn leave(&self) {
        self.places.leave();
    }

    /// Resolves when [`Self::enter`] is worth another try.
    pub(crate) async fn room(&self) {
        self.places.room(self.maxconn()).await;
    }

    /// A connection was accepted.
    pub(crate) fn count_accepted(&self) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
    }

    /// Most client connections now.
    pub(crate) fn maxconn(&self) -> usize {
        self.maxconn.load(Ordering::Relaxed)
    }

    /// Sets that, 0 = as it was at the start; false = it would be more than that.
    /// Connections above it stay. Control only.
    pub(crate) fn set_maxconn(&self, maxconn: usize) -> bool {
        let wanted = match maxconn {
            0 => self.maxconn_max,
            wanted if wanted > self.maxconn_max => return false,
            wanted => wanted,
        };
        self.maxconn.store(wanted, Ordering::Relaxed);
        true
    }

    /// Client connections now.
    pub(crate) fn connections(&self) -> usize {
        self.places.taken()
    }

    /// Client connections ever.
    pub(crate) fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }
}
