//! File, sources and overrides, merged into what is to be served. Pure: no I/O,
//! no clock.
//!
//! [`Inputs::settle`] first lets time and files act on the overrides (what is
//! adopted by the file, what has left, what was absent too long); then
//! [`merge`] reads all three. The rules are those of the override table in the
//! design, each with its test.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::difference::{Difference, Object, Words, ago};
use super::overrides::{FrontendOverride, Overrides, ServerOverride, Set};
use super::sites::{Conflict, Sites};
use super::sources::{Found, SourceId, Sources};
use super::spec::{WEIGHT_MAX, address_text};
use super::weights::{Weights, WeightsId};
use crate::config::{self, Config, GroupBy, ServerAddress};
use crate::discovery::{self, Standing};
use crate::generation::{Desired, Entrance, Member, Origin, Shares};
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

/// As of a written name, less what makes it unique.
const NAME_MAX: usize = 120;

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
        let mut gather = Gather {
            backend,
            set,
            taken: HashSet::new(),
            members: Vec::with_capacity(backend.servers.len()),
            differences: &mut differences,
            warnings: &mut warnings,
        };
        gather.all(sources);
        for member in &mut gather.members {
            resolve(member, sources);
        }
        gather.members
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

/// The servers of one backend, as they are put together.
struct Gather<'a> {
    backend: &'a config::Backend,
    set: &'a std::collections::BTreeMap<String, ServerOverride>,
    /// Names that are given.
    taken: HashSet<Arc<str>>,
    members: Vec<Member>,
    differences: &'a mut Vec<Difference>,
    warnings: &'a mut Vec<String>,
}

