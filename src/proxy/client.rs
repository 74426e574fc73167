//! The client's side of a session.

use std::cell::Cell;
use std::future::poll_fn;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crossbeam_utils::CachePadded;

use super::Shard;
use super::answer::Answer;
use super::buffers::{Buf, REQUEST};
use super::end::{Cause, During, SessionEnd};
use super::sessions::Slot;
use crate::generation::{Frontend, Generation};
use crate::http;
use crate::net::proxy_header::Ends;
use crate::net::{Peer, Stream};
use crate::state::FrontendCounters;

/// A client connection among those of a worker. Never reused, so that what was made
/// for one is found by nobody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClientId(pub(super) u64);

/// One accepted connection and what is known of it.
#[derive(Debug)]
pub(crate) struct Client {
    /// Which one.
    pub(crate) id: ClientId,
    /// Its socket.
    pub(crate) stream: Stream,
    /// Its place among the worker's sessions: deadline, kill switch.
    pub(crate) slot: Slot,
    /// Settings; follows the generation in force request by request.
    pub(crate) frontend: Arc<Frontend>,
    /// This worker's slot of the frontend.
    pub(crate) counters: Arc<CachePadded<FrontendCounters>>,
    /// Who it is: the peer, or whom that announced.
    pub(crate) peer: Peer,
    /// Where that one had connected to; `None` = here.
    destination: Option<SocketAddr>,
    /// A server was told of it: connections of its own may be pooled.
    is_told: Cell<bool>,
    /// The same as text.
    pub(crate) ip: Text<39>,
    /// The port it connected to.
    pub(crate) port: Text<5>,
    /// Whether it lies in the frontend's trusted networks.
    pub(crate) trusted: bool,
    /// What its certificate said, as fields for servers; `None` = it was not asked for one.
    pub(crate) certificate: Option<Box<[u8]>>,
    /// Bytes read ahead; idle connections have none.
    pub(crate) ahead: Option<Buf>,
    /// It will send no more.
    pub(crate) fin: bool,
    /// Requests so far.
    pub(crate) requests: u32,
    /// When it was accepted, or the first byte of its last request came.
    pub(crate) began_us: u64,
    /// Its first bytes decide whether it speaks HTTP/2.
    pub(crate) may_speak_http2: bool,
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
            id: shard.next_client(),
            slot: Slot::open(shard, Arc::clone(&frontend.state), peer),
            ip: Text::of_ip(peer.address.ip()),
            port: Text::of_number(local_port),
            trusted: is_trusted(frontend, peer),
            frontend: Arc::clone(frontend),
            counters,
            peer,
            destination: None,
            is_told: Cell::new(false),
            stream,
            certificate: None,
            ahead: None,
            fin: false,
            requests: 0,
            began_us: place.shard.clock.now_us(),
            may_speak_http2: false,
            _place: place,
        }
    }

    /// The peer is none, but passes this one on.
    pub(crate) fn announce(&mut self, ends: Ends) {
        self.peer = Peer::of(ends.source);
        self.destination = Some(ends.destination);
        self.ip = Text::of_ip(ends.source.ip());
        self.port = Text::of_number(ends.destination.port());
        self.trusted = is_trusted(&self.frontend, self.peer);
        self.slot.set_peer(self.peer);
    }

    /// Both ends of its connection, for a server that is to be told; `None` = they
    /// have no addresses. A system call unless they were announced.
    pub(crate) fn ends(&self) -> Option<Ends> {
        self.is_told.set(true);
        let here = || self.stream.local_address();
        let destination = self.destination.or_else(here)?;
        let source = self.peer.address;
        (self.peer != Peer::LOCAL).then_some(Ends {
            source,
            destination,
        })
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

    /// Closes after an answer to a request that was not read to its end: closing
    /// at once would make the kernel send a reset, which eats the answer on its way
    /// (RFC 9112 9.6).
    pub(crate) async fn linger(&mut self) {
        self.stream.shutdown_write();
        self.slot.arm(LINGER);
        let mut left = LINGER_MAX;
        poll_fn(|cx| {
            while left > 0 {
                let mut buf = self.slot.shard().buffers.take(REQUEST);
                let read = self.stream.poll_read(cx, buf.room());
                self.slot.shard().buffers.give(buf);
                match read {
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(()),
                    Poll::Ready(Ok(n)) => left = left.saturating_sub(n),
                    Poll::Pending if self.slot.expired() || self.slot.killed().is_some() => break,
                    Poll::Pending => return Poll::Pending,
                }
            }
            Poll::Ready(())
        })
        .await;
    }

    /// Looks at the client while its server thinks: later requests are read ahead a
    /// little, and a FIN behind a whole request is no end. A client the driver does not
    /// know is left alone.
    ///
    /// # Errors
    /// It reset its connection.
    pub(crate) fn read_ahead(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let has_room = |ahead: &Option<Buf>| ahead.as_ref().is_none_or(|buf| buf.len() < AHEAD_MAX);
        while !self.fin && self.stream.is_watched() && has_room(&self.ahead) {
            if self.stream.poll_read_ready(cx)?.is_pending() {
                return Ok(());
            }
            let buffers = &self.slot.shard().buffers;
            let mut buf = self.ahead.take().unwrap_or_else(|| buffers.take(REQUEST));
            if buf.room().is_empty() {
                buf = buffers.grow(buf, REQUEST / 2);
            }
            match self.stream.poll_read(cx, buf.room()) {
                Poll::Ready(Ok(0)) => self.fin = true,
                Poll::Ready(Ok(n)) => buf.filled(n),
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => {}
            }
            if buf.is_empty() {
                buffers.give(buf);
            } else {
                self.ahead = Some(buf);
            }
        }
        Ok(())
    }

    /// For [`connect::establish`]: whether it leaves, with `owed` bytes still to come at
    /// least. What it sends meanwhile stays with the kernel.
    pub(crate) fn leaving(&self, owed: u64) -> impl FnMut(&mut Context<'_>) -> Poll<()> {
        let mut left = None;
        // Boxed when first asked, which few are.
        move |cx| {
            left.get_or_insert_with(|| Box::pin(self.stream.left(owed)))
                .as_mut()
                .poll(cx)
        }
    }

    /// What its servers are told of it.
    #[inline]
    pub(crate) fn about<'a>(&'a self, request_id: Option<&'a [u8; 32]>) -> http::Client<'a> {
        http::Client {
            ip: self.peer.address.ip(),
            ip_text: self.ip.as_bytes(),
            local_port_text: self.port.as_bytes(),
            https: self.stream.is_secure(),
            trusted: self.trusted,
            request_id: request_id.map(<[u8; 32]>::as_slice),
            websocket_key: None,
            certificate: self.certificate.as_deref(),
        }
    }

    /// Whether bytes behind the last request are there. `last` = the client said that it
    /// sends no more: then only what is known already counts, no system call is spent.
    pub(crate) fn has_unread(&self, last: bool) -> bool {
        self.ahead.is_some() || self.stream.has_unread(!last)
    }

    /// What is answered here without any error.
    pub(crate) fn count_intercepted(&self, end: SessionEnd) {
        if end.cause == Cause::Local {
            self.counters.intercepted.add(1);
        }
    }

    /// What a route refuses: the answer, and how that ends.
    pub(crate) fn deny(&self, status: u16) -> (Answer, SessionEnd) {
        self.counters.denied.add(1);
        let end = SessionEnd::new(Cause::Proxy, During::Request);
        (Answer::of(status, "refused by a route"), end)
    }

    /// Whether the connection may stay open for another request.
    pub(crate) fn may_stay(&self) -> bool {
        let limit = self.frontend.config.keep_alive_requests;
        !self.shard().is_stopping()
            && !self.frontend.state.is_gone()
            && (limit == 0 || self.requests < limit)
    }
}

