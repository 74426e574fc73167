//! TCP mode: one server per connection, bytes both ways. A frontend that passes TLS
//! through by what its clients ask for waits for the ClientHello first; any other has
//! picked a server before it reads a byte.

use std::rc::Rc;

use super::Client;
use super::account::Asker;
use super::connect::{self, Assigned, Dialled, NO_SERVER, NoConnection, Plan};
use super::end::{Cause, During, SessionEnd};
use super::hello;
use super::queue::{self, Waited};
use super::record::{self, Way};
use super::tunnel::{self, First, Limits, Relayed};
use super::upstream::Use;
use crate::generation::Pass;
use crate::log::{Facts, Kind, NEVER};
use crate::tls::{ClientHello, Scan};

/// Serves one client until either side is done.
pub(crate) async fn serve(mut client: Client) {
    client.slot.register_task().await;
    let mut opening = Opening::of(&client);
    let mut scan = None;
    if !client.frontend.config.passed.is_empty() {
        let heard = hello::hear(&mut client).await;
        opening.heard_us = client.shard().clock.read();
        match heard {
            Ok(heard) => scan = heard,
            Err(end) => return log(&client, Way::Nowhere, &Session::ended(end), &opening),
        }
    }
    let found = match assign(&mut client, scan, &mut opening) {
        Ok(found) => found,
        Err(end) => {
            client.stream.reset_on_close();
            return log(&client, Way::Nowhere, &Session::ended(end), &opening);
        }
    };
    let Destination { plan, limits, .. } = found;
    let (server, mut waited) = place(&client, plan, found.server).await;
    let server = match server {
        Ok(server) => server,
        Err(end) => {
            no_server(&client, plan, end);
            let mut session = Session::ended(end);
            session.waited = waited;
            return log(
                &client,
                Way::Backend(plan.backend, None),
                &session,
                &opening,
            );
        }
    };
    let dialled = match dial(&client, plan, server).await {
        Ok(dialled) => dialled,
        Err(failed) => {
            client.shard().clock.read();
            count_failed(&client, plan, &failed);
            let mut session = Session::ended(failed.end);
            session.retries = failed.retries;
            session.redispatched = failed.redispatched;
            waited.add(failed.waited);
            session.waited = waited;
            let way = match &failed.server {
                Some(upstream) => Way::Server {
                    upstream,
                    counted: false,
                },
                None => Way::Backend(plan.backend, None),
            };
            return log(&client, way, &session, &opening);
        }
    };
    let connected_us = client.shard().clock.read();
    let (mut stream, server) = (dialled.stream, dialled.server);
    // The client's socket has it from its listener.
    stream.keep_urgent_inline();
    server.counters.sessions.add(1);
    let started_us = client.began_us;
    waited.add(dialled.waited);
    let connect_us = connected_us - opening.heard_us - waited.us;
    server.counters.times.connect.add(connect_us);
    if server.is_limited() {
        server.counters.times.queue.add(waited.us);
    }
    let first = First {
        client: client.ahead.take(),
        server: None,
    };
    let mut relayed = tunnel::relay(&mut client, &mut stream, &server, limits, first).await;
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
        waited,
    };
    let way = Way::Server {
        upstream: &server,
        counted: true,
    };
    log(&client, way, &session, &opening);
}

/// A server with a place for it, and the wait for that.
async fn place(
    client: &Client,
    plan: Plan,
    assigned: Assigned,
) -> (Result<Use, SessionEnd>, Waited) {
    match assigned {
        Assigned::Server(server) => (Ok(server), Waited::default()),
        Assigned::Queue => {
            let mut left = client.leaving(owed(client));
            // Boxed: waiting is rare, and would widen every session.
            Box::pin(queue::wait(&client.slot, (plan.backend, None), &mut left)).await
        }
        Assigned::Nobody => {
            connect::backend_counters(client.shard(), plan.backend, |counters| {
                counters.connect_errors.add(1);
            });
            (Err(NO_SERVER), Waited::default())
        }
    }
}

