//! One request and its answer, where either side speaks HTTP/2.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use crossbeam_utils::CachePadded;
use h2::Reason;
use http::{HeaderMap, Response};

use super::connection::Shared;
use super::ends::{ClientLeft, Sink, Source};
use super::grpc;
use super::origin::{Around, Origin, Part};
use super::request::{Begun, Request};
use crate::config::Protocol;
use crate::generation::Frontend;
use crate::http::{Refused, RequestHead, h2_sets_cookie, set_h2_cookie};
use crate::net::Peer;
use crate::proxy::account::{Account, Asker};
use crate::proxy::answer::Answer;
use crate::proxy::choose::{Found, Target, find_server};
use crate::proxy::connect::{self, NO_SERVER, killed};
use crate::proxy::end::{Cause, During, SessionEnd};
use crate::proxy::record;
use crate::proxy::sessions::Slot;
use crate::proxy::sticky::Set;
use crate::proxy::upstream::{Upstream, Use};
use crate::proxy::{Client, ClientId};
use crate::state::FrontendCounters;

mod opening;
mod outcome;
mod tunnel;

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
    /// It was sent a second time.
    again: bool,
    /// Its waits, once the server has switched: bytes go both ways.
    tunnel: Option<tunnel::Limits>,
    /// The server stopped reading.
    up_broken: bool,
    account: Account,
    /// The server that could not be reached.
    tried: Option<Rc<Upstream>>,
    client: ClientId,
    peer: Peer,
    is_secure: bool,
    /// What the answer did with the client's cookie.
    set: Set,
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
            again: false,
            tunnel: None,
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
            set: Set::No,
            line: Vec::new(),
            progress: false,
        }
    }

    /// Chooses a server and writes what it is sent, or answers.
    pub(super) fn begin(&mut self, client: &mut Client, head: &mut RequestHead<'_, '_>) {
        self.account.bytes_in = head.len as u64;
        self.account.course.understood = true;
        if let Some(line_max) = client.shard().log.wants() {
            record::keep_line(&mut self.line, head, line_max);
        }
        self.request.asked = head.asked();
        self.request.grpc = grpc::is_asked_for(head);
        match find_server(client, head) {
            Found::Server(target, _)
                if head.upgrade.is_some() && target.protocol == Protocol::Http2 =>
            {
                self.target = Some(target);
                self.account.end = SessionEnd::new(Cause::Proxy, During::Request);
                self.answer(&Answer::of(501, "no WebSocket to an HTTP/2 server"));
            }
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
        while !self.is_over() {
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
                Step::Again => {}
            }
        }
        self.finish();
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
                self.cut();
                self.sink.reset(Reason::CANCEL);
                Poll::Ready(Step::Done)
            }
        };
        if step.is_ready() {
            return step;
        }
        let moved = self.origin.as_mut().is_some_and(Origin::take_progress);
        if moved | std::mem::take(&mut self.progress) {
            self.tell();
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
        if self.is_over() {
            return Ok(Poll::Ready(Step::Done));
        }
        let had_tunnel = self.tunnel.is_some();
        let step = self.poll_down(cx)?;
        if self.tunnel.is_some() && !had_tunnel && step.is_pending() {
            // What the client sends is of interest from now on.
            self.poll_up(cx)?;
        }
        Ok(step)
    }

    /// Client to server.
    fn poll_up(&mut self, cx: &mut Context<'_>) -> Result<(), ClientLeft> {
        while !self.up_broken {
            let Some(origin) = &mut self.origin else {
                return Ok(());
            };
            // The first bytes of a body leave with the head, if they are there.
            let starved = self.source.has_ended()
                || origin.is_waiting()
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
                // A tunnel may be closed in this direction alone.
                return Ok(match self.is_over() {
                    true => Poll::Ready(Step::Done),
                    false => Poll::Pending,
                });
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
                Ok(Part::Switched(head)) => self.switch(head)?,
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

    fn head(&mut self, mut head: Response<()>, last: bool) -> Result<(), ClientLeft> {
        self.stick(head.headers_mut());
        self.account.status = head.status().as_u16();
        self.account.answered_us = Some(self.slot.shard().clock.now_us());
        self.sink.head(head, last)
    }

    /// Sets the client's cookie.
    fn stick(&mut self, fields: &mut HeaderMap) {
        let Some((target, sticky)) = self.target.as_ref().and_then(Target::with_sticky) else {
            return;
        };
        let theirs = |fields: &&mut HeaderMap, name: &str| h2_sets_cookie(fields, name);
        let whom = (self.server.as_ref(), self.is_secure);
        let place = (&**self.slot.shard(), &target.plan);
        self.set = sticky.answer(place, whom, fields, theirs, |fields, cookie| {
            if let Some(cookie) = cookie {
                set_h2_cookie(fields, &cookie);
            }
        });
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
        self.tell();
        self.account.bytes_in += self.source.received() - self.account.course.tunnelled.0;
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
        if let Some(target) = &self.target {
            self.account.told((target, self.set), server, tried);
        }
        self.account
            .count(&asker, server, tried, backend, &self.line);
    }
}

/// Bytes of a body that count as some, where more waits.
const REAL_PROGRESS: usize = 1024;
