//! File, sources and overrides, merged into what is to be served. Pure: no I/O,
//! no clock.
//!
//! [`Inputs::settle`] first lets time and files act on the overrides (what is
//! adopted by the file, what has left, what was absent too long); then
//! [`merge`] reads all three. The rules are those of the override table in the
//! design, each with its test.

use std::collections::HashSet;
use std::sync::Arc;

mod gather;

use self::gather::gather;
use super::difference::{Difference, Object, Words, ago};
use super::overrides::{FrontendOverride, Overrides, ServerOverride};
use super::sites::{Conflict, Sites};
use super::sources::{Found, SourceId, Sources};
use super::weights::{Weights, WeightsId};
use crate::config::{self, Config, ServerAddress};
use crate::generation::{Desired, Entrance, Member, Shares};
use crate::state::Admin;

/// All that decides what is served.
#[derive(Debug, Clone, Default)]
pub(crate) struct Inputs {
    /// The last good file.
    pub(crate) config: Arc<Config>,
    /// The last good answers of the sources.
    pub(crate) sources: Sources,
    /// The last good shares of groups.
    pub(crate) weights: Weights,
    /// What was set at run time.
    pub(crate) overrides: Overrides,
    /// What members of the sources announce.
    pub(crate) sites: Sites,
}

/// What was read and is good.
#[derive(Debug, Default)]
pub(crate) struct Looked {
    /// Answers of sources.
    pub(crate) sources: Vec<(SourceId, Vec<Found>)>,
    /// Shares of groups.
    pub(crate) weights: Vec<(WeightsId, Shares)>,
}

/// What came of a merge.
#[derive(Debug)]
pub(crate) struct Merged {
    /// What is to be served.
    pub(crate) desired: Desired,
    /// Where that is not what is written.
    pub(crate) differences: Vec<Difference>,
    /// Servers that could not be taken as they are, one sentence each.
    pub(crate) warnings: Vec<String>,
    /// Members that announced what others have.
    pub(crate) conflicts: Vec<Conflict>,
}

/// Overrides of what is not there are kept this long: a restarted container is
/// still in maintenance.
const ABSENT_MAX: u64 = 3600;

impl Inputs {
    /// Takes what was read; whether any of it is new.
    pub(crate) fn take(&mut self, looked: Looked) -> bool {
        let mut is_new = false;
        for (id, members) in looked.sources {
            is_new |= self.sources.set(id, members);
        }
        for (id, shares) in looked.weights {
            is_new |= self.weights.set(id, shares);
        }
        is_new
    }

    /// Forgets the answers of what this configuration does not name any more.
    pub(crate) fn forget_unnamed(&mut self) {
        self.sources.keep_named_in(&self.config);
        self.weights.keep_named_in(&self.config);
    }

    /// Lets the file and the time `now` (Unix, seconds) act on the overrides;
    /// what is worth a line in the log.
    pub(crate) fn settle(&mut self, now: u64) -> Vec<String> {
        let mut notices = Vec::new();
        let config = self.sites.extend(&self.config).config;
        let Self {
            sources, overrides, ..
        } = self;
        for (name, servers) in &mut overrides.servers {
            let backend = config.backends.iter().find(|b| *b.name == **name);
            let present: HashSet<&str> = match backend {
                Some(backend) => keys(backend, sources).collect(),
                None => HashSet::new(),
            };
            for (key, server) in servers {
                let at = format!("{name}/{key}");
                let present = present.contains(&**key);
                let notice = settle_server(server, backend.is_some(), present, now);
                notices.extend(notice.map(|notice| format!("{at}: {notice}")));
            }
        }
        for (name, frontend) in &mut overrides.frontends {
            let present = config.frontends.iter().any(|f| *f.name == **name);
            if !present {
                // Gone once: what comes back under its name is not shut.
                frontend.shut = None;
            }
            if !is_there(&mut frontend.absent_since, present, now) {
                *frontend = FrontendOverride::default();
            }
        }
        overrides.forget_empty();
        notices
    }

    /// [`merge`] of these.
    pub(crate) fn merge(&self) -> Merged {
        let extended = self.sites.extend(&self.config);
        let mut merged = merge(
            &extended.config,
            &self.sources,
            &self.weights,
            &self.overrides,
        );
        for Conflict { who, why, .. } in &extended.conflicts {
            merged.warnings.push(format!("{who}: {why}"));
        }
        merged.conflicts = extended.conflicts;
        merged
    }

