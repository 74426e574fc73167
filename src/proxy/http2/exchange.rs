//! One request and its answer, where either side speaks HTTP/2.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crossbeam_utils::CachePadded;
use h2::Reason;
use http::Response;

use super::connection::Shared;
use super::ends::{ClientLeft, Sink, Source};
use super::grpc;
use super::origin::{Around, Lost, Origin, Part};
use super::pool;
use super::request::{Begun, Request};
use super::to_http1::ToHttp1;
use super::to_http2::ToHttp2;
use crate::config::Protocol;
use crate::generation::Frontend;
use crate::http::{self as rules, Framing, Refused, RequestHead};
use crate::net::Peer;
use crate::proxy::account::{Account, Asker};
use crate::proxy::answer::{Answer, BODY_TOO_LARGE};
use crate::proxy::choose::{Found, Target, find_server};
use crate::proxy::connect::{self, NO_SERVER, NoConnection, killed};
use crate::proxy::end::{Cause, During, SessionEnd};
use crate::proxy::queue;
use crate::proxy::record;
use crate::proxy::sessions::Slot;
use crate::proxy::upstream::{Upstream, Use};
use crate::proxy::{Client, ClientId};
use crate::state::FrontendCounters;

/// A request and its answer. Whatever way it goes, dropping it lets go of the
/// server, resets what has not ended, and counts.
#[derive(Debug)]
pub(super) struct Exchange {
    shared: Rc<Shared>,
    slot: Slot,
    frontend: Arc<Frontend>,
    counters: Arc<CachePadded<FrontendCounters>>,
    source: Source,
    sink: Sink,
    request: Request,
    target: Option<Target>,
    server: Option<Use>,
    origin: Option<Origin>,
    /// The server stopped reading.
    up_broken: bool,
    account: Account,
    /// The server that could not be reached.
    tried: Option<Rc<Upstream>>,
    client: ClientId,
    peer: Peer,
    is_secure: bool,
    /// The request line, if somebody logs.
    line: Vec<u8>,
    progress: bool,
}

/// What polling has come to.
enum Step {
    Done,
    /// The server did not take it, and another try is safe.
    Again,
}

impl Exchange {
    pub(super) fn new(shared: &Rc<Shared>, client: &Client, source: Source, sink: Sink) -> Self {
        let shard = client.shard();
        let now_us = shard.clock.now_us();
        shared.streams.set(shared.streams.get() + 1);
        Self {
            shared: Rc::clone(shared),
            slot: Slot::open(shard, Arc::clone(&client.frontend.state), client.peer),
            frontend: Arc::clone(&client.frontend),
            counters: Arc::clone(&client.counters),
            source,
            sink,
            request: Request::default(),
            target: None,
            server: None,
            origin: None,
            up_broken: false,
            account: Account {
                // Unless it comes to anything else: dropped half way.
                end: SessionEnd::new(Cause::Client, During::Headers),
                began_us: now_us,
                started_us: now_us,
                ..Account::default()
            },
            tried: None,
            client: client.id,
            peer: client.peer,
            is_secure: client.stream.is_secure(),
            line: Vec::new(),
            progress: false,
        }
    }

    /// Chooses a server and writes what it is sent, or answers.
    pub(super) fn begin(&mut self, client: &mut Client, head: &RequestHead<'_, '_>) {
        self.account.bytes_in = head.len as u64;
        self.account.course.understood = true;
        if let Some(line_max) = client.shard().log.wants() {
            record::keep_line(&mut self.line, head, line_max);
        }
        self.request.asked = head.asked();
        self.request.grpc = grpc::is_asked_for(head);
        match find_server(client, head) {
            Found::Server(target, server) => {
                self.target = Some(target);
                self.server = server;
                self.describe(client, head);
            }
            Found::NoServer(target) => {
                self.target = Some(target);
                connect::backend_counters(self.slot.shard(), target.plan.backend, |counters| {
                    counters.connect_errors.add(1);
                });
                self.fail(NO_SERVER);
            }
            Found::NoBackend => {
                self.account.end = NO_SERVER;
                self.answer(&Answer::of(503, "no route and no default backend"));
            }
            Found::Denied(status) => {
                let (answer, end) = client.deny(status);
                self.account.end = end;
                self.answer(&answer);
            }
            Found::NotForUs(answer) => {
                self.account.end = answer.end();
                client.count_intercepted(self.account.end);
                self.answer(&answer);
            }
            Found::Monitor(is_well) => {
                self.account.course.unlogged = true;
                self.account.end = SessionEnd::new(Cause::Local, During::Request);
                client.count_intercepted(self.account.end);
                self.answer(&Answer::monitor(is_well));
            }
        }
        self.frontend = Arc::clone(&client.frontend);
    }

