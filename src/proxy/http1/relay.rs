//! The inner state machine: request out, response in, both at once.

use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::Exchange;
use super::exchange::Stage;
use crate::http::{self, BodyError, Decoder, Reply, ResponseFraming, ResponseHead, Slots, Version};
use crate::proxy::Client;
use crate::proxy::answer::{Answer, BODY_TOO_LARGE};
use crate::proxy::buffers::Buf;
use crate::proxy::choose::Target;
use crate::proxy::connect::{UNWATCHED, killed};
use crate::proxy::end::{Cause, During, SessionEnd};
use crate::proxy::flow::{Coding, FlowError, JOIN_EXTRA, JOIN_MAX};
use crate::proxy::sessions::Kill;

/// What an exchange has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Everything was sent, or never will be.
    Done,
    /// The pooled connection was stale: send the request on a fresh one.
    Resend,
    /// 101 was passed on.
    Tunnel,
}

/// 1xx answers before the final one; more is an attack or a loop.
pub(crate) const INTERIMS_MAX: u32 = 100;

impl Exchange {
    /// Moves whatever can be moved.
    pub(super) fn poll(&mut self, client: &mut Client, cx: &mut Context<'_>) -> Poll<Step> {
        if let Some(kill) = client.slot.killed() {
            return Poll::Ready(self.end_now(client, kill, cx));
        }
        let step = self.poll_both(client, cx);
        if step.is_ready() {
            return step;
        }
        if self.up.take_progress() | self.down.take_progress() {
            self.arm(client);
        } else if client.slot.expired() {
            if client.stream.watch() {
                let left = self.patience(client).saturating_sub(UNWATCHED);
                client.slot.arm(left);
                return self.poll_both(client, cx);
            }
            self.time_out(client);
            // Who takes no answer is cut the next time.
            self.arm(client);
            return self.poll_both(client, cx);
        }
        Poll::Pending
    }

    /// Waits as long as the exchange may. A client nobody looked at yet is left alone
    /// a little longer: most answers come before that.
    pub(super) fn arm(&self, client: &Client) {
        let patience = self.patience(client);
        client.slot.arm(if client.stream.is_watched() {
            patience
        } else {
            patience.min(UNWATCHED)
        });
    }

    /// Ended from outside: the client is told if that goes at once.
    fn end_now(&mut self, client: &mut Client, kill: Kill, cx: &mut Context<'_>) -> Step {
        // An answer of ours may stand there already: it says the same.
        if self.stage != Stage::Answer {
            let end = killed(kill, self.during());
            if let (Some(server), Cause::Killed) = (&self.server, end.cause) {
                server.count_missing(end.during);
            }
            self.fail(client, end);
        }
        match self.poll_both(client, cx) {
            Poll::Ready(step) => step,
            Poll::Pending => {
                self.abort(client);
                Step::Done
            }
        }
    }

    fn poll_both(&mut self, client: &mut Client, cx: &mut Context<'_>) -> Poll<Step> {
        if !self.up_done && self.stage != Stage::Answer {
            self.poll_up(client, cx);
        }
        loop {
            match self.stage {
                Stage::Head => {
                    if let Some(step) = ready!(self.poll_head(client, cx)) {
                        return Poll::Ready(step);
                    }
                }
                Stage::Body => return self.poll_body(client, cx),
                Stage::Answer | Stage::Switching => return self.poll_answer(client, cx),
            }
        }
    }

    fn poll_up(&mut self, client: &mut Client, cx: &mut Context<'_>) {
        let Some(stream) = &mut self.stream else {
            return;
        };
        let buffers = &client.slot.shard().buffers;
        match self
            .up
            .poll_body(&mut client.stream, stream, client.slot.shard(), cx)
        {
            Poll::Pending => {}
            Poll::Ready(Ok(())) => {
                self.up_done = true;
                client.ahead = self.up.take_rest(buffers).or_else(|| client.ahead.take());
            }
            Poll::Ready(Err(FlowError::Sink)) => {
                // The server may have answered before it stopped reading: look for that answer.
                self.up_done = true;
                self.up_broken = true;
            }
            Poll::Ready(Err(FlowError::Framing(error))) => self.refuse_body(client, error),
            Poll::Ready(Err(FlowError::Source)) => {
                // Amid its body, whether the answer has begun or not.
                self.end = SessionEnd::new(Cause::Client, During::Data);
                self.abort(client);
            }
        }
    }

    /// The client's body is not what its framing said.
    pub(super) fn refuse_body(&mut self, client: &Client, error: BodyError) {
        tracing::debug!(peer = %client.peer.address, %error, "request body refused");
        client.counters.request_errors.add(1);
        let end = SessionEnd::new(Cause::Proxy, During::Data);
        if error == BodyError::TooLarge && self.stage == Stage::Head && !self.down.is_pending() {
            self.end = end;
            return self.answer(client, &Answer::closing(413, BODY_TOO_LARGE));
        }
        self.fail(client, end);
    }

