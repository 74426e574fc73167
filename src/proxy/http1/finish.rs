//! After the exchange: counts, the server's connection, the client's.

use super::Exchange;
use super::exchange::Stage;
use crate::log::{Kind, NEVER};
use crate::proxy::Client;
use crate::proxy::connect::{self, NO_SERVER};
use crate::proxy::end::{Cause, SessionEnd};
use crate::proxy::record::{self, Course, Stages, Way};
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
        self.server = None;
        self.tried = None;
        self.stream = None;
        client.slot.set_server(None);
        shard.give_exchange(self);
        match next {
            // Requests sent ahead: closing on them would reset, and eat, the answer.
            Next::Close if client.has_unread() => Next::Linger,
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

    /// Who is counted what is HAProxy's way: a server's requests and answers are
    /// those it gave, its sessions and bytes what it was given; what ended without an
    /// answer of its is its backend's.
    fn count(&self, client: &Client) {
        let bytes_in = self.head_bytes + self.up.received;
        let class = response_class(self.status);
        let frontend = &client.counters;
        frontend.requests.add(1);
        frontend.bytes_in.add(bytes_in);
        frontend.bytes_out.add(self.down.sent);
        frontend.spliced_out.add(self.down.spliced);
        frontend.responses[class].add(1);
        let answer = |counters: &Counters| {
            counters.requests.add(1);
            counters.responses[class].add(1);
        };
        let work = |counters: &Counters| {
            counters.sessions.add(1);
            counters.retries.add(u64::from(self.resent));
            counters.bytes_in.add(bytes_in);
            counters.bytes_out.add(self.down.sent);
            counters.count_abort(self.end.aborted_by());
        };
        let upstream = match (&self.server, &self.tried) {
            (Some(server), _) => Some(&**server),
            (None, tried) => tried.as_deref(),
        };
        if let Some(upstream) = upstream {
            work(&upstream.counters);
            if self.answered_us.is_some() {
                answer(&upstream.counters);
                self.time(client, &upstream.counters);
            } else {
                answer(&upstream.backend_counters);
            }
        } else if let Some(target) = self.target {
            connect::backend_counters(client.shard(), target.plan.backend, |counters| {
                work(counters);
                answer(counters);
            });
        }
        if client.shard().log.wants().is_some() && !self.unlogged {
            self.log(client);
        }
    }

    /// Only what was answered has times worth an average.
    fn time(&self, client: &Client, counters: &Counters) {
        let (Some(connected), Some(answered)) = (self.connected_us, self.answered_us) else {
            return;
        };
        let total = client.shard().clock.now_us() - client.began_us;
        let times = &counters.times;
        times.connect.add(connected.saturating_sub(self.started_us));
        times.response.add(answered.saturating_sub(connected));
        times.total.add(total);
        times.latency.add(total);
    }

    fn log(&self, client: &Client) {
        let way = match (&self.server, &self.tried, self.target) {
            (Some(server), ..) => Way::Server {
                upstream: server,
                counted: true,
            },
            (None, Some(tried), _) => Way::Server {
                upstream: tried,
                counted: false,
            },
            (None, None, Some(target)) => Way::Backend(target.plan.backend),
            (None, None, None) => Way::Nowhere,
        };
        // Where nothing was sent to a server, no place was waited for.
        let queued = self.server.is_some() || self.tried.is_some();
        let between = |from: u64, to: u64| to.saturating_sub(from) as i64;
        let stages = Stages {
            began_us: client.began_us,
            // HAProxy looks at the clock behind the choice of a backend.
            request: match self.understood && !matches!((way, self.end), (Way::Nowhere, NO_SERVER))
            {
                true => between(client.began_us, self.started_us),
                false => NEVER,
            },
            queue: if queued { 0 } else { NEVER },
            connect: self
                .connected_us
                .map_or(NEVER, |connected| between(self.started_us, connected)),
            response: match (self.connected_us, self.answered_us) {
                (Some(connected), Some(answered)) => between(connected, answered),
                _ => NEVER,
            },
        };
        let course = Course {
            kind: Kind::Http,
            end: self.end,
            status: self.status,
            retries: self.retries,
            redispatched: self.redispatched,
            reused: self.reused,
            bytes_in: self.head_bytes + self.up.received + self.tunnelled.0,
            bytes_out: self.down.sent + self.tunnelled.1,
        };
        record::write(client, way, stages, &course, &self.line);
    }
}
