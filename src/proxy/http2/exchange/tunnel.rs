//! A WebSocket of an HTTP/2 client (RFC 8441): from the server's 101 on, a stream of its
//! connection stands for a connection. What moves it is what moves bodies; here is what is
//! otherwise.

use std::time::Duration;

use http::Response;

use super::Exchange;
use crate::proxy::end::{Cause, During, SessionEnd};
use crate::proxy::http2::ends::ClientLeft;
pub(super) use crate::proxy::tunnel::Limits;

impl Exchange {
    /// The server has switched.
    pub(super) fn switch(&mut self, head: Response<()>) -> Result<(), ClientLeft> {
        let timeouts = self.frontend.config.timeouts;
        let own = self.target.and_then(|target| target.timeouts.tunnel);
        self.tunnel = Some(Limits {
            idle: own.unwrap_or(timeouts.tunnel),
            half_closed: timeouts.half_closed,
        });
        self.head(head, false)?;
        // What the server said, and what is logged and counted of HTTP/1 clients.
        self.account.status = 101;
        if let (true, Some(origin)) = (self.source.has_ended(), &mut self.origin) {
            origin.finish(None);
        }
        Ok(())
    }

    /// Whether nothing is left to be done: of a tunnel, in either direction.
    pub(super) fn is_over(&self) -> bool {
        let is_up_over = match &self.origin {
            Some(origin) if self.tunnel.is_some() => origin.is_shut() || self.up_broken,
            _ => true,
        };
        self.sink.has_ended() && is_up_over
    }

    pub(super) fn tunnel_patience(&self, limits: Limits) -> Duration {
        match self.source.has_ended() || self.sink.has_ended() {
            true => limits.half_closed,
            false => limits.idle,
        }
    }

    /// How it ends when nothing moves any more.
    pub(super) fn tunnel_end(&self) -> SessionEnd {
        let cause = match self.source.has_ended() {
            true => Cause::ServerTimeout,
            false => Cause::ClientTimeout,
        };
        SessionEnd::new(cause, During::Data)
    }

    /// Counts what has moved, so that a tunnel of hours is seen while it runs.
    pub(super) fn tell(&mut self) {
        if self.tunnel.is_none() {
            return;
        }
        let tunnelled = &mut self.account.course.tunnelled;
        let bytes_in = self.source.received() - tunnelled.0;
        let bytes_out = std::mem::take(&mut self.account.bytes_out);
        tunnelled.0 += bytes_in;
        tunnelled.1 += bytes_out;
        self.counters.bytes_in.add(bytes_in);
        self.counters.bytes_out.add(bytes_out);
        if let Some(server) = &self.server {
            server.counters.bytes_in.add(bytes_in);
            server.counters.bytes_out.add(bytes_out);
        }
    }

    /// The server should be able to tell this from an orderly end.
    pub(super) fn cut(&self) {
        if let (Some(origin), Some(_)) = (&self.origin, self.tunnel) {
            origin.reset_on_close();
        }
    }
}
