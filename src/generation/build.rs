//! The next generation, from the desired state and the one in force.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::handshakes::{Handshakes, is_same};
use super::route::RouteIndex;
use super::{
    Backend, CookieValue, Cookies, Desired, Entrance, Frontend, Generation, Groups, Member, Origin,
    Server, Shares,
};
use crate::balance::Schedule;
use crate::config::{self, ServerAddress};
use crate::state::{
    BackendState, BindId, EndpointId, FrontendState, GenerationId, Operational, ServerState,
};
use crate::tls;

/// What a new generation brought, for those who act on it.
#[derive(Debug, Default)]
pub(crate) struct Change {
    /// Servers that are new, or whose checks have a new endpoint: their health starts anew.
    pub(crate) started: Vec<Arc<Server>>,
    /// Servers that left, with their backend: they drain.
    pub(crate) left: Vec<(Arc<Backend>, Arc<Server>)>,
    /// Endpoints nobody uses any more: what is pooled to them is closed.
    pub(crate) closed_endpoints: Vec<EndpointId>,
    /// Frontends that left.
    pub(crate) left_frontends: Vec<Arc<Frontend>>,
}

/// Servers that drain, by backend name and key: one that is wanted again keeps its identity.
pub(crate) type Returning = HashMap<(Arc<str>, Arc<str>), Arc<Server>>;

impl Generation {
    /// The first generation of a process.
    pub(crate) fn first(desired: &Desired, workers: usize) -> (Self, Change) {
        let nothing = Self {
            id: GenerationId::next(),
            frontends: Box::default(),
            backends: Box::default(),
            tls: Arc::default(),
        };
        nothing.next(desired, workers)
    }

    /// The generation after this one. States are found again by identity:
    /// frontend name, backend name, server key. A backend whose settings,
    /// members and usable servers did not change is shared as it is.
    ///
    /// The states of servers that stay are only read: control sets their
    /// administrative state before it builds.
    pub(crate) fn next(&self, desired: &Desired, workers: usize) -> (Self, Change) {
        self.next_with(desired, workers, &Returning::new())
    }

    /// As [`Self::next`]; servers of `returning` that are wanted again are the same
    /// servers still.
    pub(crate) fn next_with(
        &self,
        desired: &Desired,
        workers: usize,
        returning: &Returning,
    ) -> (Self, Change) {
        let mut change = Change::default();
        let old: HashMap<&str, &Arc<Backend>> =
            self.backends.iter().map(|b| (&*b.name, b)).collect();
        let backends: Box<[_]> = desired
            .config
            .backends
            .iter()
            .zip(desired.members.iter().zip(&desired.shares))
            .map(|(config, (members, shares))| {
                let before = old
                    .get(&*config.name)
                    .filter(|b| b.config.mode == config.mode);
                next_backend(
                    &self.tls,
                    before.copied(),
                    config,
                    (members, shares.as_deref()),
                    returning,
                    workers,
                    &mut change,
                )
            })
            .collect();
        let kept: HashSet<_> = backends.iter().map(|b: &Arc<Backend>| b.state.id).collect();
        for gone in &self.backends {
            if !kept.contains(&gone.state.id) {
                let leaving = gone
                    .servers
                    .iter()
                    .map(|server| (Arc::clone(gone), Arc::clone(server)));
                change.left.extend(leaving);
            }
        }
        let frontends: Box<[_]> = desired
            .frontends
            .iter()
            .map(|wanted| self.next_frontend(wanted, workers))
            .collect();
        for gone in &self.frontends {
            if !frontends.iter().any(|f| f.state.id == gone.state.id) {
                change.left_frontends.push(Arc::clone(gone));
            }
        }
        (
            Self {
                id: GenerationId::next(),
                frontends,
                backends,
                tls: Arc::clone(&self.tls),
            },
            change,
        )
    }

    fn next_frontend(&self, wanted: &Entrance, workers: usize) -> Arc<Frontend> {
        let Entrance { config, paused } = wanted;
        // A frontend that changed its mode is another one: its sessions cannot go on.
        let before = self
            .frontends
            .iter()
            .find(|f| f.config.name == config.name && f.config.mode == config.mode);
        if let Some(before) = before.filter(|f| f.config == *config && f.paused == *paused) {
            return Arc::clone(before);
        }
        let bind_id = |bind: &config::Bind| {
            // Other options make another bind: its socket is opened beside the old one.
            let index = before?.config.binds.iter().position(|b| b == bind)?;
            Some(before?.bind_ids[index])
        };
        Arc::new(Frontend {
            routes: RouteIndex::new(&config.routes),
            bind_ids: config
                .binds
                .iter()
                .map(|b| bind_id(b).unwrap_or_else(BindId::next))
                .collect(),
            state: before.map_or_else(
                || Arc::new(FrontendState::new(workers)),
                |f| Arc::clone(&f.state),
            ),
            paused: *paused,
            tls: config.tls.as_ref().and_then(|tls| self.tls.acceptor(tls)),
            config: config.clone(),
        })
    }
}

