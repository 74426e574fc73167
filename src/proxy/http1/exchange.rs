//! One request and its response.

use std::future::poll_fn;
use std::rc::Rc;

use super::relay::Step;
use crate::http::{self, Asked, BodyError, Decoder, Framing, RequestHead, Version};
use crate::net::Stream;
use crate::proxy::Client;
use crate::proxy::answer::Answer;
use crate::proxy::buffers::Buf;
use crate::proxy::choose::Target;
use crate::proxy::connect;
use crate::proxy::end::{Cause, During, SessionEnd};
use crate::proxy::flow::{Coding, Flow, JOIN_EXTRA, JOIN_MAX};
use crate::proxy::queue::{self, Waited};
use crate::proxy::record;
use crate::proxy::sticky::Set;
use crate::proxy::tunnel;
use crate::proxy::upstream::{Upstream, Use};

/// Where the response stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Stage {
    /// Its head is awaited.
    #[default]
    Head,
    /// Its body is relayed.
    Body,
    /// We answer ourselves.
    Answer,
    /// 101 was accepted: its head leaves, then bytes flow both ways.
    Switching,
}

/// One request and its response. Pooled by the shard: the steady path allocates nothing.
#[derive(Debug, Default)]
pub(crate) struct Exchange {
    /// Client to server.
    pub(super) up: Flow,
    /// Server to client.
    pub(super) down: Flow,
    pub(super) stage: Stage,
    pub(super) target: Option<Target>,
    pub(super) server: Option<Use>,
    pub(super) stream: Option<Stream>,
    /// The server's connection comes from the pool.
    pub(super) reused: bool,
    /// The request was sent a second time after a stale pooled connection.
    pub(super) resent: bool,
    /// The request has left, or never will.
    pub(super) up_done: bool,
    /// The server stopped reading.
    pub(super) up_broken: bool,
    /// Response bytes not yet understood.
    pub(super) answer: Option<Buf>,
    pub(super) answer_tried: usize,
    pub(super) interims: u32,
    pub(super) asked: Asked,
    pub(super) version: Option<Version>,
    pub(super) idempotent: bool,
    /// The request has no body.
    bodyless: bool,
    /// The client asked for the close: no request follows.
    pub(super) last: bool,
    /// The client's connection may stay.
    pub(super) keep_alive: bool,
    /// The server's connection may stay.
    pub(super) server_keep_alive: bool,
    /// The body's end is marked by the close, so a cut must be a reset.
    pub(super) close_delimited: bool,
    /// What the answer did with the client's cookie.
    pub(super) set: Set,
    pub(super) end: SessionEnd,
    pub(super) status: u16,
    pub(super) retries: u32,
    /// It was given to another server after a failure.
    pub(super) redispatched: bool,
    /// In the queue.
    pub(super) waited: Waited,
    /// The server that could not be reached.
    pub(super) tried: Option<Rc<Upstream>>,
    /// Not for the access log.
    pub(super) unlogged: bool,
    /// The request line, if somebody logs.
    pub(super) line: Vec<u8>,
    pub(super) head_bytes: u64,
    /// What a tunnel moved: from the client, to the client.
    pub(super) tunnelled: (u64, u64),
    /// The head was whole, or given up.
    pub(super) started_us: u64,
    /// There was a head.
    pub(super) understood: bool,
    /// A connection to a server stood; a kept one at once.
    pub(super) connected_us: Option<u64>,
    /// The head of the answer was there.
    pub(super) answered_us: Option<u64>,
}

impl Exchange {
    /// Makes a pooled exchange a new one.
    pub(super) fn reset(&mut self, now_us: u64) {
        self.stage = Stage::Head;
        self.target = None;
        self.reused = false;
        self.resent = false;
        self.up_done = false;
        self.up_broken = false;
        self.answer_tried = 0;
        self.interims = 0;
        self.asked = Asked::default();
        self.version = None;
        self.idempotent = false;
        self.bodyless = false;
        self.last = false;
        self.keep_alive = false;
        self.server_keep_alive = false;
        self.close_delimited = false;
        self.set = Set::No;
        self.end = SessionEnd::NORMAL;
        self.status = 0;
        self.retries = 0;
        self.redispatched = false;
        self.waited = Waited::default();
        self.tried = None;
        self.unlogged = false;
        self.line.clear();
        self.head_bytes = 0;
        self.tunnelled = (0, 0);
        self.started_us = now_us;
        self.understood = false;
        self.connected_us = None;
        self.answered_us = None;
    }