    /// A server's settings without what was set on it.
    pub(crate) fn written(&self, backend: &str, key: &str) -> Option<config::Server> {
        let config = self.sites.extend(&self.config).config;
        let config = config.backends.iter().find(|b| *b.name == *backend)?;
        let set = self.overrides.server(backend, key);
        let added = set
            .and_then(|set| set.added.as_ref())
            .map(|set| &set.value.0);
        let written = config.servers.iter().find(|s| *s.name == *key);
        let found = || {
            let mut found = self.sources.of(config);
            found.find(|f| *f.key == *key).map(Found::settings)
        };
        added.or(written).or_else(found).cloned()
    }
}

/// Keys of all that file and sources have in a backend.
fn keys<'a>(
    backend: &'a config::Backend,
    sources: &'a Sources,
) -> impl Iterator<Item = &'a str> + use<'a> {
    let written = backend.servers.iter().map(|server| &*server.name);
    written.chain(sources.of(backend).map(|found| &*found.key))
}

fn settle_server(
    server: &mut ServerOverride,
    has_backend: bool,
    is_present: bool,
    now: u64,
) -> Option<String> {
    let mut notice = None;
    if !is_present {
        server.deleted = None;
    } else if server.deleted.is_none()
        && let Some(added) = server.added.take()
    {
        (server.address, server.check_address, server.check_port) = (None, None, None);
        server.tls = None;
        notice = Some(format!(
            "is in the file now; its address and settings win over those given at run time {} ago",
            ago(now.saturating_sub(added.at))
        ));
    }
    let is_served = has_backend && (is_present || server.added.is_some());
    if !is_there(&mut server.absent_since, is_served, now) {
        *server = ServerOverride::default();
        notice = Some("what was set at run time is forgotten: absent for an hour".to_owned());
    }
    notice
}

/// Keeps the time of an absence; false = it was too long.
fn is_there(absent_since: &mut Option<u64>, present: bool, now: u64) -> bool {
    if present {
        *absent_since = None;
        return true;
    }
    let since = *absent_since.get_or_insert(now);
    now.saturating_sub(since) < ABSENT_MAX
}

/// What is to be served.
pub(crate) fn merge(
    config: &Arc<Config>,
    sources: &Sources,
    weights: &Weights,
    overrides: &Overrides,
) -> Merged {
    let mut differences = Vec::new();
    let mut warnings = Vec::new();
    let frontends = entrances(config, overrides, &mut differences);
    let nothing = Default::default();
    let members = config.backends.iter().map(|backend| {
        let set = overrides.servers.get(&*backend.name).unwrap_or(&nothing);
        let mut members = gather(backend, set, sources, &mut differences, &mut warnings);
        for member in &mut members {
            resolve(member, sources);
        }
        members
    });
    let shares = |backend: &config::Backend| Some(weights.of(backend.groups.as_ref()?));
    Merged {
        desired: Desired {
            config: Arc::clone(config),
            frontends,
            members: members.collect(),
            shares: config.backends.iter().map(shares).collect(),
        },
        differences,
        warnings,
        conflicts: Vec::new(),
    }
}

/// Puts what the name of a server stands for in its place. As long as nobody
/// knows, it is in maintenance.
fn resolve(member: &mut Member, sources: &Sources) {
    if let ServerAddress::Name(name, port) = &member.settings.address {
        match sources.resolved(name, *port) {
            Some(address) => member.settings.address = address,
            None => member.admin = Admin::Maint,
        }
    }
}

fn entrances(
    config: &Config,
    overrides: &Overrides,
    differences: &mut Vec<Difference>,
) -> Vec<Entrance> {
    let mut entrances = Desired::entrances(config);
    entrances.retain_mut(|entrance| {
        let name = Arc::clone(&entrance.config.name);
        let Some(set) = overrides.frontend(&name) else {
            return true;
        };
        let mut differ = |what, written: &str, value: String, at, by: &str| {
            differences.push(Difference {
                object: Object::Frontend(name.to_string()),
                what,
                written: Some(written.to_owned()),
                set: value,
                at,
                by: by.to_owned(),
            });
        };
        if let Some(shut) = &set.shut {
            differ("state", "enabled", "shut down".into(), shut.at, &shut.by);
            return false;
        }
        if let Some(paused) = &set.paused {
            differ("state", "enabled", "disabled".into(), paused.at, &paused.by);
            entrance.paused = true;
        }
        if let Some(maxconn) = &set.maxconn {
            if maxconn.value != entrance.config.maxconn {
                let (value, written) = (maxconn.value.words(), entrance.config.maxconn.words());
                differ("maxconn", &written, value, maxconn.at, &maxconn.by);
            }
            entrance.config.maxconn = maxconn.value;
        }
        true
    });
    entrances
}