fn next_backend(
    tls: &tls::Registry,
    before: Option<&Arc<Backend>>,
    config: &config::Backend,
    (members, shares): (&[Member], Option<&Shares>),
    returning: &Returning,
    workers: usize,
    change: &mut Change,
) -> Arc<Backend> {
    let old: HashMap<&str, &Arc<Server>> = before
        .iter()
        .flat_map(|b| b.servers.iter())
        .map(|s| (&*s.key, s))
        .collect();
    let config = match before {
        Some(before) if *before.config == *config => Arc::clone(&before.config),
        _ => Arc::new(config.clone()),
    };
    let mut checks = Vec::new();
    let servers: Box<[_]> = members
        .iter()
        .map(|member| {
            let before = old.get(&*member.key).copied();
            let back = || returning.get(&(Arc::clone(&config.name), Arc::clone(&member.key)));
            next_server(
                before.or_else(back),
                (member, &config),
                Handshakes::of(tls, before.or_else(back), member, &config),
                shared(member.check(&config), &mut checks),
                workers,
                change,
            )
        })
        .collect();
    if let Some(before) = before {
        let kept: HashMap<_, _> = servers
            .iter()
            .map(|s: &Arc<Server>| (s.id(), s.endpoint))
            .collect();
        for server in &before.servers {
            match kept.get(&server.id()) {
                None => change.left.push((Arc::clone(before), Arc::clone(server))),
                Some(endpoint) if *endpoint != server.endpoint => {
                    change.closed_endpoints.push(server.endpoint);
                }
                Some(_) => {}
            }
        }
    }
    let fresh = assemble(config, servers, shares, before, workers);
    match before {
        Some(before) if same(before, &fresh) => Arc::clone(before),
        _ => Arc::new(fresh),
    }
}

fn assemble(
    config: Arc<config::Backend>,
    servers: Box<[Arc<Server>]>,
    shares: Option<&Shares>,
    before: Option<&Arc<Backend>>,
    workers: usize,
) -> Backend {
    pardon(config.panic, &servers);
    let groups = config.groups.as_ref().map(|groups| {
        let nobody = Shares::new();
        let before = before.map(|before| &**before);
        Box::new(Groups::new(
            groups,
            shares.unwrap_or(&nobody),
            &servers,
            before,
        ))
    });
    let wanted = |server: &Server| {
        groups.is_none() && !server.backup && server.weight > 0 && server.state.is_usable()
    };
    let matching = servers
        .iter()
        .enumerate()
        .filter(|(_, server)| wanted(server));
    let active: Box<[u32]> = matching.map(|(index, _)| index as u32).collect();
    let weights: Vec<u32> = active
        .iter()
        .map(|i| u32::from(servers[*i as usize].weight))
        .collect();
    let by_name = servers
        .iter()
        .enumerate()
        .map(|(i, s)| (Arc::clone(&s.name), i as u32))
        .collect();
    let unchanged = before.filter(|b| {
        b.active.len() == active.len()
            && b.active
                .iter()
                .zip(&weights)
                .all(|(i, w)| u32::from(b.servers[*i as usize].weight) == *w)
    });
    Backend {
        name: Arc::clone(&config.name),
        schedule: unchanged.map_or_else(|| Schedule::new(&weights), |b| b.schedule.clone()),
        active,
        groups,
        cookies: (config.cookie.as_ref()).map(|cookie| Box::new(Cookies::new(cookie, &servers))),
        is_limited: servers.iter().any(|server| server.maxconn > 0),
        by_name,
        state: before.map_or_else(
            || Arc::new(BackendState::new(workers)),
            |b| Arc::clone(&b.state),
        ),
        config,
        servers,
    }
}

/// One `Arc` for servers that are checked alike.
fn shared(
    check: Option<config::Check>,
    known: &mut Vec<Arc<config::Check>>,
) -> Option<Arc<config::Check>> {
    let check = check?;
    if let Some(same) = known.iter().find(|known| ***known == check) {
        return Some(Arc::clone(same));
    }
    let check = Arc::new(check);
    known.push(Arc::clone(&check));
    Some(check)
}

/// Too few that pass their own check would drown under the load of all: below
/// the share of `panic` (percent) each that its source and the operator want
/// serves, whatever our checks say.
fn pardon(panic: u8, servers: &[Arc<Server>]) {
    let active = |server: &&Arc<Server>| !server.backup && server.weight > 0;
    let wanted = servers
        .iter()
        .filter(active)
        .filter(|s| s.state.is_wanted());
    let (mut all, mut passing) = (0, 0);
    for server in wanted {
        all += 1;
        passing += usize::from(server.state.passes());
    }
    let panics = passing * 100 < all * usize::from(panic);
    for server in servers {
        server.state.set_pardoned(panics && active(&server));
    }
}

