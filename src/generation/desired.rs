//! What control wants to be served: the file, the sources and the runtime
//! overrides, merged.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config;
use crate::state::{Admin, Operational};

/// The merged, desired state. Level-triggered: it says all, not what changed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Desired {
    /// What is written: the process and the backends are taken from it.
    pub(crate) config: Arc<config::Config>,
    /// Frontends; backends are referred to by their index in `config`.
    pub(crate) frontends: Vec<Entrance>,
    /// The servers of each of `config.backends`, in order.
    pub(crate) members: Vec<Vec<Member>>,
    /// Of each of them that makes groups, the share of each group.
    pub(crate) shares: Vec<Option<Arc<Shares>>>,
}

/// What each group is to get, by its name, in relation to the others. Who is
/// not listed gets what the configuration says for that.
pub(crate) type Shares = BTreeMap<Arc<str>, u32>;

/// One frontend as it is to be.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entrance {
    /// Its settings, `maxconn` the effective one.
    pub(crate) config: config::Frontend,
    /// Its listeners are closed; what came in goes on.
    pub(crate) paused: bool,
}

/// One server as it is to be.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Member {
    /// Identity in its backend.
    pub(crate) key: Arc<str>,
    /// Settings as written or discovered, addresses the effective ones.
    pub(crate) settings: config::Server,
    /// Effective weight, 0-256; in a group, among those of the group.
    pub(crate) weight: u16,
    /// Its group, in a backend that makes groups.
    pub(crate) group: Option<Arc<str>>,
    /// The operator's word on whether it is spoken to with TLS; `None` = as its settings say.
    /// Checks go by the settings alone, as in HAProxy.
    pub(crate) tls: Option<bool>,
    /// What the operator wants of it.
    pub(crate) admin: Admin,
    /// Whether the check it has, if any, is made.
    pub(crate) check_enabled: bool,
    /// The operator's word on the health of a server that is not checked.
    pub(crate) health: Option<Operational>,
    /// Where it comes from.
    pub(crate) origin: Origin,
    /// Its source says that it must not serve.
    pub(crate) refused: bool,
}

/// Where a server comes from, which decides how it starts and who checks it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A file: UP until a check says otherwise, as in HAProxy.
    Written,
    /// The admin socket: used only if nobody else can be until its first check passed.
    Added,
    /// A source: the same, and without a written check it gets a connect.
    Found,
}

impl Member {
    /// A written server without any override.
    pub(crate) fn written(settings: &config::Server) -> Self {
        Self {
            key: Arc::clone(&settings.name),
            weight: settings.weight,
            group: settings.group.clone(),
            tls: None,
            admin: if settings.disabled {
                Admin::Maint
            } else {
                Admin::Ready
            },
            check_enabled: true,
            health: None,
            origin: Origin::Written,
            refused: false,
            settings: settings.clone(),
        }
    }
}

impl Member {
    /// The check it has in this backend, made or not.
    pub(crate) fn check(&self, backend: &config::Backend) -> Option<config::Check> {
        match (&backend.check, self.origin) {
            _ if self.settings.check == Some(false) => None,
            (Some(check), _) => Some(check.clone()),
            (None, Origin::Found) if backend.check_discovered => Some(config::Check {
                probe: config::Probe::Tcp,
                ..config::Check::default()
            }),
            (None, _) => None,
        }
    }

    /// How it is spoken to with TLS in this backend; `None` = in plain.
    pub(crate) fn spoken_tls<'a>(
        &'a self,
        backend: &'a config::Backend,
    ) -> Option<&'a config::ServerTls> {
        let shared = backend.tls.as_ref();
        match self.tls {
            None => self.settings.tls.of(shared),
            Some(false) => None,
            Some(true) => self.settings.tls.of(shared).or(shared),
        }
    }

    /// The most it may have to do at once in this backend; 0 = no limit.
    pub(crate) fn maxconn(&self, backend: &config::Backend) -> u32 {
        self.settings.maxconn.unwrap_or(backend.server_maxconn)
    }

    /// Whether it has one.
    pub(crate) fn has_check(&self, backend: &config::Backend) -> bool {
        self.settings.check != Some(false)
            && (backend.check.is_some() || self.origin == Origin::Found && backend.check_discovered)
    }
}

impl Desired {
    /// What the file says, without sources or overrides.
    pub(crate) fn of_file(config: Arc<config::Config>) -> Self {
        let members = config
            .backends
            .iter()
            .map(|backend| backend.servers.iter().map(Member::written).collect())
            .collect();
        let written = |backend: &config::Backend| match &backend.groups.as_ref()?.weights {
            config::GroupWeights::Static(shares) => Some(Arc::clone(shares)),
            _ => Some(Arc::default()),
        };
        Self {
            frontends: Self::entrances(&config),
            shares: config.backends.iter().map(written).collect(),
            config,
            members,
        }
    }

    /// Nothing at all.
    pub(crate) fn nothing() -> Self {
        Self::of_file(Arc::default())
    }

    /// The frontends of a file, as written.
    pub(crate) fn entrances(config: &config::Config) -> Vec<Entrance> {
        let frontends = config.frontends.iter().cloned();
        frontends
            .map(|config| Entrance {
                config,
                paused: false,
            })
            .collect()
    }
}
