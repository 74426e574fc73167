//! A generation and its parts.

use std::collections::HashMap;
use std::sync::Arc;

use super::route::RouteIndex;
use super::{CookieValue, Cookies, Group, Groups};
use crate::balance::Schedule;
use crate::config;
use crate::state::{
    BackendState, BindId, EndpointId, FrontendId, FrontendState, GenerationId, ServerId,
    ServerState,
};
use crate::tls;

/// Everything that is served, at one moment. Never mutated.
#[derive(Debug)]
pub(crate) struct Generation {
    /// Rises with each generation.
    pub(crate) id: GenerationId,
    /// In the order of the file.
    pub(crate) frontends: Box<[Arc<Frontend>]>,
    /// In the order of the file; frontends refer to them by index.
    pub(crate) backends: Box<[Arc<Backend>]>,
    /// What was loaded for their TLS; all generations of a process share it.
    pub(crate) tls: Arc<tls::Registry>,
}

impl Generation {
    /// A frontend by identity. There are few: a scan beats a map.
    #[inline]
    pub(crate) fn frontend(&self, id: FrontendId) -> Option<&Arc<Frontend>> {
        self.frontends
            .iter()
            .find(|frontend| frontend.state.id == id)
    }

    /// Whether clients speak TLS on this bind, as it is written: also where its
    /// certificates could not be had, so that nobody is served in plain there.
    pub(crate) fn is_secure(&self, frontend: FrontendId, bind: BindId) -> bool {
        let bind = self.frontend(frontend).and_then(|f| f.bind(bind));
        bind.is_some_and(|bind| bind.tls)
    }

    /// A backend by name.
    pub(crate) fn backend(&self, name: &str) -> Option<&Arc<Backend>> {
        self.backends.iter().find(|backend| &*backend.name == name)
    }

    /// All servers, backend by backend.
    pub(crate) fn servers(&self) -> impl Iterator<Item = (&Arc<Backend>, &Arc<Server>)> {
        self.backends
            .iter()
            .flat_map(|backend| backend.servers.iter().map(move |server| (backend, server)))
    }
}

/// A place clients connect to.
#[derive(Debug)]
pub(crate) struct Frontend {
    /// Its settings; routes refer to [`Generation::backends`] by index.
    pub(crate) config: config::Frontend,
    /// Over `config.routes`, where they are many.
    pub(super) routes: Option<RouteIndex>,
    /// Identity of each of `config.binds`.
    pub(crate) bind_ids: Box<[BindId]>,
    /// Its listeners are closed; what came in goes on.
    pub(crate) paused: bool,
    /// Answers the handshakes on its binds with `tls`.
    pub(crate) tls: Option<Arc<tls::Acceptor>>,
    /// Shared by its generations.
    pub(crate) state: Arc<FrontendState>,
}

impl Frontend {
    /// A bind by identity.
    pub(crate) fn bind(&self, id: BindId) -> Option<&config::Bind> {
        let index = self.bind_ids.iter().position(|bind| *bind == id)?;
        self.config.binds.get(index)
    }
}

/// A set of servers.
#[derive(Debug)]
pub(crate) struct Backend {
    /// Unique among backends.
    pub(crate) name: Arc<str>,
    /// Its settings. `config.servers` is what was written; what runs is `servers`.
    pub(crate) config: Arc<config::Backend>,
    /// In order of the file, then of the sources.
    pub(crate) servers: Box<[Arc<Server>]>,
    /// Over `active`.
    pub(super) schedule: Schedule,
    /// Servers in the schedule, as indices into `servers`: usable when it was built, not backup.
    pub(super) active: Box<[u32]>,
    /// The groups its servers form. Then `schedule` and `active` are empty.
    pub(super) groups: Option<Box<Groups>>,
    /// What keeps clients at its servers; boxed: few backends have it.
    pub(super) cookies: Option<Box<Cookies>>,
    /// Whether any of its servers has a limit. Without one no request looks for places.
    pub(super) is_limited: bool,
    /// Server index by name.
    pub(super) by_name: HashMap<Arc<str>, u32>,
    /// Shared by its generations.
    pub(crate) state: Arc<BackendState>,
}

impl Backend {
    /// Not of the file: rlb's own answers, which no table lists.
    pub(crate) fn is_built_in(&self) -> bool {
        config::is_built_in(&self.name)
    }

    /// Servers that would be given work now, backups included.
    pub(crate) fn usable_count(&self) -> usize {
        let usable = |server: &&Arc<Server>| server.weight > 0 && server.state.is_usable();
        self.servers.iter().filter(usable).count()
    }

    /// Whether its servers have places to be taken: see [`Self::claim`].
    #[inline]
    pub(crate) fn is_limited(&self) -> bool {
        self.is_limited
    }

