//! Waiting for a request, and from its head to an [`Exchange`].

use std::future::poll_fn;
use std::task::{Context, Poll};

use super::Exchange;
use crate::config::Protocol;
use crate::http::{self, Framing, Refused, Slots};
use crate::proxy::Client;
use crate::proxy::answer::Answer;
use crate::proxy::buffers::{Buf, REQUEST};
use crate::proxy::choose::{Found, find_server};
use crate::proxy::connect::{self, NO_SERVER};
use crate::proxy::end::{Cause, During, SessionEnd};
use crate::proxy::http2::Lifted;

/// What a client wants next.
pub(super) enum Wanted {
    /// This request, ready to run.
    Exchange(Box<Exchange>),
    /// This request, of an HTTP/2 server.
    Lifted(Box<Lifted>),
    /// To speak HTTP/2; its first bytes are read ahead.
    Http2,
    /// Nothing: the connection is to be closed.
    Nothing,
}

/// Waits for the next request.
pub(super) async fn next_request(client: &mut Client) -> Wanted {
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

    fn poll(&mut self, client: &mut Client, cx: &mut Context<'_>) -> Poll<Wanted> {
        loop {
            let mut buf = match client.ahead.take() {
                Some(buf) if !buf.is_empty() && http::may_complete(buf.bytes(), self.tried) => {
                    self.tried = buf.len();
                    match prepare(client, buf) {
                        Prepared::Ready(exchange) => {
                            return Poll::Ready(Wanted::Exchange(exchange));
                        }
                        Prepared::Lifted(lifted) => {
                            return Poll::Ready(Wanted::Lifted(lifted));
                        }
                        Prepared::Http2(buf) => {
                            client.ahead = Some(buf);
                            return Poll::Ready(Wanted::Http2);
                        }
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
                    return Poll::Ready(match self.begun {
                        true => Wanted::Exchange(given_up(client)),
                        false => Wanted::Nothing,
                    });
                }
                Poll::Pending => return self.wait(client, buf),
            }
        }
    }

    /// Nothing to read: an idle connection holds no buffer, half a head one of its own size.
    fn wait(&self, client: &mut Client, buf: Buf) -> Poll<Wanted> {
        let buffers = &client.slot.shard().buffers;
        if buf.is_empty() {
            buffers.give(buf);
        } else {
            client.ahead = Some(buffers.shrink(buf));
        }
        if client.slot.killed().is_some() {
            return Poll::Ready(Wanted::Nothing);
        }
        if !client.slot.expired() {
            return Poll::Pending;
        }
        if !self.begun {
            return Poll::Ready(Wanted::Nothing);
        }
        client.counters.request_errors.add(1);
        let mut exchange = begin(client);
        exchange.keep_alive = false;
        exchange.fail(
            client,
            SessionEnd::new(Cause::ClientTimeout, During::Request),
        );
        Poll::Ready(Wanted::Exchange(exchange))
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
    Http2(Buf),
    Ready(Box<Exchange>),
    Lifted(Box<Lifted>),
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
    // Looked at where it stands: it is not small.
    let mut parsed = http::parse_request(buf.bytes(), &limits, &mut slots);
    let head = match &mut parsed {
        Ok(Some(head)) => head,
        Ok(None) => return Prepared::Incomplete(buf),
        Err(Refused::Http2) if client.may_speak_http2 && client.requests == 0 => {
            return Prepared::Http2(buf);
        }
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
    let asked = |f: &http::Field<'_>| (f.name, f.value) == (b"X-Rlb-Test-Panic", b"session");
    #[cfg(feature = "test-panic")]
    assert!(!head.fields.iter().any(asked), "asked for by the request");
    client.requests = client.requests.saturating_add(1);
    let behind = buf.len() - head.len;
    let mut exchange = begin(client);
    exchange.describe(client, head);
    match find_server(client, head) {
        Found::Server(target, server) if target.protocol == Protocol::Http2 => {
            client.shard().give_exchange(exchange);
            let (len, lifted) = (head.len, Lifted::new(client, *head, target, server));
            return lift(client, lifted, len, buf);
        }
        Found::Server(target, server) => {
            exchange.target = Some(target);
            exchange.assign(client, server, head, behind);
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
        Found::Denied(status) => {
            let (answer, end) = client.deny(status);
            exchange.end = end;
            exchange.answer(client, &answer);
        }
        Found::NotForUs(answer) => {
            exchange.end = answer.end();
            client.count_intercepted(exchange.end);
            exchange.answer(client, &answer);
        }
        Found::Monitor(is_well) => {
            exchange.unlogged = true;
            exchange.end = SessionEnd::new(Cause::Local, During::Request);
            client.count_intercepted(exchange.end);
            exchange.answer(client, &Answer::monitor(is_well));
        }
    }
    let (framing, len) = (head.framing, head.len);
    exchange.head_bytes = len as u64;
    buf.consume(len);
    settle(client, &mut exchange, framing, buf);
    Prepared::Ready(exchange)
}

/// Hands the request on, with what was read behind its head: [`Lifted`] reads there first.
fn lift(client: &mut Client, lifted: Box<Lifted>, len: usize, mut buf: Buf) -> Prepared {
    buf.consume(len);
    match buf.is_empty() {
        true => client.shard().buffers.give(buf),
        false => client.ahead = Some(buf),
    }
    Prepared::Lifted(lifted)
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