    fn describe(&mut self, client: &Client, head: &RequestHead<'_, '_>) {
        self.request.fill(client, head);
    }

    /// When its first byte came, if not now.
    pub(super) fn began(&mut self, us: u64) {
        self.account.began_us = us;
    }

    /// Goes on where another protocol left off: a server was chosen, or is to be waited for.
    pub(super) fn resume(&mut self, begun: Begun) {
        self.account.bytes_in = begun.head_len;
        self.account.course.understood = true;
        self.line = begun.line;
        self.request = begun.request;
        self.target = Some(begun.target);
        self.server = begun.server;
    }

    /// The head is not one.
    pub(super) fn refuse(&mut self, client: &Client, refused: Refused) {
        client.counters.request_errors.add(1);
        self.account.end = SessionEnd::new(Cause::Proxy, During::Request);
        self.answer(&Answer::closing(refused.status(), refused.reason()));
    }

    /// Runs to the end.
    pub(super) async fn run(mut self: Box<Self>) {
        self.slot.register_task().await;
        while !self.sink.has_ended() {
            if self.origin.is_none()
                && let Err(failed) = self.connect().await
            {
                let course = &mut self.account.course;
                course.retries += failed.retries;
                course.redispatched |= failed.redispatched;
                course.waited.add(failed.waited);
                self.tried = failed.server;
                return self.fail(failed.end);
            }
            self.slot.arm(self.patience());
            match poll_fn(|cx| self.poll(cx)).await {
                Step::Done => break,
                Step::Again => self.account.resent = true,
            }
        }
        self.finish();
    }

    async fn connect(&mut self) -> Result<(), NoConnection> {
        let Some(target) = self.target else {
            return Err(SessionEnd::new(Cause::Internal, During::Connect).into());
        };
        let server = match self.server.take() {
            Some(server) => server,
            None => self.queue(&target).await?,
        };
        self.origin = Some(match target.protocol {
            Protocol::Http1 => {
                let origin = self.open_http1(&target, server).await?;
                Origin::Http1(Box::new(origin))
            }
            Protocol::Http2 => {
                let origin = self.open_http2(&target, server).await?;
                Origin::Http2(Box::new(origin))
            }
        });
        Ok(())
    }

    /// Waits for a server.
    async fn queue(&mut self, target: &Target) -> Result<Use, NoConnection> {
        let before = self.account.end;
        // Unless it comes to anything else: dropped in line.
        self.account.end = SessionEnd::new(Cause::Client, During::Queue);
        let mut left = |cx: &mut Context<'_>| self.sink.poll_left(cx);
        // Boxed: waiting is rare, and would widen every exchange.
        let waiting = Box::pin(queue::wait(&self.slot, target.plan.backend, &mut left));
        let (outcome, waited) = waiting.await;
        self.account.course.waited.add(waited);
        self.account.end = before;
        Ok(outcome?)
    }

