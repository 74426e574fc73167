//! The client's side of a session.

use std::io::Write;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};

use crossbeam_utils::CachePadded;

use super::Shard;
use super::buffers::Buf;
use super::sessions::Slot;
use crate::generation::{Frontend, Generation};
use crate::net::{Peer, Stream};
use crate::state::FrontendCounters;

/// One accepted connection and what is known of it.
#[derive(Debug)]
pub(crate) struct Client {
    /// Its socket.
    pub(crate) stream: Stream,
    /// Its place among the worker's sessions: deadline, kill switch.
    pub(crate) slot: Slot,
    /// Settings; follows the generation in force request by request.
    pub(crate) frontend: Arc<Frontend>,
    /// This worker's slot of the frontend.
    pub(crate) counters: Arc<CachePadded<FrontendCounters>>,
    /// Who it is.
    pub(crate) peer: Peer,
    /// The same as text.
    pub(crate) ip: Text<39>,
    /// The port it came in on.
    pub(crate) port: Text<5>,
    /// Whether it lies in the frontend's trusted networks.
    pub(crate) trusted: bool,
    /// Bytes read ahead; idle connections have none.
    pub(crate) ahead: Option<Buf>,
    /// It will send no more.
    pub(crate) fin: bool,
    /// Requests so far.
    pub(crate) requests: u32,
    /// When it was accepted, or the first byte of its last request came.
    pub(crate) began_us: u64,
    _place: Place,
}

impl Client {
    /// A fresh connection that has its place.
    pub(crate) fn new(place: Place, stream: Stream, peer: Peer, local_port: u16) -> Self {
        let (shard, frontend) = (&place.shard, &place.frontend);
        let counters = frontend.state.counters.slot(shard.worker);
        counters.connections.add(1);
        shard.published.count_accepted();
        counters.sessions.add(1);
        Self {
            slot: Slot::open(shard, Arc::clone(&frontend.state), peer),
            ip: Text::of(peer.address.ip()),
            port: Text::of(local_port),
            trusted: is_trusted(frontend, peer),
            frontend: Arc::clone(frontend),
            counters,
            peer,
            stream,
            ahead: None,
            fin: false,
            requests: 0,
            began_us: place.shard.clock.now_us(),
            _place: place,
        }
    }

    /// Its worker's things.
    #[inline]
    pub(crate) fn shard(&self) -> &Rc<Shard> {
        self.slot.shard()
    }

    /// Follows the generation: a reload may have changed the frontend's settings.
    #[inline]
    pub(crate) fn follow(&mut self, generation: &Generation) {
        let current = &self.frontend;
        let newer = generation
            .frontend(current.state.id)
            .filter(|newer| !Arc::ptr_eq(newer, current));
        if let Some(newer) = newer {
            self.trusted = is_trusted(newer, self.peer);
            self.frontend = Arc::clone(newer);
        }
    }

    /// Whether bytes behind the last request are there, as far as the driver knows.
    pub(crate) fn has_unread(&self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        self.ahead.is_some() || self.stream.poll_read_ready(&mut cx).is_ready()
    }

    /// Whether the connection may stay open for another request.
    pub(crate) fn may_stay(&self) -> bool {
        let limit = self.frontend.config.keep_alive_requests;
        !self.shard().is_stopping()
            && !self.frontend.state.is_gone()
            && (limit == 0 || self.requests < limit)
    }
}

fn is_trusted(frontend: &Frontend, peer: Peer) -> bool {
    frontend
        .config
        .forwarded
        .trusted
        .iter()
        .any(|network| network.contains(peer.address.ip()))
}

/// A place among the connections of the process and of a frontend: taken before
/// a connection is accepted, so that one too many waits in the kernel's queue.
#[derive(Debug)]
pub(crate) struct Place {
    shard: Rc<Shard>,
    frontend: Arc<Frontend>,
}

/// Which limit is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// That of the process.
    Process,
    /// That of the frontend.
    Frontend,
}

impl Place {
    /// A place, if both limits allow one.
    ///
    /// # Errors
    /// The limit that is reached: wait for [`Full::room`].
    pub(crate) fn take(shard: &Rc<Shard>, frontend: &Arc<Frontend>) -> Result<Self, Full> {
        if !shard.published.enter() {
            return Err(Full::Process);
        }
        if !frontend.state.enter(frontend.config.maxconn) {
            shard.published.leave();
            return Err(Full::Frontend);
        }
        Ok(Self::taken(shard, frontend))
    }

    /// A place over all limits, for a connection that must not be lost.
    pub(crate) fn over(shard: &Rc<Shard>, frontend: &Arc<Frontend>) -> Self {
        shard.published.squeeze_in();
        frontend.state.enter(None);
        Self::taken(shard, frontend)
    }

    fn taken(shard: &Rc<Shard>, frontend: &Arc<Frontend>) -> Self {
        Self {
            shard: Rc::clone(shard),
            frontend: Arc::clone(frontend),
        }
    }
}

impl Full {
    /// Resolves when another try is worth it, soon in any case: the limit itself
    /// may have changed.
    pub(crate) async fn room(self, shard: &Shard, frontend: &Frontend) {
        match self {
            Self::Process => shard.published.room().await,
            Self::Frontend => frontend.state.room(frontend.config.maxconn).await,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shard.published.leave();
        self.frontend.state.leave();
    }
}

/// A short text without an allocation, rendered once per connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text<const N: usize> {
    bytes: [u8; N],
    len: u8,
}

impl<const N: usize> Text<N> {
    fn of(value: impl std::fmt::Display) -> Self {
        let mut bytes = [0; N];
        let mut rest = &mut bytes[..];
        // What does not fit is cut; N is chosen so that everything does.
        let _ = write!(rest, "{value}");
        let len = (N - rest.len()) as u8;
        Self { bytes, len }
    }

    /// The text.
    #[inline]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}
