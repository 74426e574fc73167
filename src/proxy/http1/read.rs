//! Waiting for a request, and from its head to an [`Exchange`].

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::Exchange;
use super::exchange::{Answer, BODY_TOO_LARGE, Target};
use crate::config::{HeaderMatch, Monitor};
use crate::generation::{Frontend, Generation, RequestFacts};
use crate::http::{self, Framing, RequestHead, Slots};
use crate::proxy::buffers::{Buf, REQUEST};
use crate::proxy::connect::{self, NO_SERVER, Plan};
use crate::proxy::end::{Cause, During, SessionEnd};
use crate::proxy::upstream::Use;
use crate::proxy::{Client, Shard};

/// The next request, ready to run; `None` = the connection is to be closed.
pub(super) async fn next_request(client: &mut Client) -> Option<Box<Exchange>> {
    let timeouts = client.frontend.config.timeouts;
    // A fresh connection owes its first request within http_request.
    let first = client.requests == 0;
    client.slot.arm(if first {
        timeouts.http_request
    } else {
        timeouts.keep_alive
    });
    let mut waiting = Waiting {
        begun: false,
        tried: 0,
    };
    if client.ahead.is_some() {
        waiting.begin(client);
    } else {
        client.slot.set_idle(true);
    }
    poll_fn(|cx| waiting.poll(client, cx)).await
}

/// A wait for a whole request head.
struct Waiting {
    /// The first byte has come.
    begun: bool,
    /// Bytes that were parsed already and found incomplete.
    tried: usize,
}

impl Waiting {
    fn begin(&mut self, client: &mut Client) {
        self.begun = true;
        client.began_us = client.shard().clock.now_us();
        client.slot.set_idle(false);
        client
            .slot
            .arm(client.frontend.config.timeouts.http_request);
    }

    fn poll(&mut self, client: &mut Client, cx: &mut Context<'_>) -> Poll<Option<Box<Exchange>>> {
        loop {
            let mut buf = match client.ahead.take() {
                Some(buf) if !buf.is_empty() && http::may_complete(buf.bytes(), self.tried) => {
                    self.tried = buf.len();
                    match prepare(client, buf) {
                        Prepared::Ready(exchange) => return Poll::Ready(Some(exchange)),
                        Prepared::Incomplete(buf) => buf,
                    }
                }
                Some(buf) => buf,
                None => client.shard().buffers.take(REQUEST),
            };
            if buf.room().is_empty() {
                let wanted = buf.len() + 1;
                buf = client.shard().buffers.grow(buf, wanted);
            }
            match client.stream.poll_read(cx, buf.room()) {
                Poll::Ready(Ok(n)) if n > 0 => {
                    buf.filled(n);
                    client.shard().clock.read();
                    client.ahead = Some(buf);
                    if !self.begun {
                        self.begin(client);
                    }
                }
                Poll::Ready(_) => {
                    client.shard().buffers.give(buf);
                    return Poll::Ready(self.begun.then(|| given_up(client)));
                }
                Poll::Pending => return self.wait(client, buf),
            }
        }
    }

    /// Nothing to read: an idle connection holds no buffer, half a head one of its own size.
    fn wait(&self, client: &mut Client, buf: Buf) -> Poll<Option<Box<Exchange>>> {
        let buffers = &client.slot.shard().buffers;
        if buf.is_empty() {
            buffers.give(buf);
        } else {
            client.ahead = Some(buffers.shrink(buf));
        }
        if client.slot.killed().is_some() {
            return Poll::Ready(None);
        }
        if !client.slot.expired() {
            return Poll::Pending;
        }
        if !self.begun {
            return Poll::Ready(None);
        }
        client.counters.request_errors.add(1);
        let mut exchange = begin(client);
        exchange.keep_alive = false;
        exchange.fail(
            client,
            SessionEnd::new(Cause::ClientTimeout, During::Request),
        );
        Poll::Ready(Some(exchange))
    }
}

/// The client left amid a head: nobody can be told, but it is counted and logged,
/// as HAProxy does.
fn given_up(client: &Client) -> Box<Exchange> {
    client.shard().clock.read();
    client.counters.request_errors.add(1);
    let mut exchange = begin(client);
    exchange.end = SessionEnd::new(Cause::Client, During::Request);
    exchange.status = 400;
    exchange.abort(client);
    exchange
}

enum Prepared {
    Incomplete(Buf),
    Ready(Box<Exchange>),
}

fn begin(client: &Client) -> Box<Exchange> {
    let shard = client.shard();
    let mut exchange = shard.take_exchange();
    exchange.reset(shard.clock.now_us());
    exchange
}