    async fn open_http1(&mut self, target: &Target, server: Use) -> Result<ToHttp1, NoConnection> {
        let clock = &self.slot.shard().clock;
        // What must not be sent twice takes only a connection that surely lives, and
        // what is sent again none of which the same may be true.
        let pooled = if self.account.resent {
            None
        } else {
            server.take(self.client, clock.now_ms(), !self.request.idempotent)
        };
        let reused = pooled.is_some();
        let (server, stream) = match pooled {
            Some(stream) => {
                server.counters.reuses.add(1);
                self.account.course.reused = true;
                let waited_us = self.account.course.waited.us;
                self.account.connected_us = Some(self.account.started_us + waited_us);
                self.slot.set_server(Some(server.state.id));
                (server, stream)
            }
            None => {
                let ends = || self.shared.client.borrow().ends();
                let mut left = |cx: &mut Context<'_>| self.sink.poll_left(cx);
                let dialled =
                    connect::establish(&self.slot, target.plan, server, &ends, &mut left).await?;
                self.account.course.waited.add(dialled.waited);
                self.account.connected_us = Some(clock.read());
                self.account.course.reused = false;
                self.account.course.retries += dialled.retries;
                self.account.course.redispatched |= dialled.redispatched;
                (dialled.server, dialled.stream)
            }
        };
        self.server = Some(server);
        let body = match self.request.framing {
            _ if self.source.has_ended() => None,
            framing => Some(framing == Some(Framing::Chunked)),
        };
        let text = std::mem::take(&mut self.request.text);
        let asked = (self.request.asked, target.limits);
        Ok(ToHttp1::new(stream, reused, text, body, asked))
    }

    async fn open_http2(
        &mut self,
        target: &Target,
        mut server: Use,
    ) -> Result<ToHttp2, NoConnection> {
        let failed = |cause| NoConnection::from(SessionEnd::new(cause, During::Connect));
        for _ in 0..STALE_MAX {
            // Boxed: dialling is rare, and its future would widen every exchange's.
            let mut left = |cx: &mut Context<'_>| self.sink.poll_left(cx);
            let opening = pool::open(&self.slot, &self.shared, target, server, &mut left);
            let opened = Box::pin(opening).await?;
            let (course, lease) = (&mut self.account.course, opened.lease);
            course.reused = opened.reused;
            course.retries += opened.retries;
            course.redispatched |= opened.redispatched;
            course.waited.add(opened.waited);
            server = opened.server;
            self.account.connected_us = Some(self.slot.shard().clock.read());
            let text = self.request.text.clone();
            let request = rules::to_h2_request(text, lease.scheme())
                .ok_or_else(|| failed(Cause::Internal))?;
            // An error: the connection ends. There is another, or one can be made.
            if let Ok(origin) = ToHttp2::new(lease, request, self.source.has_ended()) {
                self.server = Some(server);
                return Ok(origin);
            }
        }
        self.server = Some(server);
        Err(failed(Cause::Server))
    }