    /// A server by name.
    pub(crate) fn server(&self, name: &str) -> Option<&Arc<Server>> {
        self.by_name
            .get(name)
            .map(|index| &self.servers[*index as usize])
    }

    /// The groups its servers form, if it is told to make groups.
    pub(crate) fn groups(&self) -> Option<&Groups> {
        self.groups.as_deref()
    }

    /// Whether the server of this index is meant to get work: it has a weight,
    /// and its group has a share. Says nothing of its health.
    #[inline]
    pub(crate) fn is_weighted(&self, index: usize) -> bool {
        self.servers[index].weight > 0
            && (self.groups())
                .and_then(|groups| groups.of(index))
                .is_none_or(|group| group.share > 0)
    }

    /// The part of the work that each server gets now, 0 to 1. A backup's is 0,
    /// even while there is nobody else.
    pub(crate) fn parts(&self) -> Vec<f64> {
        let weight = |index: usize| {
            let server = &self.servers[index];
            let takes = !server.backup && server.state.is_usable() && self.is_weighted(index);
            if takes { f64::from(server.weight) } else { 0.0 }
        };
        let weights: Vec<f64> = (0..self.servers.len()).map(weight).collect();
        let part = |one: f64, all: f64| if all > 0.0 { one / all } else { 0.0 };
        let Some(groups) = &self.groups else {
            let total = weights.iter().sum();
            return weights.iter().map(|weight| part(*weight, total)).collect();
        };
        let sum = |group: &Group| {
            group
                .members
                .iter()
                .map(|i| weights[*i as usize])
                .sum::<f64>()
        };
        let alive = groups.iter().filter(|group| sum(group) > 0.0);
        let shares: f64 = alive.map(|group| f64::from(group.share)).sum();
        let mut parts = vec![0.0; weights.len()];
        for group in groups.iter() {
            let sum = sum(group);
            for index in &group.members {
                let index = *index as usize;
                parts[index] = part(weights[index], sum) * part(f64::from(group.share), shares);
            }
        }
        parts
    }

    /// The weight of a server among all of the backend, 0-256, at least 1 while
    /// it is not 0: its own, or what its group's share makes of it.
    pub(crate) fn shown_weight(&self, index: usize) -> u16 {
        let server = &self.servers[index];
        match &self.groups {
            Some(groups) => groups.weight_of(server, index),
            None => server.weight,
        }
    }
}

/// One server of a backend.
#[derive(Debug)]
pub(crate) struct Server {
    /// What identifies it in its backend: its name when written, the source's own id when discovered.
    pub(crate) key: Arc<str>,
    /// What people see.
    pub(crate) name: Arc<str>,
    /// Where it listens.
    pub(crate) address: config::ServerAddress,
    /// Names the address: a new address under the same identity is a new endpoint.
    pub(crate) endpoint: EndpointId,
    /// Handshakes with it; `None` = it is spoken to in plain. A change is another endpoint.
    pub(crate) tls: Option<Arc<tls::Origin>>,
    /// The PROXY header it is sent before all else; a change is another endpoint.
    pub(crate) proxy_protocol: Option<config::ProxyVersion>,
    /// Effective weight, 0-256.
    pub(crate) weight: u16,
    /// Weight as written.
    pub(crate) initial_weight: u16,
    /// Most requests (tcp: sessions) at once; 0 = no limit.
    pub(crate) maxconn: u32,
    /// What names it in its backend's cookie, unless another has the same.
    pub(crate) cookie: Option<CookieValue>,
    /// Its group, in a backend that makes groups.
    pub(crate) group: Option<Arc<str>>,
    /// Used only when no other server is usable.
    pub(crate) backup: bool,
    /// Health check of this server.
    pub(crate) check: Option<Arc<config::Check>>,
    /// Whether it is made; an operator may pause it.
    pub(crate) check_enabled: bool,
    /// It starts as unproven: its first check must pass before it serves beside others.
    pub(crate) starts_unproven: bool,
    /// Names what checks speak to: as `endpoint`, but for TLS that was switched at run time.
    pub(crate) check_endpoint: EndpointId,
    /// Handshakes of checks; differs from `tls` when that was switched at run time.
    pub(crate) check_tls: Option<Arc<tls::Origin>>,
    /// Checks go here; differs from `address` when the file says so.
    pub(crate) check_address: config::ServerAddress,
    /// The PROXY header its checks begin with.
    pub(crate) check_proxy_protocol: Option<config::ProxyVersion>,
    /// Shared by its generations.
    pub(crate) state: Arc<ServerState>,
}

impl Server {
    /// Who it is.
    #[inline]
    pub(crate) fn id(&self) -> ServerId {
        self.state.id
    }
}