impl Gather<'_> {
    fn all(&mut self, sources: &Sources) {
        // Written servers first, then sources, then what was added: the order of
        // the list. But names are given to all that is written before anything
        // discovered gets one.
        let mut claimed: HashMap<&str, &str> = HashMap::new();
        let backend = self.backend;
        for server in &backend.servers {
            self.take(&server.name, server, Arc::clone(&server.name), None);
        }
        let added = self.set.iter().filter_map(|(key, set)| {
            let added = set.added.as_ref()?;
            Some((key, &added.value.0))
        });
        let added: Vec<_> = added.collect();
        claimed.extend(
            added
                .iter()
                .map(|(_, server)| (&*server.name, "at run time")),
        );
        let mut seen: HashSet<&str> = HashSet::new();
        for found in sources.of(backend) {
            let settings = found.settings();
            if !found.is_written() && !seen.insert(&found.key) {
                // Two sources have it: it is one server.
                continue;
            }
            if self.is_deleted(&found.key) {
                if !backend.servers.iter().any(|s| s.name == found.key) {
                    self.take(&found.key, settings, Arc::clone(&settings.name), None);
                }
                continue;
            }
            if found.is_written() {
                if self.taken.contains(&found.key) {
                    self.warn(&found.key, "is written twice; the first one is used");
                } else {
                    self.take(&found.key, settings, Arc::clone(&settings.name), None);
                }
                continue;
            }
            if let Some(name) = self.name_for(settings, &claimed) {
                self.take(&found.key, settings, name, found.member.as_deref());
            }
        }
        for (key, server) in added {
            if self.taken.contains(&server.name) {
                // The file has it: `settle` makes it the file's before long.
                continue;
            }
            let name = Arc::clone(&server.name);
            self.put(Arc::from(&**key), server, name, Origin::Added, None);
        }
    }

    fn is_deleted(&self, key: &str) -> bool {
        self.set.get(key).is_some_and(|set| set.deleted.is_some())
    }

    fn warn(&mut self, name: &str, what: &str) {
        self.warnings
            .push(format!("{}/{name}: {what}", self.backend.name));
    }

    /// A written or discovered server, unless it is deleted.
    fn take(
        &mut self,
        key: &Arc<str>,
        settings: &config::Server,
        name: Arc<str>,
        found: Option<&discovery::Member>,
    ) {
        let set = self.set.get(&**key);
        if let Some(deleted) = set.and_then(|set| set.deleted.as_ref()) {
            let difference = self.difference(
                &name,
                "server",
                Some(address_text(&settings.address)),
                "deleted".to_owned(),
                deleted,
            );
            self.differences.push(difference);
            return;
        }
        let origin = match found {
            Some(_) => Origin::Found,
            None => Origin::Written,
        };
        self.put(Arc::clone(key), settings, name, origin, found);
    }

    /// A name for a discovered server: what people see, unique, in our letters.
    fn name_for(
        &mut self,
        settings: &config::Server,
        claimed: &HashMap<&str, &str>,
    ) -> Option<Arc<str>> {
        let clean: String = settings
            .name
            .chars()
            .map(|c| match c {
                'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '.' | ':' | '-' => c,
                _ => '_',
            })
            .take(NAME_MAX)
            .collect();
        if matches!(&*clean, "" | "FRONTEND" | "BACKEND") {
            self.warn(&clean, "a server cannot be called so; not used");
            return None;
        }
        let is_written = self.backend.servers.iter().any(|s| *s.name == *clean);
        if is_written || claimed.contains_key(&*clean) {
            self.warn(&clean, "is written and discovered; the written one is used");
            return None;
        }
        if !self.taken.contains(&*clean) {
            return Some(clean.into());
        }
        let numbered = (2..).map(|n| format!("{clean}-{n}"));
        let mut free = numbered.filter(|name| !self.taken.contains(&**name));
        free.next().map(Into::into)
    }

    /// A server as it is to be.
    fn put(
        &mut self,
        key: Arc<str>,
        settings: &config::Server,
        name: Arc<str>,
        origin: Origin,
        found: Option<&discovery::Member>,
    ) {
        self.taken.insert(Arc::clone(&name));
        let mut member = Member {
            key,
            origin,
            group: self.group(settings, found),
            settings: config::Server {
                name,
                ..settings.clone()
            },
            ..Member::written(settings)
        };
        if let Some(set) = self.set.get(&*member.key) {
            if let (Origin::Added, Some(added)) = (origin, &set.added) {
                let address = address_text(&settings.address);
                let difference = self.difference(
                    &member.settings.name,
                    "server",
                    None,
                    format!("added with {address}"),
                    added,
                );
                self.differences.push(difference);
            }
            self.apply(&mut member, set);
        }
        // Both must be content with it, whatever the operator set.
        match found.map(|found| &found.standing) {
            None | Some(Standing::Good | Standing::Warning(_)) => {}
            Some(Standing::Bad(_)) => member.refused = true,
            Some(Standing::Draining(_)) if member.admin == Admin::Ready => {
                member.admin = Admin::Drain;
            }
            Some(Standing::Draining(_)) => {}
            Some(Standing::Maintenance(_)) => member.admin = Admin::Maint,
        }
        self.members.push(member);
    }

    /// Its group: as written, else as its source tells.
    fn group(
        &mut self,
        settings: &config::Server,
        found: Option<&discovery::Member>,
    ) -> Option<Arc<str>> {
        let groups = self.backend.groups.as_ref()?;
        if let Some(written) = &settings.group {
            return Some(Arc::clone(written));
        }
        let (what, group) = match (&groups.by, found) {
            (Some(GroupBy::Tag(word)), Some(found)) => {
                let rest = |tag: &String| {
                    let group = tag.strip_prefix(&**word)?.strip_prefix('=')?;
                    (!group.is_empty()).then(|| Arc::from(group))
                };
                (format!("tag {word}=..."), found.tags.iter().find_map(rest))
            }
            (Some(GroupBy::Meta(name) | GroupBy::Label(name)), Some(found)) => {
                let value = found.labels.get(name).filter(|value| !value.is_empty());
                (format!("`{name}`"), value.map(|value| Arc::from(&**value)))
            }
            _ => ("`group`".to_owned(), None),
        };
        if group.is_none() && !settings.backup && groups.missing == 0 {
            let why = format!("has no {what}: it is in no group, and gets no work");
            self.warn(&settings.name, &why);
        }
        group
    }

    /// Puts what was set on a server over what is written.
    fn apply(&mut self, member: &mut Member, set: &ServerOverride) {
        let has_check = member.has_check(self.backend);
        let name = Arc::clone(&member.settings.name);
        let settings = &mut member.settings;
        if let Some(weight) = &set.weight {
            self.compare(&name, "weight", &member.weight, weight);
            member.weight = weight.value.min(WEIGHT_MAX);
        }
        if let Some(maxconn) = &set.maxconn {
            let written = settings.maxconn.unwrap_or(self.backend.server_maxconn);
            self.compare(&name, "maxconn", &written, maxconn);
            settings.maxconn = Some(maxconn.value);
        }
        if let Some(admin) = &set.admin {
            self.compare(&name, "state", &member.admin, admin);
            member.admin = admin.value;
        }
        if let Some(address) = &set.address {
            let value = ServerAddress::Ip(address.value);
            let address = replace(address, value.clone());
            self.compare(&name, "address", &settings.address, &address);
            settings.address = value;
        }
        if let Some(address) = &set.check_address {
            let some = replace(address, Some(address.value));
            self.compare(&name, "check address", &settings.check_address, &some);
            settings.check_address = some.value;
        }
        if let Some(port) = &set.check_port {
            let some = replace(port, Some(port.value));
            self.compare(&name, "check port", &settings.check_port, &some);
            settings.check_port = some.value;
        }
        if let Some(enabled) = &set.check_enabled
            && has_check
        {
            self.compare(&name, "check", &member.check_enabled, enabled);
            member.check_enabled = enabled.value;
        }
        if let Some(health) = &set.health
            && !(has_check && member.check_enabled)
        {
            self.compare(&name, "health", &crate::state::Operational::Up, health);
            member.health = Some(health.value);
        }
    }

    fn compare<T: Words + PartialEq>(
        &mut self,
        name: &str,
        what: &'static str,
        written: &T,
        set: &Set<T>,
    ) {
        if *written != set.value {
            let written = Some(written.words());
            let difference = self.difference(name, what, written, set.value.words(), set);
            self.differences.push(difference);
        }
    }

    fn difference<T>(
        &self,
        name: &str,
        what: &'static str,
        written: Option<String>,
        value: String,
        set: &Set<T>,
    ) -> Difference {
        Difference {
            object: Object::Server(self.backend.name.to_string(), name.to_owned()),
            what,
            written,
            set: value,
            at: set.at,
            by: set.by.clone(),
        }
    }
}

fn replace<T, U>(set: &Set<T>, value: U) -> Set<U> {
    Set {
        value,
        at: set.at,
        by: set.by.clone(),
    }
}