    /// Moves whatever can be moved.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        if let Some(kill) = self.slot.killed() {
            self.fail(killed(kill, self.during()));
            return Poll::Ready(Step::Done);
        }
        let step = match self.poll_both(cx) {
            Ok(step) => step,
            Err(ClientLeft) => {
                self.account.end = SessionEnd::new(Cause::Client, self.during());
                self.sink.reset(Reason::CANCEL);
                Poll::Ready(Step::Done)
            }
        };
        if step.is_ready() {
            return step;
        }
        let moved = self.origin.as_mut().is_some_and(Origin::take_progress);
        if moved | std::mem::take(&mut self.progress) {
            self.slot.arm(self.patience());
        } else if self.slot.expired() {
            self.time_out();
            return Poll::Ready(Step::Done);
        }
        Poll::Pending
    }

    fn poll_both(&mut self, cx: &mut Context<'_>) -> Result<Poll<Step>, ClientLeft> {
        if self.sink.poll_left(cx).is_ready() {
            return Err(ClientLeft);
        }
        self.poll_up(cx)?;
        if self.sink.has_ended() {
            return Ok(Poll::Ready(Step::Done));
        }
        self.poll_down(cx)
    }

    /// Client to server.
    fn poll_up(&mut self, cx: &mut Context<'_>) -> Result<(), ClientLeft> {
        while !self.up_broken {
            let Some(origin) = &mut self.origin else {
                return Ok(());
            };
            // The first bytes of a body leave with the head, if they are there.
            let starved = self.source.has_ended()
                || origin.has_room() && self.source.poll_into(origin, cx)?.is_pending();
            if self.source.is_over_limit() {
                self.refuse_body();
                return Ok(());
            }
            if self.source.is_broken() {
                self.counters.request_errors.add(1);
                self.fail(SessionEnd::new(Cause::Proxy, During::Data));
                return Ok(());
            }
            match origin.poll_flush(cx) {
                Poll::Pending => return Ok(()),
                // It may have answered before it stopped reading: look for that answer.
                Poll::Ready(Err(_)) => self.up_broken = true,
                Poll::Ready(Ok(())) => self.source.release()?,
            }
            if starved {
                return Ok(());
            }
            self.progress = true;
        }
        Ok(())
    }

    /// Server to client.
    fn poll_down(&mut self, cx: &mut Context<'_>) -> Result<Poll<Step>, ClientLeft> {
        loop {
            while self.sink.is_pending() {
                if self.poll_send(cx)?.is_pending() {
                    return Ok(Poll::Pending);
                }
            }
            let Some(origin) = self.origin.as_mut().filter(|_| !self.sink.has_ended()) else {
                return Ok(Poll::Ready(Step::Done));
            };
            let around = Around {
                shard: self.slot.shard(),
                via: self.frontend.config.forwarded.via.as_deref(),
            };
            let Poll::Ready(part) = origin.poll_part(&around, cx) else {
                // What could have left with more leaves alone.
                while self.sink.holds() && self.poll_send(cx)?.is_ready() {}
                return Ok(Poll::Pending);
            };
            match part {
                Ok(Part::Interim(head)) => self.sink.interim(head)?,
                Ok(Part::Head(head)) => {
                    let last = origin.is_over();
                    self.head(head, last)?;
                }
                Ok(Part::Data(data)) => self.sink.data(data, origin.is_over()),
                Ok(Part::End(trailers)) => self.sink.end(trailers)?,
                Err(lost) => return Ok(Poll::Ready(self.lost(lost))),
            }
            self.progress = true;
        }
    }

    /// Sends some of what the client has to take.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, ClientLeft> {
        let Poll::Ready(sent) = self.sink.poll_flush(cx) else {
            return Ok(Poll::Pending);
        };
        let sent = sent?;
        // A window that opens by single bytes holds a server up as well as none.
        self.progress |= sent >= REAL_PROGRESS || !self.sink.is_pending();
        self.account.bytes_out += sent as u64;
        self.shared.guard.borrow_mut().sent(sent);
        Ok(Poll::Ready(()))
    }

    fn head(&mut self, head: Response<()>, last: bool) -> Result<(), ClientLeft> {
        self.account.status = head.status().as_u16();
        self.account.answered_us = Some(self.slot.shard().clock.now_us());
        self.sink.head(head, last)
    }

    /// The server gives no (more) answer.
    fn lost(&mut self, lost: Lost) -> Step {
        let origin = self.origin.take();
        if let Some(step) = self.try_again(lost, origin) {
            return step;
        }
        if let Some(server) = &self.server {
            server.counters.response_errors.add(1);
        }
        let cause = if lost == Lost::Bad {
            Cause::Proxy
        } else {
            Cause::Server
        };
        let end = SessionEnd::new(cause, self.during());
        match lost {
            // Its code means something to both ends of a call.
            Lost::Reset(reason) if self.sink.has_begun() || self.request.grpc => {
                self.account.end = end;
                self.sink.reset(reason);
            }
            _ => self.fail(end),
        }
        Step::Done
    }

    /// Another try, where the request cannot have had an effect, or may have it twice.
    fn try_again(&mut self, lost: Lost, origin: Option<Origin>) -> Option<Step> {
        let untouched = !self.sink.has_begun() && !self.source.has_begun();
        if self.account.resent || !untouched {
            return None;
        }
        match origin? {
            Origin::Http1(origin) => {
                let stale = origin.reused && self.request.idempotent && lost == Lost::Gone;
                self.request.text = stale.then(|| origin.into_request())??;
            }
            Origin::Http2(_) if lost == Lost::Unprocessed => {}
            Origin::Http2(_) => {
                let safe = self.request.idempotent && self.source.has_ended() && lost == Lost::Gone;
                safe.then_some(())?;
            }
        }
        Some(Step::Again)
    }

    /// The body is larger than the frontend takes.
    fn refuse_body(&mut self) {
        self.counters.request_errors.add(1);
        let end = SessionEnd::new(Cause::Proxy, During::Data);
        if self.sink.has_begun() {
            return self.fail(end);
        }
        self.account.end = end;
        self.origin = None;
        self.answer(&Answer::closing(413, BODY_TOO_LARGE));
    }

    /// Ends this way; tells the client if it can still be told.
    fn fail(&mut self, end: SessionEnd) {
        self.account.end = end;
        self.origin = None;
        match end.status() {
            Some(status) if !self.sink.has_begun() => {
                let retry_after = self.target.map(|target| target.retry_after);
                self.answer(&Answer::to(end, status, retry_after));
            }
            _ if end.cause == Cause::ServerTimeout
                && self.request.grpc
                && !self.sink.is_pending() =>
            {
                let told = self.sink.end(Some(grpc::deadline_exceeded()));
                debug_assert!(told.is_ok() || self.sink.has_begun(), "the head was sent");
            }
            _ => self.sink.reset(Reason::INTERNAL_ERROR),
        }
    }

    fn answer(&mut self, answer: &Answer) {
        self.account.status = answer.status;
        let date = self.slot.shard().clock.date();
        match self.sink.answer(answer, &self.request, &date) {
            Ok(len) => self.account.bytes_out += len as u64,
            Err(ClientLeft) => {
                self.account.end = SessionEnd::new(Cause::Client, During::Last);
            }
        }
    }

    fn during(&self) -> During {
        if self.sink.has_begun() {
            During::Data
        } else {
            During::Headers
        }
    }

    /// Whom we wait for: the client if it has to send or take something, else the server.
    fn waits_for_client(&self) -> bool {
        let sends = !self.source.has_ended()
            && !self.up_broken
            && self.origin.as_ref().is_some_and(Origin::has_room);
        self.sink.holds() || (sends && !self.sink.has_begun())
    }

    fn patience(&self) -> Duration {
        match self.target {
            Some(target) if !self.waits_for_client() => target.timeouts.server,
            _ => self.frontend.config.timeouts.client,
        }
    }

    fn time_out(&mut self) {
        let end = if self.sink.holds() {
            SessionEnd::new(Cause::ClientTimeout, During::Last)
        } else if self.waits_for_client() {
            SessionEnd::new(Cause::ClientTimeout, During::Data)
        } else {
            let during = self.during();
            if let (Some(server), During::Headers) = (&self.server, during) {
                server.counters.response_errors.add(1);
            }
            SessionEnd::new(Cause::ServerTimeout, during)
        };
        self.fail(end);
    }

    /// All was sent: the connection to the server may be of use to another.
    fn finish(mut self: Box<Self>) {
        if self.origin.is_some() && self.sink.has_ended() && self.account.end.cause == Cause::Client
        {
            self.account.end = SessionEnd::NORMAL;
        }
        if let (Some(Origin::Http1(origin)), Some(server), Some(target)) =
            (self.origin.take(), &self.server, &self.target)
            && let Some(stream) = origin.finish(self.slot.shard())
        {
            target.keep(self.slot.shard(), server, self.client, stream);
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.shared.streams.set(self.shared.streams.get() - 1);
        self.account.bytes_in += self.source.received();
        let backend = self.target.map(|target| target.plan.backend);
        let shard = self.slot.shard();
        shard.clock.read();
        let asker = Asker {
            shard,
            frontend: &self.frontend,
            counters: &self.counters,
            peer: self.peer,
            is_secure: self.is_secure,
        };
        let (server, tried) = (self.server.as_ref(), self.tried.as_deref());
        self.account
            .count(&asker, server, tried, backend, &self.line);
    }
}

/// Bytes of a body that count as some, where more waits.
const REAL_PROGRESS: usize = 1024;

/// Connections found at their end before one is taken to be a sign of more.
const STALE_MAX: usize = 3;
