//! The sessions of a worker: their deadlines, packed, and how to wake them.
//!
//! A deadline is a number in a slab; moving it is a store. The worker's 50 ms
//! tick looks at all of them (100,000 in 0.03 ms) and wakes what has expired.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use super::Shard;
use crate::net::Peer;
use crate::state::{FrontendState, ServerId};

/// Why a session is to end although it did nothing wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kill {
    /// The operator asked for it, or the process ends.
    Admin,
    /// Its server's drain is over.
    ServerCut,
}

/// No deadline.
const NEVER: u32 = 0;

/// All sessions of one worker.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    inner: RefCell<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Milliseconds of the shard's clock, compared with wrapping.
    deadlines: Vec<u32>,
    entries: Vec<Entry>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Entry {
    waker: Option<Waker>,
    frontend: Option<Arc<FrontendState>>,
    server: Option<ServerId>,
    peer: Peer,
    started_ms: u32,
    /// When the session became idle between two requests; 0 = it is not.
    idle_ms: u32,
    expired: bool,
    killed: Option<Kill>,
}

/// What is known of a session from outside.
#[derive(Debug, Clone)]
pub(crate) struct SessionInfo {
    /// Index in its worker's slab.
    pub(crate) index: u32,
    /// The client.
    pub(crate) peer: Peer,
    /// Where it came in.
    pub(crate) frontend: Arc<FrontendState>,
    /// What it talks to.
    pub(crate) server: Option<ServerId>,
    /// Milliseconds since accept.
    pub(crate) age_ms: u32,
}

impl Sessions {
    /// Wakes each session whose deadline lies at or before `now_ms`.
    pub(crate) fn expire(&self, now_ms: u32) {
        let inner = &mut *self.inner.borrow_mut();
        for (index, deadline) in inner.deadlines.iter_mut().enumerate() {
            if *deadline != NEVER && now_ms.wrapping_sub(*deadline) < u32::MAX / 2 {
                *deadline = NEVER;
                let entry = &mut inner.entries[index];
                entry.expired = true;
                wake(entry);
            }
        }
    }

    /// Expires sessions that have been idle for `at_least_ms` and match.
    pub(crate) fn expire_idle(
        &self,
        now_ms: u32,
        at_least_ms: u32,
        matches: impl Fn(&FrontendState) -> bool,
    ) {
        let inner = &mut *self.inner.borrow_mut();
        for (index, entry) in inner.entries.iter_mut().enumerate() {
            let idle = entry.idle_ms != 0 && now_ms.wrapping_sub(entry.idle_ms) >= at_least_ms;
            if idle && entry.frontend.as_deref().is_some_and(&matches) {
                inner.deadlines[index] = NEVER;
                entry.expired = true;
                wake(entry);
            }
        }
    }

    /// Ends the sessions that match; returns how many.
    pub(crate) fn kill(&self, why: Kill, matches: impl Fn(&SessionInfo) -> bool) -> usize {
        let matching: Vec<u32> = self
            .list(0)
            .into_iter()
            .filter(|s| matches(s))
            .map(|s| s.index)
            .collect();
        let inner = &mut *self.inner.borrow_mut();
        for index in &matching {
            let entry = &mut inner.entries[*index as usize];
            entry.killed = Some(why);
            wake(entry);
        }
        matching.len()
    }

    /// Every session, at `now_ms`.
    pub(crate) fn list(&self, now_ms: u32) -> Vec<SessionInfo> {
        let inner = self.inner.borrow();
        let live = inner.entries.iter().enumerate();
        live.filter_map(|(index, entry)| {
            Some(SessionInfo {
                index: index as u32,
                peer: entry.peer,
                frontend: Arc::clone(entry.frontend.as_ref()?),
                server: entry.server,
                age_ms: now_ms.wrapping_sub(entry.started_ms),
            })
        })
        .collect()
    }

    fn open(&self, frontend: Arc<FrontendState>, peer: Peer, now_ms: u32) -> u32 {
        let inner = &mut *self.inner.borrow_mut();
        let entry = Entry {
            waker: None,
            frontend: Some(frontend),
            server: None,
            peer,
            started_ms: now_ms,
            idle_ms: 0,
            expired: false,
            killed: None,
        };
        if let Some(index) = inner.free.pop() {
            inner.entries[index as usize] = entry;
            return index;
        }
        inner.deadlines.push(NEVER);
        inner.entries.push(entry);
        (inner.entries.len() - 1) as u32
    }

    fn close(&self, index: u32) {
        let inner = &mut *self.inner.borrow_mut();
        inner.deadlines[index as usize] = NEVER;
        let entry = &mut inner.entries[index as usize];
        entry.waker = None;
        entry.frontend = None;
        entry.idle_ms = 0;
        inner.free.push(index);
    }
}

fn wake(entry: &Entry) {
    if let Some(waker) = &entry.waker {
        waker.wake_by_ref();
    }
}

/// A session's place in the slab; leaves it when dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    shard: Rc<Shard>,
    index: u32,
}

impl Slot {
    pub(super) fn open(shard: &Rc<Shard>, frontend: Arc<FrontendState>, peer: Peer) -> Self {
        let index = shard.sessions.open(frontend, peer, shard.clock.now_ms());
        Self {
            shard: Rc::clone(shard),
            index,
        }
    }

    /// The shard of this session.
    #[inline]
    pub(crate) fn shard(&self) -> &Rc<Shard> {
        &self.shard
    }

    /// Remembers whom to wake.
    pub(crate) fn register(&self, waker: &Waker) {
        self.with(|entry| entry.waker = Some(waker.clone()));
    }

    /// Remembers to wake this task, whose waker stays the same, so once is enough.
    pub(crate) async fn register_task(&self) {
        poll_fn(|cx| {
            self.register(cx.waker());
            Poll::Ready(())
        })
        .await;
    }

    /// The session is woken `after` this long, unless the deadline is moved.
    #[inline]
    pub(crate) fn arm(&self, after: Duration) {
        let after = after.as_millis().min(u128::from(u32::MAX / 4)) as u32;
        let deadline = self.shard.clock.now_ms().wrapping_add(after);
        let inner = &mut *self.shard.sessions.inner.borrow_mut();
        inner.deadlines[self.index as usize] = deadline.max(1);
        inner.entries[self.index as usize].expired = false;
    }

    /// Marks the session idle between two requests, or busy.
    #[inline]
    pub(crate) fn set_idle(&self, idle: bool) {
        let now = self.shard.clock.now_ms().max(1);
        self.with(|entry| entry.idle_ms = if idle { now } else { 0 });
    }

    /// The session is another's than the connection's peer.
    pub(super) fn set_peer(&self, peer: Peer) {
        self.with(|entry| entry.peer = peer);
    }

    /// Names the server the session talks to.
    #[inline]
    pub(crate) fn set_server(&self, server: Option<ServerId>) {
        self.with(|entry| entry.server = server);
    }

    /// Whether the deadline has passed.
    #[inline]
    pub(crate) fn expired(&self) -> bool {
        self.with(|entry| entry.expired)
    }

    /// Whether somebody wants the session to end.
    #[inline]
    pub(crate) fn killed(&self) -> Option<Kill> {
        self.with(|entry| entry.killed)
    }

    #[inline]
    fn with<R>(&self, f: impl FnOnce(&mut Entry) -> R) -> R {
        f(&mut self.shard.sessions.inner.borrow_mut().entries[self.index as usize])
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.shard.sessions.close(self.index);
    }
}
