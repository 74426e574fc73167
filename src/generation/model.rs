//! A generation and its parts.

use std::collections::HashMap;
use std::sync::Arc;

use crate::balance::Schedule;
use crate::config;
use crate::state::{
    BackendState, BindId, EndpointId, FrontendId, FrontendState, GenerationId, ServerId,
    ServerState,
};

/// Everything that is served, at one moment. Never mutated.
#[derive(Debug)]
pub(crate) struct Generation {
    /// Rises with each generation.
    pub(crate) id: GenerationId,
    /// In the order of the file.
    pub(crate) frontends: Box<[Arc<Frontend>]>,
    /// In the order of the file; frontends refer to them by index.
    pub(crate) backends: Box<[Arc<Backend>]>,
}

impl Generation {
    /// A frontend by identity. There are few: a scan beats a map.
    #[inline]
    pub(crate) fn frontend(&self, id: FrontendId) -> Option<&Arc<Frontend>> {
        self.frontends
            .iter()
            .find(|frontend| frontend.state.id == id)
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
    /// Identity of each of `config.binds`.
    pub(crate) bind_ids: Box<[BindId]>,
    /// Its listeners are closed; what came in goes on.
    pub(crate) paused: bool,
    /// Shared by its generations.
    pub(crate) state: Arc<FrontendState>,
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
    /// Server index by name.
    pub(super) by_name: HashMap<Arc<str>, u32>,
    /// Shared by its generations.
    pub(crate) state: Arc<BackendState>,
}

impl Backend {
    /// Servers that would be given work now, backups included.
    pub(crate) fn usable_count(&self) -> usize {
        let usable = |server: &&Arc<Server>| server.weight > 0 && server.state.is_usable();
        self.servers.iter().filter(usable).count()
    }

    /// A server by name.
    pub(crate) fn server(&self, name: &str) -> Option<&Arc<Server>> {
        self.by_name
            .get(name)
            .map(|index| &self.servers[*index as usize])
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
    /// Effective weight, 0-256.
    pub(crate) weight: u16,
    /// Weight as written.
    pub(crate) initial_weight: u16,
    /// Used only when no other server is usable.
    pub(crate) backup: bool,
    /// Health check of this server.
    pub(crate) check: Option<Arc<config::Check>>,
    /// Whether it is made; an operator may pause it.
    pub(crate) check_enabled: bool,
    /// Checks go here; differs from `address` when the file says so.
    pub(crate) check_address: config::ServerAddress,
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