    /// Waits for the response head. `None` = the stage has changed.
    fn poll_head(&mut self, client: &mut Client, cx: &mut Context<'_>) -> Poll<Option<Step>> {
        loop {
            // An interim answer may be on its way.
            if ready!(
                self.down
                    .poll_flush(&client.stream, client.slot.shard(), cx)
            )
            .is_err()
            {
                return Poll::Ready(Some(self.client_left(client)));
            }
            match self.answer.take() {
                Some(buf)
                    if !buf.is_empty() && http::may_complete(buf.bytes(), self.answer_tried) =>
                {
                    self.answer_tried = buf.len();
                    self.understand(client, buf);
                    if self.stage != Stage::Head {
                        return Poll::Ready(None);
                    }
                    if self.answer_tried == 0 {
                        // An interim one: the final may stand right behind it.
                        continue;
                    }
                }
                other => self.answer = other,
            }
            match self.poll_fill(client, cx) {
                Poll::Ready(Ok(n)) if n > 0 => {
                    client.shard().clock.read();
                }
                Poll::Ready(_) => return Poll::Ready(self.server_left(client)),
                Poll::Pending => {
                    // Behind a body that nobody reads on stands no request.
                    let watched = self.up_done && !self.up_broken;
                    if watched && client.read_ahead(cx).is_err() {
                        return Poll::Ready(Some(self.client_left(client)));
                    }
                    return Poll::Pending;
                }
            }
        }
    }

    fn poll_fill(&mut self, client: &Client, cx: &mut Context<'_>) -> Poll<std::io::Result<usize>> {
        let Some(stream) = &mut self.stream else {
            return Poll::Ready(Ok(0));
        };
        let buffers = &client.slot.shard().buffers;
        buffers.poll_fill(&mut self.answer, stream, cx)
    }

    fn client_left(&mut self, client: &Client) -> Step {
        self.end = SessionEnd::new(Cause::Client, self.during());
        self.abort(client);
        Step::Done
    }

    /// The server closed before its answer was whole.
    fn server_left(&mut self, client: &Client) -> Option<Step> {
        self.stream = None;
        let untouched = self.answer.is_none() && self.interims == 0;
        if self.reused && untouched && !self.resent && self.idempotent && self.up.is_replayable() {
            self.up_done = false;
            self.up_broken = false;
            return Some(Step::Resend);
        }
        if let Some(server) = &self.server {
            server.counters.response_errors.add(1);
        }
        self.fail(client, SessionEnd::new(Cause::Server, During::Headers));
        None
    }

    /// Parses response bytes; sets the next stage when the final head is there.
    fn understand(&mut self, client: &Client, mut buf: Buf) {
        let Some(target) = self.target else { return };
        let mut slots = Slots::new();
        // Looked at where it stands: it is not small.
        let parsed = http::parse_response(buf.bytes(), &target.limits, self.asked, &mut slots);
        match &parsed {
            Ok(None) => self.answer = Some(buf),
            Ok(Some(head)) if head.status < 200 => {
                self.interim(client, head);
                let len = head.len;
                self.answer_tried = 0;
                buf.consume(len);
                self.answer = Some(buf);
            }
            Ok(Some(head)) => {
                let (head_out, decoder, coding) = self.reply(client, head);
                let len = head.len;
                buf.consume(len);
                self.down.start(head_out, decoder, coding, Some(buf));
                // An answer that ends before its request does leaves the connection open.
                if !self.keep_alive && !self.close_delimited && self.up_done {
                    self.down.close_behind();
                }
                self.stage = Stage::Body;
                if let Err(error) = self.down.decode_first() {
                    // Nothing of it was sent: the client can still be told.
                    self.down.discard(client.shard());
                    self.stage = Stage::Head;
                    self.bad_answer(client, &error);
                }
            }
            Err(error) => {
                let error = *error;
                client.shard().buffers.give(buf);
                self.bad_answer(client, &error);
            }
        }
    }

    fn bad_answer(&mut self, client: &Client, error: &dyn std::fmt::Display) {
        if let Some(server) = &self.server {
            server.counters.response_errors.add(1);
            tracing::debug!(
                backend = &*server.backend,
                server = &*server.name,
                %error,
                "bad answer"
            );
        }
        self.fail(client, SessionEnd::new(Cause::Proxy, During::Headers));
    }

    /// Passes a 1xx on, to those who know them.
    fn interim(&mut self, client: &Client, head: &ResponseHead<'_, '_>) {
        self.interims += 1;
        if self.interims > INTERIMS_MAX {
            return self.fail(client, SessionEnd::new(Cause::Proxy, During::Headers));
        }
        if head.status == 101 {
            self.stage = Stage::Switching;
            self.status = 101;
            self.answered_us = Some(client.shard().clock.now_us());
        } else if self.version != Some(Version::Http11) {
            return;
        }
        let reply = Reply {
            version: Version::Http11,
            keep_alive: true,
            framing: ResponseFraming::None,
            date: &client.slot.shard().clock.date(),
            via: client.frontend.config.forwarded.via.as_deref(),
            cookie: None,
        };
        // What was there has been sent: a head is only parsed when nothing waits.
        let mut out = std::mem::take(&mut self.down.head);
        out.clear();
        match head.status {
            101 => self.write_final(client, head, reply, &mut out),
            _ => http::write_response(head, &reply, &mut out),
        }
        self.down.interim(out);
    }

