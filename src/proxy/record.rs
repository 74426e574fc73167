//! What the access log is told of an exchange or a session.

use std::cell::Cell;
use std::sync::Arc;

use super::Client;
use super::account::Asker;
use super::end::{Cause, During, SessionEnd};
use super::shard::Shard;
use super::upstream::Upstream;
use crate::config;
use crate::http::{RequestHead, Version};
use crate::log::{Facts, Kind, NEVER, Record};
use crate::state::{BackendId, BackendState, ServerId};

/// Where it went.
#[derive(Debug, Clone, Copy)]
pub(super) enum Way<'a> {
    /// No backend was found, or none was looked for.
    Nowhere,
    /// A backend, and no server of it but one it waited for in vain.
    Backend(BackendId, Option<ServerId>),
    /// This server; `counted` = it still counts us among its sessions.
    Server {
        upstream: &'a Upstream,
        counted: bool,
    },
}

/// Puts one record into the worker's ring, with what only looks around tell: to be
/// called when somebody wants it.
pub(super) fn write(asker: &Asker<'_>, way: Way<'_>, mut facts: Facts, line: &[u8]) {
    let shard = asker.shard;
    facts.actconn = count(shard.published.connections() as u64);
    facts.feconn = count(asker.frontend.state.connections() as u64);
    let put = |facts, backend: &str, server: &str| {
        shard.log.push(&Record {
            facts,
            frontend: &asker.frontend.config.name,
            backend,
            server,
            line,
        });
    };
    match way {
        Way::Nowhere => put(facts, "", ""),
        Way::Backend(id, own) => shard.with_generation(|generation| {
            let backend = generation.backends.iter().find(|b| b.state.id == id);
            facts.beconn = backend.map_or(0, |b| count(under_way(&b.state)));
            let server = backend.zip(own).and_then(|(b, own)| b.server_of(own));
            let name = server.map_or("", |server| &server.name);
            put(facts, backend.map_or("", |b| &b.name), name);
        }),
        Way::Server { upstream, .. } if config::is_built_in(&upstream.backend) => {
            put(own_answer(facts), &asker.frontend.config.name, "<STATS>");
        }
        Way::Server { upstream, counted } => {
            let (backend, server) = upstream.load.now(shard, upstream);
            let own = u32::from(counted);
            facts.beconn = backend.saturating_sub(own);
            facts.srvconn = server.saturating_sub(own);
            put(facts, &upstream.backend, &upstream.name);
        }
    }
}

/// What a connection comes to that has no request: nothing, until more is known of it.
pub(super) fn of_session(client: &Client, kind: Kind, end: SessionEnd) -> Facts {
    Facts {
        kind,
        tls: client.stream.is_secure(),
        reused: false,
        redispatched: false,
        end: end.letters(),
        cookies: None,
        status: 0,
        retries: 0,
        ip: client.peer.address.ip(),
        port: client.peer.address.port(),
        began_us: client.began_us,
        request: NEVER,
        queue: NEVER,
        connect: NEVER,
        response: NEVER,
        total: client
            .shard()
            .clock
            .now_us()
            .saturating_sub(client.began_us) as i64,
        bytes_out: 0,
        bytes_in: 0,
        actconn: 0,
        feconn: 0,
        beconn: 0,
        srvconn: 0,
        queued: 0,
        queued_own: 0,
    }
}

/// The stats page is a server to us and none to those who read the log (HAProxy manual 8.5).
fn own_answer(mut facts: Facts) -> Facts {
    if facts.end == SessionEnd::NORMAL.letters() {
        facts.end = SessionEnd::new(Cause::Local, During::Request).letters();
    }
    (facts.connect, facts.response) = (0, 0);
    facts
}

/// The buffer of the head is another's by the time the line is logged.
pub(super) fn keep_line(line: &mut Vec<u8>, head: &RequestHead<'_, '_>, line_max: usize) {
    let version: &[u8] = match head.version {
        Version::Http10 => b" HTTP/1.0",
        Version::Http11 => b" HTTP/1.1",
        Version::Http2 => b" HTTP/2.0",
    };
    for part in [head.method.as_bytes(), b" ", head.target, version] {
        let room = line_max.saturating_sub(line.len());
        line.extend_from_slice(&part[..part.len().min(room)]);
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
