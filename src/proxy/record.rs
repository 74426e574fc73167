//! What the access log is told of an exchange or a session.

use std::cell::Cell;
use std::sync::Arc;

use super::Client;
use super::end::SessionEnd;
use super::shard::Shard;
use super::upstream::Upstream;
use crate::log::{Facts, Kind, Record};
use crate::state::{BackendId, BackendState};

/// What is in force for this client and backend, beside the exchange itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stages {
    /// The first byte, or the accept.
    pub(super) began_us: u64,
    /// As in [`Facts`].
    pub(super) request: i64,
    pub(super) queue: i64,
    pub(super) connect: i64,
    pub(super) response: i64,
}

/// How it went.
#[derive(Debug, Clone, Copy)]
pub(super) struct Course {
    pub(super) kind: Kind,
    pub(super) end: SessionEnd,
    pub(super) status: u16,
    pub(super) retries: u32,
    pub(super) redispatched: bool,
    pub(super) reused: bool,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
}

/// Where it went.
#[derive(Debug, Clone, Copy)]
pub(super) enum Way<'a> {
    /// No backend was found, or none was looked for.
    Nowhere,
    /// A backend, and no server of it.
    Backend(BackendId),
    /// This server; `counted` = it still counts us among its sessions.
    Server {
        upstream: &'a Upstream,
        counted: bool,
    },
}

/// Puts one record into the worker's ring. To be called when somebody wants it.
#[cold]
pub(super) fn write(client: &Client, way: Way<'_>, stages: Stages, course: &Course, line: &[u8]) {
    let shard = client.shard();
    let now_us = shard.clock.now_us();
    let mut facts = Facts {
        kind: course.kind,
        tls: false,
        reused: course.reused,
        redispatched: course.redispatched,
        end: course.end.letters(),
        status: course.status,
        retries: u16::try_from(course.retries).unwrap_or(u16::MAX),
        ip: client.peer.address.ip(),
        port: client.peer.address.port(),
        began_us: stages.began_us,
        request: stages.request,
        queue: stages.queue,
        connect: stages.connect,
        response: stages.response,
        total: now_us.saturating_sub(stages.began_us) as i64,
        bytes_out: course.bytes_out,
        bytes_in: course.bytes_in,
        actconn: count(shard.published.connections() as u64),
        feconn: count(client.frontend.state.connections() as u64),
        beconn: 0,
        srvconn: 0,
    };
    let put = |facts, backend: &str, server: &str| {
        shard.log.push(&Record {
            facts,
            frontend: &client.frontend.config.name,
            backend,
            server,
            line,
        });
    };
    match way {
        Way::Nowhere => put(facts, "", ""),
        Way::Backend(id) => shard.with_generation(|generation| {
            let backend = generation.backends.iter().find(|b| b.state.id == id);
            facts.beconn = backend.map_or(0, |b| count(under_way(&b.state)));
            put(facts, backend.map_or("", |b| &b.name), "");
        }),
        Way::Server { upstream, counted } => {
            let (backend, server) = upstream.load.now(shard, upstream);
            let own = u32::from(counted);
            facts.beconn = backend.saturating_sub(own);
            facts.srvconn = server.saturating_sub(own);
            put(facts, &upstream.backend, &upstream.name);
        }
    }
}

/// Sessions of a server and of its backend on other workers: looked at once in a
/// millisecond, since each look fetches a cache line from every other core.
#[derive(Debug)]
pub(super) struct Load {
    backend: Arc<BackendState>,
    looked_ms: Cell<u32>,
    others: Cell<(u64, u64)>,
}

impl Load {
    pub(super) fn of(backend: Arc<BackendState>) -> Self {
        Self {
            backend,
            looked_ms: Cell::new(0),
            others: Cell::new((0, 0)),
        }
    }

    /// Sessions of the backend and of the server now.
    fn now(&self, shard: &Shard, upstream: &Upstream) -> (u32, u32) {
        let own = (
            upstream.backend_counters.busy.get(),
            upstream.counters.current.get(),
        );
        let now_ms = shard.clock.now_ms().max(1);
        if shard.workers > 1 && self.looked_ms.replace(now_ms) != now_ms {
            let server = upstream.state.counters.sum(|c| c.current.get());
            let backend = under_way(&self.backend);
            let others = (backend.saturating_sub(own.0), server.saturating_sub(own.1));
            self.others.set(others);
        }
        let others = self.others.get();
        (count(own.0 + others.0), count(own.1 + others.1))
    }
}

fn under_way(backend: &BackendState) -> u64 {
    backend.counters.sum(|counters| counters.busy.get())
}

fn count(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