async fn dial(client: &Client, plan: Plan, server: Use) -> Result<Dialled, NoConnection> {
    let (ends, mut left) = (|| client.ends(), client.leaving(owed(client)));
    connect::establish(&client.slot, plan, server, &ends, &mut left).await
}

/// Who says nothing and ends wanted nothing, as to HAProxy; a FIN behind bytes is passed on.
fn owed(client: &Client) -> u64 {
    u64::from(client.ahead.is_none())
}

/// What the log needs to know.
struct Session {
    relayed: Relayed,
    connected_us: Option<u64>,
    retries: u32,
    redispatched: bool,
    waited: Waited,
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
            waited: Waited::default(),
        }
    }
}

fn log(client: &Client, way: Way<'_>, session: &Session, opening: &Opening) {
    if client.shard().log.wants().is_none() {
        return;
    }
    let relayed = &session.relayed;
    let assigned_us = opening.heard_us + session.waited.us;
    let facts = Facts {
        redispatched: session.redispatched,
        retries: u16::try_from(session.retries).unwrap_or(u16::MAX),
        queue: match (way, session.waited.us) {
            (Way::Server { .. }, _) | (_, 1..) => {
                assigned_us.saturating_sub(client.began_us) as i64
            }
            _ => NEVER,
        },
        connect: session
            .connected_us
            .map_or(NEVER, |us| us.saturating_sub(assigned_us) as i64),
        bytes_out: relayed.bytes_out,
        bytes_in: relayed.bytes_in,
        queued: session.waited.position,
        ..record::of_session(client, Kind::Tcp, relayed.end)
    };
    record::write(&Asker::of(client), way, facts, &opening.sni);
}

/// What came before a backend was picked.
struct Opening {
    /// The name it asked for, if that is logged: it stands where a request has its line.
    sni: Box<[u8]>,
    /// When it was known: the accept, where nothing is waited for.
    heard_us: u64,
}

impl Opening {
    fn of(client: &Client) -> Self {
        Self {
            sni: Box::default(),
            heard_us: client.began_us,
        }
    }
}

/// Where a connection goes.
struct Destination {
    plan: Plan,
    limits: Limits,
    server: Assigned,
}

/// # Errors
/// How it ends: there is no way for it, or none is open to it.
fn assign(
    client: &mut Client,
    scan: Option<Scan>,
    opening: &mut Opening,
) -> Result<Destination, SessionEnd> {
    let Some(scan) = scan else {
        return find(client, None);
    };
    let ahead = client.ahead.take().ok_or(NO_SERVER)?;
    let message = scan.message(ahead.bytes());
    let hello = ClientHello::parse(&message).ok();
    let assigned = find(client, hello.as_ref());
    if client.shard().log.wants().is_some() {
        let name = hello.and_then(|hello| hello.server_name());
        opening.sni = name
            .map(<[u8]>::to_ascii_lowercase)
            .unwrap_or_default()
            .into();
    }
    drop(message);
    client.ahead = Some(ahead);
    assigned
}

fn find(client: &mut Client, hello: Option<&ClientHello<'_>>) -> Result<Destination, SessionEnd> {
    let shard = Rc::clone(client.shard());
    shard.with_generation(|generation| {
        client.follow(generation);
        if client.frontend.state.is_gone() {
            return Err(NO_SERVER);
        }
        let backend = match client.frontend.pass(hello) {
            Pass::Backend(index) => generation.backends.get(index).ok_or(NO_SERVER)?,
            Pass::Denied => {
                client.counters.denied.add(1);
                return Err(SessionEnd::new(Cause::Proxy, During::Request));
            }
            Pass::Nowhere => return Err(NO_SERVER),
        };
        let timeouts = client.frontend.config.timeouts;
        let limits = Limits {
            idle: backend.config.timeouts.tunnel.unwrap_or(timeouts.tunnel),
            half_closed: timeouts.half_closed,
        };
        let server = connect::assign(&shard, backend, None);
        Ok(Destination {
            plan: Plan::of(backend),
            limits,
            server,
        })
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
