//! TCP mode: one server per connection, bytes both ways.

use std::rc::Rc;

use super::Client;
use super::account::Asker;
use super::connect::{self, NO_SERVER, NoConnection, Plan};
use super::end::{Cause, During, SessionEnd};
use super::record::{self, Way};
use super::tunnel::{self, First, Limits, Relayed};
use super::upstream::Use;
use crate::log::{Facts, Kind, NEVER};

/// Serves one client until either side is done.
pub(crate) async fn serve(mut client: Client) {
    client.slot.register_task().await;
    let Some((plan, limits, server)) = assign(&mut client) else {
        return log(&client, Way::Nowhere, &Session::ended(NO_SERVER));
    };
    let Some(server) = server else {
        connect::backend_counters(client.shard(), plan.backend, |counters| {
            counters.connect_errors.add(1);
        });
        no_server(&client, plan, NO_SERVER);
        let way = Way::Backend(plan.backend);
        return log(&client, way, &Session::ended(NO_SERVER));
    };
    let ends = || client.ends();
    let dialled = match connect::establish(&client.slot, plan, server, &ends).await {
        Ok(dialled) => dialled,
        Err(failed) => {
            client.shard().clock.read();
            count_failed(&client, plan, &failed);
            let mut session = Session::ended(failed.end);
            session.retries = failed.retries;
            session.redispatched = failed.redispatched;
            let way = match &failed.server {
                Some(upstream) => Way::Server {
                    upstream,
                    counted: false,
                },
                None => Way::Backend(plan.backend),
            };
            return log(&client, way, &session);
        }
    };
    let connected_us = client.shard().clock.read();
    let (mut stream, server) = (dialled.stream, dialled.server);
    // The client's socket has it from its listener.
    stream.keep_urgent_inline();
    server.counters.sessions.add(1);
    let started_us = client.began_us;
    server.counters.times.connect.add(connected_us - started_us);
    let mut relayed =
        tunnel::relay(&mut client, &mut stream, &server, limits, First::default()).await;
    if relayed.end.cause == Cause::Killed {
        // HAProxy names no phase here, and counts nobody's fault.
        relayed.end.during = During::Nothing;
    }
    let total = client.shard().clock.read() - started_us;
    server.counters.times.total.add(total);
    server.counters.times.latency.add(total);
    server.counters.count_abort(relayed.end.aborted_by());
    let session = Session {
        relayed,
        connected_us: Some(connected_us),
        retries: dialled.retries,
        redispatched: dialled.redispatched,
    };
    let way = Way::Server {
        upstream: &server,
        counted: true,
    };
    log(&client, way, &session);
}

/// What the log needs to know.
struct Session {
    relayed: Relayed,
    connected_us: Option<u64>,
    retries: u32,
    redispatched: bool,
}

impl Session {
    /// One that reached no server.
    fn ended(end: SessionEnd) -> Self {
        Self {
            relayed: Relayed {
                end,
                bytes_in: 0,
                bytes_out: 0,
            },
            connected_us: None,
            retries: 0,
            redispatched: false,
        }
    }
}

fn log(client: &Client, way: Way<'_>, session: &Session) {
    if client.shard().log.wants().is_none() {
        return;
    }
    let since = |us: u64| us.saturating_sub(client.began_us) as i64;
    let shard = client.shard();
    let relayed = &session.relayed;
    let facts = Facts {
        kind: Kind::Tcp,
        tls: client.stream.is_secure(),
        reused: false,
        redispatched: session.redispatched,
        end: relayed.end.letters(),
        status: 0,
        retries: u16::try_from(session.retries).unwrap_or(u16::MAX),
        ip: client.peer.address.ip(),
        port: client.peer.address.port(),
        began_us: client.began_us,
        request: NEVER,
        queue: match way {
            Way::Server { .. } => 0,
            _ => NEVER,
        },
        connect: session.connected_us.map_or(NEVER, since),
        response: NEVER,
        total: since(shard.clock.now_us()),
        bytes_out: relayed.bytes_out,
        bytes_in: relayed.bytes_in,
        actconn: 0,
        feconn: 0,
        beconn: 0,
        srvconn: 0,
    };
    let asker = Asker {
        shard,
        frontend: &client.frontend,
        counters: &client.counters,
        peer: client.peer,
        is_secure: client.stream.is_secure(),
    };
    record::write(&asker, way, facts, b"");
}

fn assign(client: &mut Client) -> Option<(Plan, Limits, Option<Use>)> {
    let shard = Rc::clone(client.shard());
    shard.with_generation(|generation| {
        client.follow(generation);
        if client.frontend.state.is_gone() {
            return None;
        }
        let backend = generation
            .backends
            .get(client.frontend.config.default_backend?)?;
        let timeouts = client.frontend.config.timeouts;
        let limits = Limits {
            idle: backend.config.timeouts.tunnel.unwrap_or(timeouts.tunnel),
            half_closed: timeouts.half_closed,
        };
        let server = connect::assign(&shard, backend);
        Some((Plan::of(backend), limits, server))
    })
}

/// Nothing can be said in TCP mode: a reset tells the client that this was no orderly end.
fn no_server(client: &Client, plan: Plan, end: SessionEnd) {
    client.stream.reset_on_close();
    connect::backend_counters(client.shard(), plan.backend, |counters| {
        counters.sessions.add(1);
        counters.count_abort(end.aborted_by());
    });
}

/// The session was that of the server that was tried last.
fn count_failed(client: &Client, plan: Plan, failed: &NoConnection) {
    match &failed.server {
        None => no_server(client, plan, failed.end),
        Some(tried) => {
            client.stream.reset_on_close();
            tried.counters.sessions.add(1);
            tried.counters.count_abort(failed.end.aborted_by());
        }
    }
}
