//! Backends and routes that nobody wrote: members that announce a host make them.
//! Pure: no I/O, no clock.
//!
//! [`Sites::update`] remembers what is announced; [`Sites::extend`] puts it behind
//! what is written. What is written wins, of two that want the same host the one
//! that was there first, and who loses is told.

use std::cmp::Reverse;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::sources::{SourceId, Sources};
use crate::config::{
    self, Backend, Balance, Check, Config, Frontend, HostMatch, Probe, Route, RouteTo, Source,
};
use crate::discovery::{Member, Site, SiteCheck};

/// What is announced, and since when.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Sites {
    known: BTreeMap<String, Known>,
    /// Of the next one that appears.
    next: u64,
}

#[derive(Debug, Clone, PartialEq)]
struct Known {
    /// Rises with each new one: who was first keeps a host.
    order: u64,
    /// Joined from all members that make it.
    site: Site,
    source: SourceId,
    /// By name: who is to be looked at.
    members: Vec<String>,
    /// Nobody announces it any more; what runs may finish.
    is_leaving: bool,
}

/// Somebody wanted what another one has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Conflict {
    /// Whose answer it was in.
    pub(crate) source: SourceId,
    /// The backend that was announced, and by whom.
    pub(crate) who: String,
    /// Half a sentence.
    pub(crate) why: String,
}

/// A file with what was announced behind it.
#[derive(Debug)]
pub(crate) struct Extended {
    pub(crate) config: Arc<Config>,
    pub(crate) conflicts: Vec<Conflict>,
}

impl Sites {
    /// Looks at what the sources found; `drains` says whether servers of a backend
    /// still have something to do.
    pub(crate) fn update(&mut self, sources: &Sources, drains: impl Fn(&str) -> bool) {
        let announced = announced(sources);
        self.known.retain(|name, known| {
            let was_leaving = known.is_leaving;
            known.is_leaving = !announced.contains_key(&**name);
            // Its servers begin to drain with this very change.
            !(was_leaving && known.is_leaving) || drains(name)
        });
        let mut fresh = Vec::new();
        for (name, (source, members)) in announced {
            let (site, names) = join(&members);
            match self.known.get_mut(name) {
                Some(known) => {
                    (known.site, known.source, known.members) = (site, source.clone(), names);
                }
                None => fresh.push((name, site, source.clone(), names)),
            }
        }
        // Seen at once: the older first.
        fresh.sort_by_key(|(name, site, ..)| (site.since, *name));
        for (name, site, source, members) in fresh {
            let order = self.next;
            self.next += 1;
            let known = Known {
                order,
                site,
                source,
                members,
                is_leaving: false,
            };
            self.known.insert(name.to_owned(), known);
        }
    }

    /// Backends that wait for their last servers to drain.
    pub(crate) fn leaving(&self) -> impl Iterator<Item = &str> {
        let leaving = self.known.iter().filter(|(_, known)| known.is_leaving);
        leaving.map(|(name, _)| &**name)
    }

    /// The file, and behind it the backends and routes that are announced.
    pub(crate) fn extend(&self, config: &Arc<Config>) -> Extended {
        let mut conflicts = Vec::new();
        if self.known.is_empty() {
            return Extended {
                config: Arc::clone(config),
                conflicts,
            };
        }
        let mut extended = Config::clone(config);
        let mut known: Vec<_> = self.known.iter().collect();
        known.sort_by_key(|(_, known)| known.order);
        let mut places = Vec::with_capacity(known.len());
        for (name, known) in known {
            let mut conflict = |why| conflicts.push(known.conflict(name, why));
            let written = config.backends.iter().position(|b| *b.name == **name);
            let index = match written {
                Some(index) => match joins(&config.backends[index], known) {
                    Ok(()) => index,
                    Err(why) => {
                        conflict(why);
                        continue;
                    }
                },
                None => {
                    let backend = made(name, known, &config.discovered, &mut conflict);
                    extended.backends.push(backend);
                    extended.backends.len() - 1
                }
            };
            if !known.is_leaving {
                places.push((name, known, index));
            }
        }
        for frontend in extended
            .frontends
            .iter_mut()
            .filter(|f| f.discovered_routes)
        {
            add_routes(frontend, &places, &extended.backends, &mut conflicts);
        }
        Extended {
            config: Arc::new(extended),
            conflicts,
        }
    }
}

