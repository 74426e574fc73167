//! What was set at run time: a layer above files and sources. Pure data.
//!
//! Keyed by backend and server *key* (the identity), not by name: a restarted
//! container is still in maintenance, another one of its name is not. What is
//! set back to what is written is no override any more.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::spec::Spec;
use crate::config;
use crate::state::{Admin, Operational};

/// All overrides of the process.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Overrides {
    /// By backend, then by server key.
    #[serde(default)]
    pub(crate) servers: BTreeMap<String, BTreeMap<String, ServerOverride>>,
    /// By frontend.
    #[serde(default)]
    pub(crate) frontends: BTreeMap<String, FrontendOverride>,
}

/// A value, when it was set and by which words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Set<T> {
    /// It.
    pub(crate) value: T,
    /// Unix time, seconds.
    pub(crate) at: u64,
    /// The command.
    pub(crate) by: String,
}

/// When and by which words something is set now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Unix time, seconds.
    pub(crate) at: u64,
    /// The command.
    pub(crate) by: String,
}

/// What was set on one server.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ServerOverride {
    /// 0-256.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) weight: Option<Set<u16>>,
    /// Most requests at once; 0 = no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) maxconn: Option<Set<u32>>,
    /// Ready, drain, maintenance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) admin: Option<Set<Admin>>,
    /// Where it listens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) address: Option<Set<SocketAddr>>,
    /// Where checks go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) check_address: Option<Set<IpAddr>>,
    /// Where checks go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) check_port: Option<Set<u16>>,
    /// Whether it is spoken to with TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tls: Option<Set<bool>>,
    /// Of a server that is not checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) health: Option<Set<Operational>>,
    /// Whether its check is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) check_enabled: Option<Set<bool>>,
    /// It exists by a command; its settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) added: Option<Set<Spec>>,
    /// What is written or discovered under this key stays away, until it has
    /// left file or source once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) deleted: Option<Set<()>>,
    /// Since when nothing of this key is written, discovered or added; Unix time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) absent_since: Option<u64>,
}

/// What was set on one frontend.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct FrontendOverride {
    /// Its listeners are closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) paused: Option<Set<()>>,
    /// It is gone, until it has left the file once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) shut: Option<Set<()>>,
    /// Most connections; `None` = only the limit of the process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) maxconn: Option<Set<Option<usize>>>,
    /// Since when no such frontend is written; Unix time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) absent_since: Option<u64>,
}

impl Overrides {
    /// What was set on a server.
    pub(crate) fn server(&self, backend: &str, key: &str) -> Option<&ServerOverride> {
        self.servers.get(backend)?.get(key)
    }

    /// The same, to be written to; [`Self::forget_empty`] afterwards.
    pub(crate) fn server_mut(&mut self, backend: &str, key: &str) -> &mut ServerOverride {
        let servers = self.servers.entry(backend.to_owned()).or_default();
        servers.entry(key.to_owned()).or_default()
    }

    /// The servers that exist by a command.
    pub(crate) fn added(&self) -> impl Iterator<Item = &config::Server> {
        let servers = self.servers.values().flat_map(BTreeMap::values);
        servers.filter_map(|server| Some(&server.added.as_ref()?.value.0))
    }

    /// What was set on a frontend.
    pub(crate) fn frontend(&self, name: &str) -> Option<&FrontendOverride> {
        self.frontends.get(name)
    }

    /// The same, to be written to; [`Self::forget_empty`] afterwards.
    pub(crate) fn frontend_mut(&mut self, name: &str) -> &mut FrontendOverride {
        self.frontends.entry(name.to_owned()).or_default()
    }

    /// Drops what overrides nothing.
    pub(crate) fn forget_empty(&mut self) {
        for servers in self.servers.values_mut() {
            servers.retain(|_, server| !server.is_empty());
        }
        self.servers.retain(|_, servers| !servers.is_empty());
        self.frontends.retain(|_, frontend| !frontend.is_empty());
    }

