//! A generation and its parts.

use std::collections::HashMap;
use std::sync::Arc;

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

    /// What answers handshakes on this bind; `None` = clients speak in plain there.
    pub(crate) fn acceptor(
        &self,
        frontend: FrontendId,
        bind: BindId,
    ) -> Option<&Arc<tls::Acceptor>> {
        let frontend = self.frontend(frontend)?;
        let index = frontend.bind_ids.iter().position(|id| *id == bind)?;
        let is_secure = frontend.config.binds.get(index)?.tls;
        frontend.tls.as_ref().filter(|_| is_secure)
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
    /// Handshakes with it; `None` = it is spoken to in plain. A change is another endpoint.
    pub(crate) tls: Option<Arc<tls::Origin>>,
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
    /// It starts as unproven: its first check must pass before it serves beside others.
    pub(crate) starts_unproven: bool,
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
