//! After the exchange: counts, the server's connection, the client's.

use super::Exchange;
use super::exchange::Stage;
use crate::proxy::Client;
use crate::proxy::connect;
use crate::proxy::end::{Cause, SessionEnd};
use crate::state::{Counters, response_class};

/// What becomes of the client's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Another request may come.
    Request,
    /// Orderly close.
    Close,
    /// Close so that the client can tell: its answer was cut where the close is the end mark.
    Reset,
    /// Close, but read on for a moment: the client sent more than was read.
    Linger,
}

impl Exchange {
    /// Counts, pools what may be pooled and gives itself back to the shard.
    pub(super) fn finish(mut self: Box<Self>, client: &mut Client) -> Next {
        let shard = std::rc::Rc::clone(client.shard());
        self.count(client);
        let server_rest = self.down.finish(&shard).or_else(|| self.answer.take());
        let excess = server_rest.is_some();
        if let Some(rest) = server_rest {
            shard.buffers.give(rest);
        }
        self.pool(client, excess);
        let unread =
            self.stage == Stage::Answer && !self.up_done && self.end.cause != Cause::Client;
        match self.up.finish(&shard) {
            // We answered ourselves, but the body was read to its end: this is the next request.
            Some(rest) if self.keep_alive => client.ahead = Some(rest),
            Some(rest) => shard.buffers.give(rest),
            None => {}
        }
        let next = match self.end.cause {
            _ if self.keep_alive => Next::Request,
            Cause::Normal | Cause::Local if self.up_done && !self.up_broken => Next::Close,
            Cause::Client => Next::Close,
            // Whoever is to blame: with a FIN it would look whole.
            _ if self.close_delimited && self.end != SessionEnd::NORMAL => Next::Reset,
            _ if unread || self.up_broken || !self.up_done => Next::Linger,
            _ => Next::Close,
        };
        let last = self.last;
        self.server = None;
        self.stream = None;
        client.slot.set_server(None);
        shard.give_exchange(self);
        match next {
            // Requests sent ahead: closing on them would reset, and eat, the answer.
            Next::Close if client.has_unread(last) => Next::Linger,
            next => next,
        }
    }

    /// The server's connection goes back to the pool only if both messages ended
    /// where they should have and nothing came behind.
    fn pool(&mut self, client: &Client, excess: bool) {
        let (Some(stream), Some(server), Some(target)) =
            (self.stream.take(), &self.server, self.target)
        else {
            return;
        };
        let whole = self.up_done && !self.up_broken && self.stage == Stage::Body;
        if whole && !excess && self.server_keep_alive && self.end == SessionEnd::NORMAL {
            let shard = client.shard();
            // Each worker gets its share of the server's pool, at least one.
            let share = match target.pool_max {
                0 => 0,
                max => (max / shard.workers.max(1)).max(1),
            };
            server.give(
                stream,
                shard.clock.now_ms(),
                target.timeouts.pool_idle,
                share,
            );
        }
    }

    fn count(&self, client: &Client) {
        let now_us = client.shard().clock.now_us();
        let bytes_in = self.head_bytes + self.up.received;
        let class = response_class(self.status);
        let frontend = &client.counters;
        frontend.requests.add(1);
        frontend.bytes_in.add(bytes_in);
        frontend.bytes_out.add(self.down.sent);
        frontend.spliced_out.add(self.down.spliced);
        if self.status != 0 {
            frontend.responses[class].add(1);
        }
        let own = |counters: &Counters| {
            counters.sessions.add(1);
            counters.requests.add(1);
            counters.retries.add(u64::from(self.resent));
            counters.bytes_in.add(bytes_in);
            counters.bytes_out.add(self.down.sent);
            if self.status != 0 {
                counters.responses[class].add(1);
            }
            match self.end.cause {
                Cause::Internal => counters.internal_errors.add(1),
                Cause::Client | Cause::ClientTimeout => counters.client_aborts.add(1),
                Cause::Server | Cause::ServerTimeout => counters.server_aborts.add(1),
                _ => {}
            }
            if self.answered_us > self.started_us {
                counters
                    .times
                    .connect
                    .add(self.connected_us - self.started_us);
                counters
                    .times
                    .response
                    .add(self.answered_us - self.connected_us);
            }
            counters.times.total.add(now_us - self.started_us);
        };
        match (&self.server, self.target) {
            (Some(server), _) => own(&server.counters),
            (None, Some(target)) => {
                connect::backend_counters(client.shard(), target.plan.backend, own)
            }
            (None, None) => {}
        }
        tracing::trace!(
            frontend = &*client.frontend.config.name,
            backend = self.server.as_ref().map(|server| &*server.backend),
            server = self.server.as_ref().map(|server| &*server.name),
            status = self.status,
            end = std::str::from_utf8(&self.end.letters()).unwrap_or_default(),
            "exchange",
        );
    }
}
