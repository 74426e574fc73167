//! What becomes of an exchange that does not go as it should: another try, an answer of
//! our own, a reset.

use std::time::Duration;

use h2::Reason;

use super::{Exchange, Step};
use crate::proxy::answer::{Answer, BODY_TOO_LARGE};
use crate::proxy::connect::{self, Again};
use crate::proxy::end::{Cause, During, SessionEnd};
use crate::proxy::http2::ends::ClientLeft;
use crate::proxy::http2::grpc;
use crate::proxy::http2::origin::{Lost, Origin};

impl Exchange {
    /// The server gives no (more) answer.
    pub(super) fn lost(&mut self, lost: Lost) -> Step {
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
        if self.again || !untouched {
            return None;
        }
        let mut elsewhere = false;
        match origin? {
            Origin::Http1(origin) => {
                let stale = origin.reused && self.request.idempotent && lost == Lost::Gone;
                self.request.text = stale.then(|| origin.into_request())??;
            }
            Origin::Http2(_) if lost == Lost::Unprocessed => elsewhere = self.redispatch(),
            Origin::Http2(_) => {
                let safe = self.request.idempotent && self.source.has_ended() && lost == Lost::Gone;
                safe.then_some(())?;
            }
        }
        self.again = true;
        self.account.resent = !elsewhere;
        Some(Step::Again)
    }

    /// Gives it to another server, if there is one: this one wants no more for now.
    fn redispatch(&mut self) -> bool {
        let (Some(target), Some(refused)) = (self.target, &self.server) else {
            return false;
        };
        let backend = target.plan.backend;
        let other = match connect::pick_again(self.slot.shard(), backend, refused) {
            Again::Other(other) => Some(other),
            Again::Queue => None,
            Again::Same | Again::Nowhere => return false,
        };
        refused.counters.redispatches.add(1);
        self.account.course.retries += 1;
        self.account.course.redispatched = true;
        self.server = other;
        true
    }

    /// The body is larger than the frontend takes.
    pub(super) fn refuse_body(&mut self) {
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
    pub(super) fn fail(&mut self, end: SessionEnd) {
        self.account.end = end;
        self.cut();
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
            // As a reset of TCP would (RFC 8441 5).
            _ if self.tunnel.is_some() => self.sink.reset(Reason::CANCEL),
            _ => self.sink.reset(Reason::INTERNAL_ERROR),
        }
    }

    pub(super) fn answer(&mut self, answer: &Answer) {
        self.account.status = answer.status;
        let date = self.slot.shard().clock.date();
        match self.sink.answer(answer, &self.request, &date) {
            Ok(len) => self.account.bytes_out += len as u64,
            Err(ClientLeft) => {
                self.account.end = SessionEnd::new(Cause::Client, During::Last);
            }
        }
    }

    pub(super) fn during(&self) -> During {
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

    pub(super) fn patience(&self) -> Duration {
        if let Some(limits) = self.tunnel {
            return self.tunnel_patience(limits);
        }
        match self.target {
            Some(target) if !self.waits_for_client() => target.timeouts.server,
            _ => self.frontend.config.timeouts.client,
        }
    }

    pub(super) fn time_out(&mut self) {
        let end = if self.tunnel.is_some() {
            self.tunnel_end()
        } else if self.sink.holds() {
            SessionEnd::new(Cause::ClientTimeout, During::Last)
        } else if self.waits_for_client() {
            SessionEnd::new(Cause::ClientTimeout, During::Data)
        } else {
            let during = self.during();
            if let Some(server) = &self.server {
                server.count_missing(during);
            }
            SessionEnd::new(Cause::ServerTimeout, during)
        };
        self.fail(end);
    }
}