impl Known {
    fn conflict(&self, name: &str, why: String) -> Conflict {
        let mut members = self.members.iter().map(String::as_str);
        let who = match (members.next(), members.count()) {
            (None, _) => name.to_owned(),
            (Some(one), 0) => format!("{name} ({one})"),
            (Some(one), more) => format!("{name} ({one} and {more} more)"),
        };
        Conflict {
            source: self.source.clone(),
            who,
            why,
        }
    }
}

/// Members by the backend they announce.
fn announced(sources: &Sources) -> BTreeMap<&str, (&SourceId, Vec<&Member>)> {
    let mut announced: BTreeMap<&str, (&SourceId, Vec<&Member>)> = BTreeMap::new();
    for (source, members) in sources.announcing() {
        for member in members {
            let Some(site) = &member.site else { continue };
            let entry = announced.entry(&site.backend);
            entry.or_insert((source, Vec::new())).1.push(member);
        }
    }
    announced
}

/// One site of all who make it: every host, and of the rest what the oldest says.
fn join(members: &[&Member]) -> (Site, Vec<String>) {
    let mut by_age: Vec<(&Member, &Site)> = members
        .iter()
        .filter_map(|member| Some((*member, member.site.as_deref()?)))
        .collect();
    by_age.sort_by_key(|(member, site)| (site.since, &member.id));
    let mut sites = by_age.iter().map(|(_, site)| *site);
    let mut joined = sites.next().cloned().unwrap_or_default();
    for site in sites {
        for host in &site.hosts {
            if !joined.hosts.contains(host) {
                joined.hosts.push(host.clone());
            }
        }
        joined.check = joined.check.or_else(|| site.check.clone());
        joined.check_interval_ms = joined.check_interval_ms.or(site.check_interval_ms);
        joined.balance = joined.balance.or_else(|| site.balance.clone());
    }
    let names = by_age.iter().map(|(member, _)| member.name.clone());
    (joined, names.collect())
}

/// Whether members may join a backend that is written: where it takes some of this
/// kind anyway.
fn joins(written: &Backend, known: &Known) -> Result<(), String> {
    let kind = known.source.kind();
    let takes = written
        .sources
        .iter()
        .any(|source| SourceId::of(source).kind() == kind);
    if !takes {
        return Err(format!(
            "the backend {} is written, and has no {kind} source: call yours otherwise",
            written.name
        ));
    }
    if written.mode == config::Mode::Tcp && !known.site.hosts.is_empty() {
        return Err(format!(
            "the backend {} is in tcp mode, which has no hosts",
            written.name
        ));
    }
    Ok(())
}

/// The backend of a site.
fn made(
    name: &str,
    known: &Known,
    defaults: &Backend,
    conflict: &mut impl FnMut(String),
) -> Backend {
    let site = &known.site;
    let mut check = match &site.check {
        None => defaults.check.clone(),
        Some(SiteCheck::Off) => None,
        Some(SiteCheck::Tcp) => Some(Check {
            probe: Probe::Tcp,
            ..defaults.check.clone().unwrap_or_default()
        }),
        Some(SiteCheck::Http(path)) => Some(http_check(path, defaults)),
    };
    if let Some(millis) = site.check_interval_ms {
        // An interval alone is one of the connect check every discovered server has.
        let check = match &site.check {
            Some(SiteCheck::Off) => &mut None,
            _ => &mut Some(check.get_or_insert_default()),
        };
        if let Some(check) = check {
            let interval = Duration::from_millis(millis.clamp(INTERVAL_MIN_MS, INTERVAL_MAX_MS));
            check.interval = interval;
            (check.fast_interval, check.down_interval) = (interval, interval);
            check.timeout = interval;
        }
    }
    let balance = match site.balance.as_deref() {
        None | Some("roundrobin") => defaults.balance,
        Some(other) => {
            let other = other.escape_debug();
            conflict(format!("balance {other} is not there; roundrobin is used"));
            Balance::RoundRobin
        }
    };
    Backend {
        name: name.into(),
        sources: vec![Source::Announced],
        check,
        check_discovered: site.check != Some(SiteCheck::Off) && defaults.check_discovered,
        balance,
        ..defaults.clone()
    }
}