fn same(before: &Backend, fresh: &Backend) -> bool {
    Arc::ptr_eq(&before.config, &fresh.config)
        && before.active == fresh.active
        && match (&before.groups, &fresh.groups) {
            (Some(before), Some(fresh)) => before.same(fresh),
            (before, fresh) => before.is_none() && fresh.is_none(),
        }
        && before.servers.len() == fresh.servers.len()
        && before
            .servers
            .iter()
            .zip(&fresh.servers)
            .all(|(a, b)| Arc::ptr_eq(a, b))
}

fn next_server(
    before: Option<&Arc<Server>>,
    (member, backend): (&Member, &config::Backend),
    handshakes: Handshakes,
    check: Option<Arc<config::Check>>,
    workers: usize,
    change: &mut Change,
) -> Arc<Server> {
    let settings = &member.settings;
    let maxconn = member.maxconn(backend);
    let proxy_protocol = settings.proxy_protocol.of(backend.proxy_protocol);
    let starts_unproven = member.origin != Origin::Written && check.is_some();
    let fresh = |state: Arc<ServerState>, endpoint, check_endpoint| Server {
        key: Arc::clone(&member.key),
        name: Arc::clone(&settings.name),
        address: settings.address.clone(),
        endpoint,
        tls: handshakes.traffic.clone(),
        proxy_protocol,
        weight: member.weight,
        maxconn,
        cookie: CookieValue::of(settings, backend.cookie.as_ref(), before),
        group: member.group.clone(),
        initial_weight: settings.weight,
        backup: settings.backup,
        check: match (&check, before.and_then(|b| b.check.as_ref())) {
            (Some(check), Some(old)) if old == check => Some(Arc::clone(old)),
            (check, _) => check.clone(),
        },
        check_enabled: member.check_enabled,
        starts_unproven,
        check_endpoint,
        check_tls: handshakes.checks.clone(),
        check_address: check_address(settings),
        check_proxy_protocol: check_proxy_protocol(settings, check.as_deref(), proxy_protocol),
        state,
    };
    let Some(before) = before else {
        let state = ServerState::new(workers);
        // Before the schedule is built: a server that starts in maintenance gets no slot.
        state.set_admin(member.admin, 0);
        state.set_operational(member.health.unwrap_or(Operational::Up), 0);
        state.set_refused(member.refused);
        state.slots.set_limit(maxconn);
        state.set_unproven(starts_unproven && member.check_enabled);
        let endpoint = EndpointId::next();
        let server = Arc::new(fresh(Arc::new(state), endpoint, endpoint));
        change.started.push(Arc::clone(&server));
        return server;
    };
    let is_elsewhere =
        before.address != settings.address || before.proxy_protocol != proxy_protocol;
    let moved = is_elsewhere || !is_same(&before.tls, &handshakes.traffic);
    let is_checked_anew = is_elsewhere || !is_same(&before.check_tls, &handshakes.checks);
    let next = |changed, id| if changed { EndpointId::next() } else { id };
    let server = fresh(
        Arc::clone(&before.state),
        next(moved, before.endpoint),
        next(is_checked_anew, before.check_endpoint),
    );
    if !moved && !is_checked_anew && unchanged(before, &server) {
        return Arc::clone(before);
    }
    let server = Arc::new(server);
    if is_checked_anew {
        change.started.push(Arc::clone(&server));
    }
    server
}

fn unchanged(a: &Server, b: &Server) -> bool {
    a.name == b.name
        && a.group == b.group
        && a.cookie == b.cookie
        && a.weight == b.weight
        && a.maxconn == b.maxconn
        && a.initial_weight == b.initial_weight
        && a.backup == b.backup
        && a.check == b.check
        && a.check_enabled == b.check_enabled
        && a.starts_unproven == b.starts_unproven
        && a.check_address == b.check_address
        && a.check_proxy_protocol == b.check_proxy_protocol
}

/// As HAProxy has it: checks begin as traffic does, but what answers on an address of
/// their own is another program, which may not expect a header.
fn check_proxy_protocol(
    settings: &config::Server,
    check: Option<&config::Check>,
    traffic: Option<config::ProxyVersion>,
) -> Option<config::ProxyVersion> {
    let is_elsewhere = settings.check_port.is_some() || settings.check_address.is_some();
    let inherited = traffic.filter(|_| !is_elsewhere);
    check?.proxy_protocol.of(inherited)
}

fn check_address(settings: &config::Server) -> ServerAddress {
    match &settings.address {
        ServerAddress::Ip(address) => {
            let ip = settings.check_address.unwrap_or_else(|| address.ip());
            ServerAddress::Ip((ip, settings.check_port.unwrap_or_else(|| address.port())).into())
        }
        other => other.clone(),
    }
}