/// Parses, routes, picks and serialises in one plain function, so that neither
/// the head's slots nor the generation live across an await.
fn prepare(client: &mut Client, mut buf: Buf) -> Prepared {
    let mut slots = Slots::new();
    let limits = client.frontend.config.limits;
    let head = match http::parse_request(buf.bytes(), &limits, &mut slots) {
        Ok(Some(head)) => head,
        Ok(None) => return Prepared::Incomplete(buf),
        Err(refused) => {
            let mut exchange = begin(client);
            exchange.end = SessionEnd::new(Cause::Proxy, During::Request);
            client.counters.request_errors.add(1);
            exchange.answer(client, &Answer::closing(refused.status(), refused.reason()));
            client.shard().buffers.give(buf);
            return Prepared::Ready(exchange);
        }
    };
    #[cfg(feature = "test-panic")]
    let asked = |f: &httparse::Header<'_>| (f.name, f.value) == ("X-Rlb-Test-Panic", b"session");
    #[cfg(feature = "test-panic")]
    assert!(!head.fields.iter().any(asked), "asked for by the request");
    client.requests = client.requests.saturating_add(1);
    let behind = buf.len() - head.len;
    let mut exchange = begin(client);
    exchange.describe(client, &head);
    match find_server(client, &head) {
        Found::Server(target, server) => {
            exchange.target = Some(target);
            exchange.assign(client, server, &head, behind);
        }
        Found::NoServer(target) => {
            exchange.target = Some(target);
            connect::backend_counters(client.shard(), target.plan.backend, |counters| {
                counters.connect_errors.add(1);
            });
            exchange.fail(client, NO_SERVER);
        }
        Found::NoBackend => {
            exchange.end = NO_SERVER;
            exchange.answer(client, &Answer::of(503, "no route and no default backend"));
        }
        Found::NotForUs(answer) => {
            let cause = if answer.is_error() {
                Cause::Proxy
            } else {
                Cause::Local
            };
            exchange.end = SessionEnd::new(cause, During::Request);
            if cause == Cause::Local {
                client.counters.intercepted.add(1);
            }
            exchange.answer(client, &answer);
        }
        Found::Monitor(is_well) => {
            exchange.unlogged = true;
            exchange.end = SessionEnd::new(Cause::Local, During::Request);
            client.counters.intercepted.add(1);
            exchange.answer(client, &Answer::monitor(is_well));
        }
    }
    let (framing, len) = (head.framing, head.len);
    exchange.head_bytes = len as u64;
    buf.consume(len);
    settle(client, &mut exchange, framing, buf);
    Prepared::Ready(exchange)
}

/// Gives what was read behind the head to the body, or keeps it for the next
/// request. Body bytes are never left where a request would be looked for.
fn settle(client: &mut Client, exchange: &mut Exchange, framing: Framing, buf: Buf) {
    if exchange.is_answered() {
        if !framing.has_body() && !buf.is_empty() {
            client.ahead = Some(buf);
        } else {
            client.shard().buffers.give(buf);
        }
    } else if framing != Framing::None {
        exchange.first_body(client, framing, buf);
    } else if buf.is_empty() {
        client.shard().buffers.give(buf);
    } else {
        client.ahead = Some(buf);
    }
}

/// Requests that are whole but not for us.
fn refusal(client: &Client, head: &RequestHead<'_, '_>) -> Option<Answer> {
    if head.misdirected(false) {
        return Some(Answer::closing(
            421,
            "this listener does not serve https targets",
        ));
    }
    if head.max_forwards == Some(0) {
        return Some(Answer::of(200, "Max-Forwards is 0"));
    }
    match (head.framing, client.frontend.config.limits.body) {
        (Framing::Length(length), Some(limit)) if length > limit => {
            Some(Answer::closing(413, BODY_TOO_LARGE))
        }
        _ => None,
    }
}

enum Found {
    Server(Target, Use),
    NoServer(Target),
    NoBackend,
    NotForUs(Answer),
    /// The frontend is asked how it is, and is well or not.
    Monitor(bool),
}

/// Frontend, route, backend and server out of one look at one generation.
fn find_server(client: &mut Client, head: &RequestHead<'_, '_>) -> Found {
    let shard = std::rc::Rc::clone(client.shard());
    shard.with_generation(|generation| {
        client.follow(generation);
        if let Some(monitor) = &client.frontend.config.monitor
            && path(head.target) == monitor.path.as_bytes()
        {
            return Found::Monitor(is_well(&shard, generation, monitor));
        }
        // Before a server is picked: who is refused takes nobody's turn.
        if let Some(answer) = refusal(client, head) {
            return Found::NotForUs(answer);
        }
        let Some(backend) = route(generation, &client.frontend, head) else {
            return Found::NoBackend;
        };
        let target = Target {
            plan: Plan::of(backend),
            timeouts: backend.config.timeouts,
            limits: backend.config.limits,
            pool_max: backend.config.pool_max,
            retry_after: backend.config.retry_after,
        };
        match connect::assign(&shard, backend) {
            Some(server) => Found::Server(target, server),
            None => Found::NoServer(target),
        }
    })
}

/// Of a target in origin-form; any other is nobody's monitor path.
fn path(target: &[u8]) -> &[u8] {
    target
        .split(|byte| *byte == b'?')
        .next()
        .unwrap_or_default()
}

/// Whether a frontend with this monitor should get traffic.
fn is_well(shard: &Shard, generation: &Generation, monitor: &Monitor) -> bool {
    // As for routes: an index is only good for the generation it came from.
    let has_enough = |(index, needed): &(usize, usize)| {
        let backend = generation.backends.get(*index);
        backend.is_some_and(|backend| backend.usable_count() >= *needed)
    };
    !shard.published.is_leaving() && monitor.fail_below.iter().all(has_enough)
}

fn route<'g>(
    generation: &'g Generation,
    frontend: &Frontend,
    head: &RequestHead<'_, '_>,
) -> Option<&'g Arc<crate::generation::Backend>> {
    let facts = RequestFacts {
        method: head.method,
        host: head.host,
        target: head.target,
        has_field: |wanted: &HeaderMatch| {
            head.fields.iter().any(|field| {
                field.name.eq_ignore_ascii_case(&wanted.name)
                    && wanted
                        .value
                        .as_ref()
                        .is_none_or(|value| field.value == value.as_bytes())
            })
        },
    };
    // An index is only good for the generation it came from; a frontend that
    // left may refer to what is no more.
    let index = frontend.route(&facts)?;
    if frontend.state.is_gone() {
        return None;
    }
    generation.backends.get(index)
}