    /// Servers and frontends that have an override.
    pub(crate) fn len(&self) -> usize {
        self.servers.values().map(BTreeMap::len).sum::<usize>() + self.frontends.len()
    }

    /// Whether something is set on what is not there now: it is dropped in time.
    pub(crate) fn wait_for_somebody(&self) -> bool {
        let mut servers = self.servers.values().flat_map(BTreeMap::values);
        servers.any(|server| server.absent_since.is_some())
            || self.frontends.values().any(|f| f.absent_since.is_some())
    }
}

impl<T: PartialEq> Set<T> {
    /// Puts `value` into `slot`, or nothing if it is what is written anyway. A
    /// value that is set already keeps the time and words of the first.
    pub(crate) fn put(slot: &mut Option<Self>, value: T, written: &T, stamp: &Stamp) {
        if value == *written {
            *slot = None;
        } else if slot.as_ref().is_none_or(|set| set.value != value) {
            *slot = Some(Self::new(value, stamp));
        }
    }

    /// A value set now.
    pub(crate) fn new(value: T, stamp: &Stamp) -> Self {
        Self {
            value,
            at: stamp.at,
            by: stamp.by.clone(),
        }
    }
}

impl ServerOverride {
    fn is_empty(&self) -> bool {
        // Named one by one: a field added later must be thought of here.
        let Self {
            weight,
            maxconn,
            admin,
            address,
            check_address,
            check_port,
            tls,
            health,
            check_enabled,
            added,
            deleted,
            absent_since: _,
        } = self;
        weight.is_none()
            && maxconn.is_none()
            && admin.is_none()
            && address.is_none()
            && check_address.is_none()
            && check_port.is_none()
            && tls.is_none()
            && health.is_none()
            && check_enabled.is_none()
            && added.is_none()
            && deleted.is_none()
    }
}

impl FrontendOverride {
    fn is_empty(&self) -> bool {
        self.paused.is_none() && self.shut.is_none() && self.maxconn.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(at: u64) -> Stamp {
        Stamp {
            at,
            by: format!("at {at}"),
        }
    }

    #[test]
    fn value_that_is_written_is_no_override() {
        let mut slot = None;
        Set::put(&mut slot, 5, &10, &stamp(1));
        Set::put(&mut slot, 5, &10, &stamp(2));
        assert_eq!(slot.as_ref().map(|set| set.at), Some(1), "set already");
        Set::put(&mut slot, 6, &10, &stamp(3));
        assert_eq!(slot.as_ref().map(|set| set.at), Some(3));
        Set::put(&mut slot, 10, &10, &stamp(4));
        assert_eq!(slot, None);
    }

    #[test]
    fn what_overrides_nothing_is_forgotten() {
        let mut overrides = Overrides::default();
        overrides.server_mut("web", "s1").absent_since = Some(1);
        overrides.frontend_mut("www").absent_since = Some(1);
        assert_eq!(overrides.len(), 2);
        overrides.forget_empty();
        assert_eq!(overrides, Overrides::default());
    }

    #[test]
    fn all_of_it_survives_the_disk() {
        let mut overrides = Overrides::default();
        let server = overrides.server_mut("web", "docker/3f");
        server.weight = Some(Set::new(0, &stamp(1)));
        server.maxconn = Some(Set::new(7, &stamp(1)));
        server.admin = Some(Set::new(Admin::Drain, &stamp(2)));
        server.address = Some(Set::new(([10, 0, 0, 1], 80).into(), &stamp(3)));
        server.tls = Some(Set::new(false, &stamp(3)));
        server.health = Some(Set::new(Operational::Stopping, &stamp(4)));
        server.deleted = Some(Set::new((), &stamp(5)));
        let frontend = overrides.frontend_mut("www");
        frontend.maxconn = Some(Set::new(None, &stamp(6)));
        frontend.paused = Some(Set::new((), &stamp(7)));
        let text = serde_json::to_string(&overrides).unwrap();
        assert_eq!(serde_json::from_str::<Overrides>(&text).unwrap(), overrides);
    }
}
