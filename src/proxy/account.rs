//! What an exchange comes to, in the counters and in the access log, whatever
//! carried it.

use std::rc::Rc;

use super::choose::Target;
use super::connect::{self, NO_SERVER};
use super::end::SessionEnd;
use super::queue::Waited;
use super::record::{self, Way};
use super::sticky::Set;
use super::upstream::{Upstream, Use};
use super::{Client, Shard};
use crate::generation::Frontend;
use crate::log::{Facts, Kind, NEVER};
use crate::net::Peer;
use crate::state::{BackendId, Counters, FrontendCounters, ServerId, response_class};

/// Who asked, and where.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asker<'a> {
    pub(crate) shard: &'a Rc<Shard>,
    pub(crate) frontend: &'a Frontend,
    /// This worker's slot of it.
    pub(crate) counters: &'a FrontendCounters,
    pub(crate) peer: Peer,
    /// Over TLS.
    pub(crate) is_secure: bool,
}

impl<'a> Asker<'a> {
    /// The client of a connection.
    pub(crate) fn of(client: &'a Client) -> Self {
        Self {
            shard: client.shard(),
            frontend: &client.frontend,
            counters: &client.counters,
            peer: client.peer,
            is_secure: client.stream.is_secure(),
        }
    }
}

/// One request and its answer, in numbers.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Account {
    /// What the client was told; 0 = nothing.
    pub(crate) status: u16,
    /// How it ended.
    pub(crate) end: SessionEnd,
    /// It was sent a second time, on a fresh connection.
    pub(crate) resent: bool,
    /// From the client, heads included.
    pub(crate) bytes_in: u64,
    /// To the client, heads included.
    pub(crate) bytes_out: u64,
    /// Those of them that went through a pipe.
    pub(crate) spliced_out: u64,
    /// Its first byte. This and the following: times of the shard's clock.
    pub(crate) began_us: u64,
    /// Its head was whole, or given up.
    pub(crate) started_us: u64,
    /// A connection to a server stood; a kept one at once.
    pub(crate) connected_us: Option<u64>,
    /// The head of the server's answer was there.
    pub(crate) answered_us: Option<u64>,
    /// What only the log tells.
    pub(crate) course: Course,
}

/// What only the log tells.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Course {
    /// There was a head.
    pub(crate) understood: bool,
    /// Failed tries to connect.
    pub(crate) retries: u32,
    /// It was given to another server after a failure.
    pub(crate) redispatched: bool,
    /// The server's connection came from the pool.
    pub(crate) reused: bool,
    /// In the queue, which is before `connected_us`.
    pub(crate) waited: Waited,
    /// What became of the client's cookie; `None` = its backend knows none.
    pub(crate) cookies: Option<[u8; 2]>,
    /// The server it named, which kept it.
    pub(crate) own: Option<ServerId>,
    /// What a tunnel moved, counted as it did: from the client, to the client.
    pub(crate) tunnelled: (u64, u64),
    /// It is not to be logged.
    pub(crate) unlogged: bool,
}

impl Account {
    /// Notes what became of the client's cookie, if its backend knows one.
    pub(super) fn told(
        &mut self,
        (target, set): (&Target, Set),
        server: Option<&Use>,
        tried: Option<&Upstream>,
    ) {
        let Some(sticky) = target.sticky else { return };
        let last = server.map(|server| &**server).or(tried);
        let last = last.map(|upstream| upstream.state.id);
        self.course.own = target.plan.own;
        self.course.cookies = Some(sticky.letters((target.plan.own, last), set));
    }

    /// When a server had a place for it: what came before is its stay in the queue.
    pub(crate) fn assigned_us(&self) -> u64 {
        self.started_us + self.course.waited.us
    }

