//! Where a request goes: frontend, route, backend and server.

use std::time::Duration;

use super::answer::{Answer, BODY_TOO_LARGE};
use super::connect::{self, Assigned, Plan};
use super::sticky::Sticky;
use super::upstream::Use;
use super::{Client, ClientId, Shard};
use crate::config::{
    HeaderMatch, Monitor, Protocol, ResponseLimits, RouteTo, ServerHttp2, ServerTimeouts,
};
use crate::generation::{Backend, Frontend, Generation, RequestFacts};
use crate::http::{Framing, RequestHead};
use crate::net::Stream;

/// What is needed of a backend, copied so that no generation is held.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target {
    /// How to connect.
    pub(crate) plan: Plan,
    /// Waits on the server's side.
    pub(crate) timeouts: ServerTimeouts,
    /// Sizes of what it may answer.
    pub(crate) limits: ResponseLimits,
    /// What it speaks.
    pub(crate) protocol: Protocol,
    /// Where that is HTTP/2.
    pub(crate) http2: ServerHttp2,
    /// Idle connections of the process.
    pub(crate) pool_max: usize,
    /// Of a 503.
    pub(crate) retry_after: Duration,
    /// What the client's cookie said, where it is kept at its server by one.
    pub(crate) sticky: Option<Sticky>,
}

impl Target {
    fn of(backend: &Backend) -> Self {
        Self {
            plan: Plan::of(backend),
            timeouts: backend.config.timeouts,
            limits: backend.config.limits,
            protocol: backend.config.protocol,
            http2: backend.config.http2,
            pool_max: backend.config.pool_max,
            retry_after: backend.config.retry_after,
            sticky: None,
        }
    }

    /// With what the client's cookie said, if the backend knows one.
    pub(crate) fn with_sticky(&self) -> Option<(&Self, Sticky)> {
        Some((self, self.sticky?))
    }

    /// Pools a connection that is at the end of an exchange.
    pub(crate) fn keep(&self, shard: &Shard, server: &Use, client: ClientId, stream: Stream) {
        // Each worker gets its share of the server's pool, at least one.
        let share = match self.pool_max {
            0 => 0,
            max => (max / shard.workers.max(1)).max(1),
        };
        let keep = self.timeouts.pool_idle;
        server.give(stream, client, shard.clock.now_ms(), keep, share);
    }
}

/// Requests that are whole but not for us.
fn refusal(client: &Client, head: &RequestHead<'_, '_>) -> Option<Answer> {
    let is_secure = client.stream.is_secure();
    if head.misdirected(is_secure) {
        let reason = match is_secure {
            false => "this listener does not serve https targets",
            true => "this listener serves https targets alone",
        };
        return Some(Answer::closing(421, reason));
    }
    if head.max_forwards == Some(0) {
        return Some(Answer::of(200, "Max-Forwards is 0"));
    }
    if let (Some(to), false) = (client.frontend.config.redirect_https, is_secure) {
        return Some(Answer::to_https(head, to));
    }
    match (head.framing, client.frontend.config.limits.body) {
        (Framing::Length(length), Some(limit)) if length > limit => {
            Some(Answer::closing(413, BODY_TOO_LARGE))
        }
        _ => None,
    }
}

/// Where a request goes.
pub(crate) enum Found {
    /// There, counted as in use; `None` = to a server of that backend that has a place,
    /// in the end: see [`super::queue`].
    Server(Target, Option<Use>),
    /// Nobody of that backend is usable.
    NoServer(Target),
    /// No route and no default.
    NoBackend,
    /// A route refuses it, with this status.
    Denied(u16),
    /// It is answered here.
    NotForUs(Answer),
    /// The frontend is asked how it is, and is well or not.
    Monitor(bool),
}

/// Frontend, route, backend and server out of one look at one generation. A cookie that
/// names the server is hidden in the head.
pub(crate) fn find_server(client: &mut Client, head: &mut RequestHead<'_, '_>) -> Found {
    let shard = std::rc::Rc::clone(client.shard());
    shard.with_generation(|generation| {
        client.follow(generation);
        if let Some(monitor) = &client.frontend.config.monitor
            && path(head.target) == monitor.path.as_bytes()
        {
            return Found::Monitor(is_well(&shard, generation, monitor));
        }
        // Before a server is picked: who is refused takes nobody's turn.
        if let Some(answer) = refusal(client, head) {
            return Found::NotForUs(answer);
        }
        let backend = match route(&client.frontend, head) {
            Some(RouteTo::Deny(status)) => return Found::Denied(status),
            // An index is only good for the generation it came from; a frontend that
            // left may refer to what is no more.
            Some(RouteTo::Backend(index)) if !client.frontend.state.is_gone() => {
                generation.backends.get(index).map(|found| (index, found))
            }
            _ => None,
        };
        let Some((index, backend)) = backend else {
            return Found::NoBackend;
        };
        let mut target = Target::of(backend);
        let mut own = None;
        if let (Some(cookies), Some(config)) = (backend.cookies(), &backend.config.cookie) {
            let (place, cookie) = ((index, &**backend), (cookies, config));
            let (sticky, server) = Sticky::read(place, cookie, head, shard.clock.wall_s());
            target.sticky = Some(sticky);
            target.plan.own = server.map(|server| server.id());
            own = server;
        }
        match connect::assign(&shard, backend, own) {
            Assigned::Server(server) => Found::Server(target, Some(server)),
            Assigned::Queue => Found::Server(target, None),
            Assigned::Nobody => Found::NoServer(target),
        }
    })
}

/// Of a target in origin-form; any other is nobody's monitor path.
fn path(target: &[u8]) -> &[u8] {
    target
        .split(|byte| *byte == b'?')
        .next()
        .unwrap_or_default()
}

/// Whether a frontend with this monitor should get traffic.
fn is_well(shard: &Shard, generation: &Generation, monitor: &Monitor) -> bool {
    // As for routes: an index is only good for the generation it came from.
    let has_enough = |(index, needed): &(usize, usize)| {
        let backend = generation.backends.get(*index);
        backend.is_some_and(|backend| backend.usable_count() >= *needed)
    };
    !shard.published.is_leaving() && monitor.fail_below.iter().all(has_enough)
}

fn route(frontend: &Frontend, head: &RequestHead<'_, '_>) -> Option<RouteTo> {
    frontend.route(&RequestFacts {
        method: head.method,
        host: head.host,
        target: head.target,
        has_field: |wanted: &HeaderMatch| {
            head.fields.iter().any(|field| {
                field.name.eq_ignore_ascii_case(wanted.name.as_bytes())
                    && wanted
                        .value
                        .as_ref()
                        .is_none_or(|value| field.value == value.as_bytes())
            })
        },
    })
}