    /// Takes over what matters of the head later.
    pub(super) fn describe(&mut self, client: &Client, head: &RequestHead<'_, '_>) {
        self.understood = true;
        if let Some(line_max) = client.shard().log.wants() {
            record::keep_line(&mut self.line, head, line_max);
        }
        self.asked = head.asked();
        self.version = Some(head.version);
        self.idempotent = head.kind.is_idempotent();
        self.bodyless = !head.framing.has_body();
        self.last = !head.keep_alive;
        self.keep_alive = head.keep_alive;
    }

    /// Gives the request to a server: takes a pooled connection if there is one, and
    /// serialises the head. `None` = the server is still to be waited for.
    /// `behind` bytes were read behind the head.
    pub(super) fn assign(
        &mut self,
        client: &Client,
        server: Option<Use>,
        head: &RequestHead<'_, '_>,
        behind: usize,
    ) {
        let shard = client.shard();
        if let Some(server) = server {
            self.reuse(client, server, self.started_us);
        }
        let rules = &client.frontend.config.forwarded;
        let request_id = rules.request_id.as_ref().map(|_| shard.request_id());
        let about = client.about(request_id.as_ref());
        // A small body leaves with the head.
        let body = if self.bodyless {
            0
        } else {
            behind.min(JOIN_MAX) + JOIN_EXTRA
        };
        let mut out = shard
            .buffers
            .take_head(http::request_bound(head, rules, &about) + body);
        http::write_request(head, rules, &about, &mut out);
        self.up.start(out, Decoder::None, Coding::Plain, None);
    }

    /// Takes a pooled connection of the server if there is one.
    fn reuse(&mut self, client: &Client, server: Use, now_us: u64) {
        // What must not be sent twice takes only a connection that surely lives.
        let now_ms = client.shard().clock.now_ms();
        self.stream = server.take(client.id, now_ms, !self.idempotent);
        if self.stream.is_some() {
            self.reused = true;
            self.connected_us = Some(now_us);
            server.counters.reuses.add(1);
            client.slot.set_server(Some(server.state.id));
        }
        self.server = Some(server);
    }

    /// The request has a body; `buf` holds what was read of it.
    pub(super) fn first_body(&mut self, client: &Client, framing: Framing, buf: Buf) {
        let head = std::mem::take(&mut self.up.head);
        self.up.start(
            head,
            Decoder::from(framing),
            if framing == Framing::Chunked {
                Coding::Chunked
            } else {
                Coding::Plain
            },
            Some(buf),
        );
        if let Some(limit) = client.frontend.config.limits.body {
            self.up.allow(limit);
        }
        if let Err(error) = self.up.decode_first() {
            let is_nonsense = error != BodyError::TooLarge;
            self.refuse_body(client, error);
            // No server saw any of it, and HAProxy counts it as no request.
            if is_nonsense {
                self.server = None;
                self.target = None;
                self.connected_us = None;
                self.understood = false;
                self.line.clear();
                self.end.during = During::Request;
            }
        }
    }

    /// Runs the exchange to its end; [`Self::finish`] then tells what follows.
    pub(super) async fn run(&mut self, client: &mut Client) {
        loop {
            if self.needs_connection() && self.server.is_none() {
                self.queue(client).await;
            }
            if self.needs_connection() {
                self.connect(client).await;
            }
            self.arm(client);
            match poll_fn(|cx| self.poll(client, cx)).await {
                Step::Done => return,
                Step::Resend => {
                    self.up.rewind();
                    self.resent = true;
                }
                Step::Tunnel => return self.tunnel(client).await,
            }
        }
    }

    fn needs_connection(&self) -> bool {
        self.stage == Stage::Head && self.stream.is_none()
    }

    /// Waits for a server.
    async fn queue(&mut self, client: &Client) {
        let Some(target) = self.target else {
            return self.fail(client, SessionEnd::new(Cause::Internal, During::Queue));
        };
        let mut left = client.leaving(self.up.owed());
        // Boxed: waiting is rare, and would widen every session.
        let line = (target.plan.backend, target.plan.own);
        let waiting = Box::pin(queue::wait(&client.slot, line, &mut left));
        let (outcome, waited) = waiting.await;
        self.waited.add(waited);
        match outcome {
            Ok(server) => self.reuse(client, server, client.shard().clock.now_us()),
            Err(end) => self.fail(client, end),
        }
    }