    /// Serialises the final head.
    fn reply(
        &mut self,
        client: &Client,
        head: &ResponseHead<'_, '_>,
    ) -> (Vec<u8>, Decoder, Coding) {
        let shard = client.slot.shard();
        let version = self.version.unwrap_or(Version::Http11);
        let framing = http::reply_framing(head, version);
        self.status = head.status;
        self.answered_us = Some(shard.clock.now_us());
        self.server_keep_alive = head.keep_alive;
        self.close_delimited = framing == ResponseFraming::UntilClose;
        // With a request body still coming the connection has no safe end.
        self.keep_alive = self.keep_alive
            && !self.close_delimited
            && self.up_done
            && !self.up_broken
            && client.may_stay();
        let reply = Reply {
            version,
            keep_alive: self.keep_alive,
            framing,
            date: &shard.clock.date(),
            via: client.frontend.config.forwarded.via.as_deref(),
            cookie: None,
        };
        shard.buffers.give_head(std::mem::take(&mut self.down.head));
        let room = http::response_bound(head, &reply) + JOIN_MAX + JOIN_EXTRA;
        let mut out = shard.buffers.take_head(room);
        self.write_final(client, head, reply, &mut out);
        let coding = match framing {
            ResponseFraming::Chunked => Coding::Chunked,
            _ => Coding::Plain,
        };
        (out, Decoder::from(head.framing), coding)
    }

    /// Writes a head that ends what the client waits for, with its cookie.
    fn write_final(
        &mut self,
        client: &Client,
        head: &ResponseHead<'_, '_>,
        reply: Reply<'_>,
        out: &mut Vec<u8>,
    ) {
        let Some((target, sticky)) = self.target.as_ref().and_then(Target::with_sticky) else {
            return http::write_response(head, &reply, out);
        };
        let whom = (self.server.as_ref(), client.stream.is_secure());
        let theirs = |head: &&ResponseHead<'_, '_>, name: &str| head.sets_cookie(name);
        let place = (&**client.slot.shard(), &target.plan);
        self.set = sticky.answer(place, whom, head, theirs, |head, cookie| {
            http::write_response(head, &Reply { cookie, ..reply }, out);
        });
    }

    fn poll_body(&mut self, client: &Client, cx: &mut Context<'_>) -> Poll<Step> {
        let Some(stream) = &mut self.stream else {
            return Poll::Ready(Step::Done);
        };
        match ready!(
            self.down
                .poll_body(stream, &client.stream, client.slot.shard(), cx)
        ) {
            Ok(()) => {}
            Err(FlowError::Sink) => return Poll::Ready(self.client_left(client)),
            Err(FlowError::Source | FlowError::Framing(_)) => {
                if let Some(server) = &self.server {
                    server.counters.response_errors.add(1);
                }
                self.end = SessionEnd::new(Cause::Server, During::Data);
                self.abort(client);
            }
        }
        Poll::Ready(Step::Done)
    }

    fn poll_answer(&mut self, client: &Client, cx: &mut Context<'_>) -> Poll<Step> {
        if ready!(
            self.down
                .poll_flush(&client.stream, client.slot.shard(), cx)
        )
        .is_err()
        {
            return Poll::Ready(self.client_left(client));
        }
        Poll::Ready(if self.stage == Stage::Switching {
            Step::Tunnel
        } else {
            Step::Done
        })
    }

    fn during(&self) -> During {
        match self.stage {
            Stage::Head => During::Headers,
            Stage::Body | Stage::Answer | Stage::Switching => During::Data,
        }
    }

    /// Whom we wait for: the client if it has to send or take something, else the server.
    fn waits_for_client(&self) -> bool {
        self.down.is_pending()
            || self.stage == Stage::Answer
            || (!self.up_done && !self.up.is_pending() && self.stage == Stage::Head)
    }

    /// How long we wait for it.
    pub(super) fn patience(&self, client: &Client) -> Duration {
        match self.target {
            Some(target) if !self.waits_for_client() => target.timeouts.server,
            _ => client.frontend.config.timeouts.client,
        }
    }

    fn time_out(&mut self, client: &Client) {
        let end = if self.stage == Stage::Answer || self.down.is_pending() {
            // Last: all that was to come had come.
            let all_here = self.stage == Stage::Answer || self.down.ended();
            let during = if all_here { During::Last } else { During::Data };
            SessionEnd::new(Cause::ClientTimeout, during)
        } else if self.waits_for_client() {
            SessionEnd::new(Cause::ClientTimeout, During::Data)
        } else {
            let during = self.during();
            if let Some(server) = &self.server {
                server.count_missing(during);
            }
            SessionEnd::new(Cause::ServerTimeout, during)
        };
        self.fail(client, end);
    }
}
