//! The connection of one HTTP/2 client.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::ext::Protocol;
use h2::server::{Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::Request;
use tokio::sync::Semaphore;

use super::ends::{Sink, Source};
use super::exchange::Exchange;
use super::guard::{Guard, Offence};
use super::stream_sink::StreamSink;
use super::stream_source::StreamSource;
use super::wire::ClientWire;
use crate::http::{Slots, join_cookies, read_h2_request};
use crate::proxy::{Client, Shard};

/// What a connection and its exchanges share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) client: RefCell<Client>,
    pub(super) guard: RefCell<Guard>,
    /// Exchanges under way.
    pub(super) streams: Cell<u32>,
    /// Where connections to HTTP/2 servers are this client's alone: one exchange
    /// dials, the others find what it has made.
    pub(super) dialling: Semaphore,
}

impl Shared {
    pub(super) fn of(client: Client) -> Self {
        let now_ms = client.shard().clock.now_ms();
        let floods = client.frontend.config.http2.floods;
        Self {
            client: RefCell::new(client),
            guard: RefCell::new(Guard::new(floods, now_ms)),
            streams: Cell::new(0),
            dialling: Semaphore::new(1),
        }
    }
}

/// Serves one client until it leaves or is sent away.
pub(crate) async fn serve(client: Client) {
    let now_ms = client.shard().clock.now_ms();
    let config = &client.frontend.config;
    let (settings, heads) = (config.http2, config.limits.head);
    let mut builder = h2::server::Builder::new();
    builder
        .max_concurrent_streams(settings.streams)
        .initial_window_size(settings.window)
        .initial_connection_window_size(settings.connection_window)
        .max_header_list_size(heads as u32)
        .max_send_buffer_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(settings.floods.resets as usize)
        .max_local_error_reset_streams(Some(settings.floods.faults as usize));
    if settings.websockets {
        builder.enable_connect_protocol();
    }
    let head_wait = config.timeouts.http_request;
    client.slot.arm(head_wait);
    let shared = Rc::new(Shared::of(client));
    // Boxed: it is dropped before the connection lingers.
    let mut shaking = Box::pin(builder.handshake(ClientWire(Rc::clone(&shared))));
    let shaken = poll_fn(|cx| {
        let client = shared.client.borrow();
        client.slot.register(cx.waker());
        let is_over = client.slot.killed().is_some() || client.slot.expired();
        drop(client);
        match shaking.as_mut().poll(cx) {
            Poll::Ready(connection) => Poll::Ready(connection.ok()),
            Poll::Pending if is_over => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await;
    drop(shaking);
    let Some(h2) = shaken else { return };
    // Who is busy from the first moment on is to be told, too, when it is to go.
    shared.client.borrow().slot.arm(LOOK.min(head_wait));
    let mut session = Box::new(Session {
        h2,
        shared: Rc::clone(&shared),
        began_ms: now_ms,
        leaving: None,
        idle: false,
    });
    let end = poll_fn(|cx| session.poll(cx)).await;
    drop(session);
    if end == End::Sent {
        linger(shared).await;
    }
}

/// The client may still be sending: what was said to it last must not be lost in a reset.
async fn linger(shared: Rc<Shared>) {
    // Exchanges whose streams are gone end by themselves, and let go of it then.
    if let Some(shared) = Rc::into_inner(shared) {
        shared.client.into_inner().linger().await;
    }
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The client closed, or is cut off.
    Closed,
    /// It was told to go.
    Sent,
}

/// The connection as the library sees it, and its life.
struct Session {
    h2: Connection<ClientWire, Bytes>,
    shared: Rc<Shared>,
    began_ms: u32,
    leaving: Option<Leaving>,
    /// No exchange runs, and the session's slot says so.
    idle: bool,
}

/// The client was told to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leaving {
    /// When what it has is done.
    Gently,
    /// Whatever it has.
    Now,
}

/// What to do with a connection that has no more requests for now.
enum Next {
    Wait,
    /// Something is to be sent.
    Poll,
    Close,
}

impl Session {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            let accepted = pin!(self.h2.accept()).poll(cx);
            match accepted {
                Poll::Ready(Some(Ok((request, respond)))) => self.begin(request, respond),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(self.broken(&error)),
                Poll::Ready(None) if self.leaving == Some(Leaving::Now) => {
                    return Poll::Ready(End::Sent);
                }
                Poll::Ready(None) => return Poll::Ready(End::Closed),
                Poll::Pending => match self.look_after() {
                    Next::Wait => return Poll::Pending,
                    Next::Poll => {}
                    Next::Close => return Poll::Ready(End::Closed),
                },
            }
        }
    }

    /// Starts an exchange for a request.
    fn begin(&mut self, request: Request<RecvStream>, respond: SendResponse<Bytes>) {
        let (mut parts, body) = request.into_parts();
        join_cookies(&mut parts.headers);
        let mut client = self.shared.client.borrow_mut();
        client.requests = client.requests.saturating_add(1);
        let ended = body.is_end_stream();
        // Boxed here: it is large, and a task would be given copy after copy of it.
        let protocol = parts.extensions.get::<Protocol>().map(Protocol::as_str);
        let limit = client.frontend.config.limits.body;
        // What goes through a tunnel is no body.
        let source = StreamSource::new(body, limit.filter(|_| protocol.is_none()));
        let (source, sink) = (
            Source::Stream(source),
            Sink::Stream(StreamSink::new(respond)),
        );
        let exchange = Exchange::new(&self.shared, &client, source, sink);
        let mut exchange = Box::new(exchange);
        let limits = client.frontend.config.limits;
        let mut slots = Slots::new();
        match read_h2_request(&parts, protocol, ended, &limits, &mut slots) {
            Ok(mut head) => exchange.begin(&mut client, &mut head),
            Err(refused) => exchange.refuse(&client, refused),
        }
        tokio::task::spawn_local(exchange.run());
    }

    fn broken(&self, error: &h2::Error) -> End {
        let client = self.shared.client.borrow();
        tracing::debug!(peer = %client.peer.address, %error, "HTTP/2 connection ended");
        if error.is_io() || error.is_remote() {
            return End::Closed;
        }
        client.counters.request_errors.add(1);
        End::Sent
    }

    /// Floods, deadlines, idleness and drain.
    fn look_after(&mut self) -> Next {
        let shared = Rc::clone(&self.shared);
        let client = shared.client.borrow();
        let slot = &client.slot;
        let expired = slot.expired();
        match self.leaving {
            _ if slot.killed().is_some() => return Next::Close,
            // It does not take the news.
            Some(Leaving::Now) if expired => return Next::Close,
            Some(Leaving::Now) => return Next::Wait,
            _ => {}
        }
        let timeouts = client.frontend.config.timeouts;
        let owed_ms = self.owed_ms(client.shard());
        let late = owed_ms.is_some_and(|ms| u128::from(ms) >= timeouts.http_request.as_millis());
        if late || shared.guard.borrow().offence().is_some() {
            return self.send_away(&client);
        }
        let was_idle = self.idle;
        self.idle = shared.streams.get() == 0 && owed_ms.is_none();
        if self.idle != was_idle {
            slot.set_idle(self.idle);
        }
        let leaves =
            self.leaving.is_none() && (!client.may_stay() || (self.idle && was_idle && expired));
        match (self.idle, was_idle) {
            _ if leaves => slot.arm(GOODBYE),
            // Told to go, and nothing is left of what it had.
            (true, true) if expired => return Next::Close,
            (true, true) => {}
            (true, false) if self.leaving.is_some() => slot.arm(GOODBYE),
            (true, false) => slot.arm(timeouts.keep_alive),
            (false, true) => slot.arm(LOOK.min(timeouts.http_request)),
            (false, false) if expired => slot.arm(LOOK.min(timeouts.http_request)),
            (false, false) => {}
        }
        if leaves {
            self.leaving = Some(Leaving::Gently);
            self.h2.graceful_shutdown();
            return Next::Poll;
        }
        Next::Wait
    }

    /// How long the client has owed the rest of a head, or a word on our SETTINGS.
    fn owed_ms(&self, shard: &Shard) -> Option<u32> {
        let guard = self.shared.guard.borrow();
        let since = match guard.open_since_ms() {
            None if guard.is_acknowledged() => return None,
            None => self.began_ms,
            Some(since) => since,
        };
        Some(shard.clock.now_ms().wrapping_sub(since))
    }

    fn send_away(&mut self, client: &Client) -> Next {
        // Without an offence it owes something for too long.
        let offence = self.shared.guard.borrow().offence();
        tracing::info!(peer = %client.peer.address, ?offence, "HTTP/2 client sent away");
        client.counters.request_errors.add(1);
        client.slot.arm(GOODBYE);
        self.leaving = Some(Leaving::Now);
        let reason = offence.map_or(Reason::ENHANCE_YOUR_CALM, Offence::reason);
        self.h2.abrupt_shutdown(reason);
        Next::Poll
    }
}

/// For a client to take our goodbye.
const GOODBYE: Duration = Duration::from_secs(2);
/// How often a busy connection looks whether it is to go.
const LOOK: Duration = Duration::from_secs(1);
/// Bytes of an answer that wait in the library: what its window allows comes on top of
/// what the socket takes.
const SEND_BUFFER: usize = 64 << 10;