impl Drop for Client {
    /// What was made for it alone is of no use to anybody.
    fn drop(&mut self) {
        if self.is_told.get() {
            self.shard().upstreams.forget(self.id);
        }
    }
}

/// Bytes of later requests read while an exchange runs.
const AHEAD_MAX: usize = REQUEST / 2;
/// nginx waits 5 s; a client that has not stopped by now will not.
const LINGER: Duration = Duration::from_secs(2);
/// Bytes thrown away at most.
const LINGER_MAX: usize = 256 << 10;

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
    const EMPTY: Self = Self {
        bytes: [0; N],
        len: 0,
    };

    /// An IPv4 address without `fmt`, which takes 900 instructions for it.
    fn of_ip(ip: IpAddr) -> Self {
        let mut text = Self::EMPTY;
        match ip {
            IpAddr::V4(ip) => {
                for (i, octet) in ip.octets().into_iter().enumerate() {
                    if i > 0 {
                        text.push(b'.');
                    }
                    text.push_number(octet.into());
                }
            }
            IpAddr::V6(ip) => {
                let mut rest = &mut text.bytes[..];
                // What does not fit is cut; N is chosen so that everything does.
                let _ = write!(rest, "{ip}");
                text.len = (N - rest.len()) as u8;
            }
        }
        text
    }

    fn of_number(number: u16) -> Self {
        let mut text = Self::EMPTY;
        text.push_number(number);
        text
    }

    fn push_number(&mut self, number: u16) {
        let mut unit = 10_000;
        while unit > 1 && number < unit {
            unit /= 10;
        }
        while unit > 0 {
            self.push(b'0' + (number / unit % 10) as u8);
            unit /= 10;
        }
    }

    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(usize::from(self.len)) {
            *place = byte;
            self.len += 1;
        }
    }

    /// The text.
    #[inline]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_ports_are_written_as_display_writes_them() {
        for ip in [
            "0.0.0.0",
            "10.200.3.45",
            "255.255.255.255",
            "192.168.100.9",
            "::1",
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        ] {
            let parsed: IpAddr = ip.parse().unwrap();
            assert_eq!(Text::<39>::of_ip(parsed).as_bytes(), ip.as_bytes());
        }
        for port in [0, 7, 10, 99, 100, 8080, 9999, 10_000, 65_535] {
            let text = port.to_string();
            assert_eq!(Text::<5>::of_number(port).as_bytes(), text.as_bytes());
        }
    }
}
