//! TCP mode: one server per connection, bytes both ways.

use std::rc::Rc;

use super::Client;
use super::connect::{self, NO_SERVER, Plan};
use super::end::{Cause, SessionEnd};
use super::tunnel::{self, First, Limits};
use super::upstream::Use;
use crate::state::Counters;

/// Serves one client until either side is done.
pub(crate) async fn serve(mut client: Client) {
    client.slot.register_task().await;
    let started_us = client.shard().clock.now_us();
    let Some((plan, limits, server)) = assign(&mut client) else {
        return;
    };
    let Some(server) = server else {
        connect::backend_counters(client.shard(), plan.backend, |counters| {
            counters.connect_errors.add(1);
        });
        return no_server(&client, plan, NO_SERVER);
    };
    let dialled = match connect::establish(&client.slot, plan, server).await {
        Ok(dialled) => dialled,
        Err(end) => return no_server(&client, plan, end),
    };
    let connected_us = client.shard().clock.read();
    let (mut stream, server) = (dialled.stream, dialled.server);
    // The client's socket has it from its listener.
    stream.keep_urgent_inline();
    server.counters.sessions.add(1);
    server.counters.times.connect.add(connected_us - started_us);
    let end = tunnel::relay(&mut client, &mut stream, &server, limits, First::default()).await;
    server
        .counters
        .times
        .total
        .add(client.shard().clock.now_us() - started_us);
    count_end(&server.counters, end);
    tracing::trace!(
        frontend = &*client.frontend.config.name,
        backend = &*server.backend,
        server = &*server.name,
        end = std::str::from_utf8(&end.letters()).unwrap_or_default(),
        "session",
    );
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
        let server = connect::assign(&shard, backend, None);
        Some((Plan::of(backend), limits, server))
    })
}

/// Nothing can be said in TCP mode: a reset tells the client that this was no orderly end.
fn no_server(client: &Client, plan: Plan, end: SessionEnd) {
    client.stream.reset_on_close();
    connect::backend_counters(client.shard(), plan.backend, |counters| {
        counters.sessions.add(1);
        count_end(counters, end);
    });
}

fn count_end(counters: &Counters, end: SessionEnd) {
    match end.cause {
        Cause::Client | Cause::ClientTimeout => counters.client_aborts.add(1),
        Cause::Server | Cause::ServerTimeout => counters.server_aborts.add(1),
        _ => {}
    }
}
