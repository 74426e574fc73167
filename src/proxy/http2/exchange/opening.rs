//! How a request comes to a server.

use std::task::Context;

use super::Exchange;
use crate::config::Protocol;
use crate::http::{self as rules, Framing};
use crate::proxy::choose::Target;
use crate::proxy::connect::{self, NoConnection};
use crate::proxy::end::{Cause, During, SessionEnd};
use crate::proxy::http2::origin::Origin;
use crate::proxy::http2::pool;
use crate::proxy::http2::to_http1::ToHttp1;
use crate::proxy::http2::to_http2::ToHttp2;
use crate::proxy::queue;
use crate::proxy::upstream::Use;

impl Exchange {
    pub(super) async fn connect(&mut self) -> Result<(), NoConnection> {
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
        let line = (target.plan.backend, target.plan.own);
        let waiting = Box::pin(queue::wait(&self.slot, line, &mut left));
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
                self.account.connected_us = Some(self.account.assigned_us());
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
            // A tunnel is no body.
            None | Some(Framing::None) => None,
            _ if self.source.has_ended() => None,
            framing => Some(framing == Some(Framing::Chunked)),
        };
        let text = std::mem::take(&mut self.request.text);
        let asked = (self.request.asked, target.limits);
        let websocket = self.request.websocket;
        Ok(ToHttp1::new(stream, reused, text, body, asked, websocket))
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
}

/// Connections found at their end before one is taken to be a sign of more.
const STALE_MAX: usize = 3;