    /// Counts it for its frontend and for its server, or the backend when it reached
    /// none, and logs it. `tried` is a server that could not be reached.
    ///
    /// Who is counted what is HAProxy's way: a server's requests and answers are those
    /// it gave, its sessions and bytes what it was given; what ended without an answer
    /// of its is its backend's.
    pub(crate) fn count(
        &self,
        asker: &Asker<'_>,
        server: Option<&Use>,
        tried: Option<&Upstream>,
        backend: Option<BackendId>,
        line: &[u8],
    ) {
        let counters = asker.counters;
        counters.requests.add(1);
        counters.bytes_in.add(self.bytes_in);
        counters.bytes_out.add(self.bytes_out);
        counters.spliced_out.add(self.spliced_out);
        counters.responses[response_class(self.status)].add(1);
        if let Some(upstream) = server.map(|server| &**server).or(tried) {
            self.count_work(&upstream.counters);
            if self.answered_us.is_some() {
                self.count_answer(&upstream.counters);
                self.time(asker.shard, &upstream.counters);
                if server.is_some_and(Use::is_limited) {
                    upstream.counters.times.queue.add(self.course.waited.us);
                }
            } else {
                self.count_answer(&upstream.backend_counters);
            }
        } else if let Some(backend) = backend {
            connect::backend_counters(asker.shard, backend, |counters| {
                self.count_work(counters);
                self.count_answer(counters);
            });
        }
        if asker.shard.log.wants().is_some() && !self.course.unlogged {
            self.log(asker, server, tried, backend, line);
        }
    }

    fn count_work(&self, counters: &Counters) {
        counters.sessions.add(1);
        counters.retries.add(u64::from(self.resent));
        counters.bytes_in.add(self.bytes_in);
        counters.bytes_out.add(self.bytes_out);
        counters.count_abort(self.end.aborted_by());
    }

    fn count_answer(&self, counters: &Counters) {
        counters.requests.add(1);
        counters.responses[response_class(self.status)].add(1);
    }

    /// Only what was answered has times worth an average.
    fn time(&self, shard: &Shard, counters: &Counters) {
        let (Some(connected), Some(answered)) = (self.connected_us, self.answered_us) else {
            return;
        };
        let total = shard.clock.now_us().saturating_sub(self.began_us);
        let times = &counters.times;
        times
            .connect
            .add(connected.saturating_sub(self.assigned_us()));
        times.response.add(answered.saturating_sub(connected));
        times.total.add(total);
        times.latency.add(total);
    }

    #[cold]
    fn log(
        &self,
        asker: &Asker<'_>,
        server: Option<&Use>,
        tried: Option<&Upstream>,
        backend: Option<BackendId>,
        line: &[u8],
    ) {
        let way = match (server, tried, backend) {
            (Some(upstream), ..) => Way::Server {
                upstream,
                counted: true,
            },
            (None, Some(upstream), _) => Way::Server {
                upstream,
                counted: false,
            },
            (None, None, Some(backend)) => {
                let (own, waited) = (self.course.own, self.course.waited);
                Way::Backend(
                    backend,
                    own.filter(|_| waited.own_position > 0 && waited.position == 0),
                )
            }
            (None, None, None) => Way::Nowhere,
        };
        let course = &self.course;
        let between = |from: u64, to: u64| to.saturating_sub(from) as i64;
        // HAProxy notes the time of the request behind the choice of a backend.
        let unrouted = matches!((way, self.end), (Way::Nowhere, NO_SERVER));
        let now_us = asker.shard.clock.now_us();
        let facts = Facts {
            kind: Kind::Http,
            tls: asker.is_secure,
            reused: course.reused,
            redispatched: course.redispatched,
            end: self.end.letters(),
            cookies: course.cookies,
            status: self.status,
            retries: u16::try_from(course.retries).unwrap_or(u16::MAX),
            ip: asker.peer.address.ip(),
            port: asker.peer.address.port(),
            began_us: self.began_us,
            request: match course.understood && !unrouted {
                true => between(self.began_us, self.started_us),
                false => NEVER,
            },
            queue: match (way, course.waited.us) {
                (Way::Server { .. }, waited) => waited as i64,
                // Where nothing was sent to a server, no place was waited for.
                (_, 0) => NEVER,
                (_, waited) => waited as i64,
            },
            connect: self
                .connected_us
                .map_or(NEVER, |connected| between(self.assigned_us(), connected)),
            response: match (self.connected_us, self.answered_us) {
                (Some(connected), Some(answered)) => between(connected, answered),
                _ => NEVER,
            },
            total: between(self.began_us, now_us),
            bytes_out: self.bytes_out + course.tunnelled.1,
            bytes_in: self.bytes_in + course.tunnelled.0,
            actconn: 0,
            feconn: 0,
            beconn: 0,
            srvconn: 0,
            queued: course.waited.position,
            queued_own: course.waited.own_position,
        };
        record::write(asker, way, facts, line);
    }
}
