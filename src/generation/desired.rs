//! What control wants to be served: the file, the sources and the runtime
//! overrides, merged.

use std::sync::Arc;

use crate::config;
use crate::state::Admin;

/// The merged, desired state. Level-triggered: it says all, not what changed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Desired {
    /// Frontends, routes and the settings of backends.
    pub(crate) config: Arc<config::Config>,
    /// The servers of each of `config.backends`, in order.
    pub(crate) members: Vec<Vec<Member>>,
}

/// One server as it is to be.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Member {
    /// Identity in its backend.
    pub(crate) key: Arc<str>,
    /// Settings as written or discovered.
    pub(crate) settings: config::Server,
    /// Effective weight, 0-256.
    pub(crate) weight: u16,
    /// What the operator wants of it.
    pub(crate) admin: Admin,
}

impl Member {
    /// A written server without any override.
    pub(crate) fn written(settings: &config::Server) -> Self {
        Self {
            key: Arc::clone(&settings.name),
            weight: settings.weight,
            admin: if settings.disabled {
                Admin::Maint
            } else {
                Admin::Ready
            },
            settings: settings.clone(),
        }
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
        Self { config, members }
    }
}
