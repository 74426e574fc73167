//! After the exchange: counts, the server's connection, the client's.

use super::Exchange;
use super::exchange::Stage;

use crate::proxy::Client;
use crate::proxy::account::{Account, Asker, Course};
use crate::proxy::end::{Cause, SessionEnd};

/// What becomes of the client's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::proxy) enum Next {
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
        // What came and went at once is as old as the last look at the clock.
        if self.end != SessionEnd::NORMAL || !self.down.is_replayable() {
            shard.clock.read();
        }
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
        self.tried = None;
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
            target.keep(client.shard(), server, client.id, stream);
        }
    }

    fn count(&self, client: &Client) {
        let mut account = Account {
            status: self.status,
            end: self.end,
            resent: self.resent,
            bytes_in: self.head_bytes + self.up.received,
            bytes_out: self.down.sent,
            spliced_out: self.down.spliced,
            began_us: client.began_us,
            started_us: self.started_us,
            connected_us: self.connected_us,
            answered_us: self.answered_us,
            course: Course {
                understood: self.understood,
                retries: self.retries,
                redispatched: self.redispatched,
                reused: self.reused,
                waited: self.waited,
                cookies: None,
                own: None,
                tunnelled: self.tunnelled,
                unlogged: self.unlogged,
            },
        };
        let asker = Asker::of(client);
        let backend = self.target.map(|target| target.plan.backend);
        let server = self.server.as_ref();
        if let Some(target) = &self.target {
            account.told((target, self.set), server, self.tried.as_deref());
        }
        account.count(&asker, server, self.tried.as_deref(), backend, &self.line);
    }
}