    async fn connect(&mut self, client: &Client) {
        let (Some(target), Some(server)) = (self.target, self.server.take()) else {
            return self.fail(client, SessionEnd::new(Cause::Internal, During::Connect));
        };
        let ends = || client.ends();
        let mut left = client.leaving(self.up.owed());
        match connect::establish(&client.slot, target.plan, server, &ends, &mut left).await {
            Ok(dialled) => {
                self.waited.add(dialled.waited);
                self.connected_us = Some(client.shard().clock.read());
                self.retries += dialled.retries;
                self.redispatched |= dialled.redispatched;
                self.server = Some(dialled.server);
                self.stream = Some(dialled.stream);
                self.reused = false;
            }
            Err(failed) => {
                client.shard().clock.read();
                self.connected_us = None;
                self.retries += failed.retries;
                self.redispatched |= failed.redispatched;
                self.waited.add(failed.waited);
                self.tried = failed.server;
                self.fail(client, failed.end);
            }
        }
    }

    async fn tunnel(&mut self, client: &mut Client) {
        let (Some(mut stream), Some(server), Some(target)) =
            (self.stream.take(), self.server.as_ref(), self.target)
        else {
            return;
        };
        let timeouts = client.frontend.config.timeouts;
        let limits = tunnel::Limits {
            idle: target.timeouts.tunnel.unwrap_or(timeouts.tunnel),
            half_closed: timeouts.half_closed,
        };
        let first = tunnel::First {
            client: client.ahead.take(),
            server: self.answer.take(),
        };
        // Boxed: a tunnel is rare among requests and would widen every session.
        let relayed = Box::pin(tunnel::relay(client, &mut stream, server, limits, first)).await;
        self.keep_alive = false;
        self.end = relayed.end;
        self.tunnelled = (relayed.bytes_in, relayed.bytes_out);
    }

    /// Ends the exchange this way; tells the client if it can still be told.
    pub(super) fn fail(&mut self, client: &Client, end: SessionEnd) {
        self.end = end;
        match end.status() {
            // An interim answer half sent leaves no place for another head.
            Some(status) if self.stage == Stage::Head && !self.down.is_pending() => {
                let retry_after = self.target.map(|target| target.retry_after);
                self.answer(client, &Answer::to(end, status, retry_after));
            }
            _ => self.abort(client),
        }
    }

    /// Nothing more can be told: both sides are closed.
    pub(super) fn abort(&mut self, client: &Client) {
        self.stream = None;
        self.keep_alive = false;
        self.stage = Stage::Answer;
        self.down.discard(client.shard());
    }

    /// Answers the client ourselves, whatever the server was about to do.
    pub(super) fn answer(&mut self, client: &Client, answer: &Answer) {
        self.stream = None;
        // With a body unread, or never to be read, the connection has no next request.
        self.keep_alive =
            self.keep_alive && !answer.close && self.is_request_read() && client.may_stay();
        self.close_delimited = false;
        self.status = answer.status;
        let shard = client.shard();
        let mut head = shard
            .buffers
            .take_head(ANSWER_BOUND + answer.location_len());
        let date = shard.clock.date();
        let canned = answer.canned(
            self.version.unwrap_or(Version::Http11),
            self.keep_alive,
            self.asked.head,
            &date,
        );
        http::write_canned(&canned, &mut head);
        shard.buffers.give_head(std::mem::take(&mut self.down.head));
        self.down.start(head, Decoder::None, Coding::Plain, None);
        self.stage = Stage::Answer;
    }

    /// Whether we answered already.
    pub(super) fn is_answered(&self) -> bool {
        self.stage == Stage::Answer
    }

    /// Whether the client's connection stands at the end of the request. `up_done`
    /// says less: a server that stopped reading leaves a body unread.
    fn is_request_read(&self) -> bool {
        self.bodyless || self.up.ended()
    }
}

/// Bytes of the largest answer of our own.
const ANSWER_BOUND: usize = 1024;