/// GET `path`; all else as `[defaults.check]` has it.
fn http_check(path: &str, defaults: &Backend) -> Check {
    let mut check = defaults.check.clone().unwrap_or_default();
    match &mut check.probe {
        Probe::Http { path: own, .. } => path.clone_into(own),
        probe => {
            *probe = Probe::http();
            if let Probe::Http {
                protocol,
                path: own,
                method,
                ..
            } = probe
            {
                *protocol = defaults.protocol;
                path.clone_into(own);
                // Applications often answer nothing else at such a path.
                "GET".clone_into(method);
            }
        }
    }
    check
}

/// The routes of a frontend: behind the written ones, the most exact first.
fn add_routes(
    frontend: &mut Frontend,
    sites: &[(&String, &Known, usize)],
    backends: &[Backend],
    conflicts: &mut Vec<Conflict>,
) {
    let mut routes: Vec<Route> = Vec::new();
    let mut taken = HashMap::new();
    let is_whole = |route: &&Route| route.methods.is_empty() && route.headers.is_empty();
    for route in frontend.routes.iter().filter(is_whole) {
        taken.entry(place(route)).or_insert((route.to, "written"));
    }
    for (name, known, backend) in sites {
        let mut conflict = |why| {
            let conflict = known.conflict(name, why);
            // Each frontend would say it again.
            if !conflicts.contains(&conflict) {
                conflicts.push(conflict);
            }
        };
        let site = &known.site;
        if site.tls_only && !is_secure(frontend) {
            conflict(format!(
                "is for TLS only, and the frontend {} has none: no route there",
                frontend.name
            ));
            continue;
        }
        for text in &site.hosts {
            let host = match &**text {
                "*" => None,
                text => match config::host_match(text) {
                    Ok(host) => Some(host),
                    Err(fault) => {
                        conflict(format!("\"{}\": {}", text.escape_debug(), fault.message));
                        continue;
                    }
                },
            };
            let route = Route {
                host,
                path_prefix: site.path_prefix.clone(),
                methods: Vec::new(),
                headers: Vec::new(),
                to: RouteTo::Backend(*backend),
            };
            match taken.entry(place(&route)) {
                Entry::Vacant(free) => {
                    free.insert((route.to, "announced earlier"));
                    routes.push(route);
                }
                Entry::Occupied(entry) => {
                    let (owner, how) = *entry.get();
                    if owner != route.to {
                        let path = site.path_prefix.as_deref().unwrap_or_default();
                        let way = match owner {
                            RouteTo::Backend(owner) => format!("leads to {}", backends[owner].name),
                            RouteTo::Deny(_) => "is denied".to_owned(),
                        };
                        conflict(format!("{text}{path} {way}, as {how}"));
                    }
                }
            }
        }
    }
    routes.sort_by_key(exactness);
    frontend.routes.extend(routes);
}

/// Which requests a route takes that looks at nothing else.
fn place(route: &Route) -> (Option<HostMatch>, Option<String>) {
    let path = route.path_prefix.clone().filter(|path| path != "/");
    (route.host.clone(), path)
}

/// One host before a whole domain before every host; a longer path before a shorter.
fn exactness(route: &Route) -> (u8, Reverse<usize>, Reverse<usize>, String) {
    let (rank, host) = match &route.host {
        Some(HostMatch::Exact(host)) => (0, &**host),
        Some(HostMatch::Suffix(suffix)) => (1, &**suffix),
        None => (2, ""),
    };
    // Hosts that are spelled out exclude each other.
    let length = if rank == 1 { host.len() } else { 0 };
    let path = route.path_prefix.as_deref().unwrap_or_default();
    (
        rank,
        Reverse(length),
        Reverse(path.len()),
        format!("{host}{path}"),
    )
}

/// Whether clients come over TLS there.
fn is_secure(frontend: &Frontend) -> bool {
    frontend.binds.iter().any(|bind| bind.tls)
}

const INTERVAL_MIN_MS: u64 = 10;
const INTERVAL_MAX_MS: u64 = 24 * 3600 * 1000;

#[cfg(test)]
mod tests;
