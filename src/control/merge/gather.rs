//! The servers of one backend: from the file, from its sources, from run time.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use crate::config::{self, GroupBy, ServerAddress};
use crate::control::difference::{Difference, Object, Words};
use crate::control::overrides::{ServerOverride, Set};
use crate::control::sources::Sources;
use crate::control::spec::{WEIGHT_MAX, address_text, tls_text};
use crate::discovery::{self, Standing};
use crate::generation::{Member, Origin};
use crate::state::{Admin, Operational};

/// Names are not resolved here.
pub(super) fn gather(
    backend: &config::Backend,
    set: &BTreeMap<String, ServerOverride>,
    sources: &Sources,
    differences: &mut Vec<Difference>,
    warnings: &mut Vec<String>,
) -> Vec<Member> {
    let mut gather = Gather {
        backend,
        set,
        taken: HashSet::new(),
        members: Vec::with_capacity(backend.servers.len()),
        differences,
        warnings,
    };
    gather.all(sources);
    gather.share_no_cookie();
    gather.members
}

/// The servers of one backend, as they are put together.
struct Gather<'a> {
    backend: &'a config::Backend,
    set: &'a BTreeMap<String, ServerOverride>,
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

    /// Within a file that is an error; between files, sources and run time the first
    /// keeps its value, and the others get values of their own.
    fn share_no_cookie(&mut self) {
        let mut given: HashMap<Arc<str>, Arc<str>> = HashMap::new();
        let mut shared = Vec::new();
        for member in &mut self.members {
            let Some(value) = member.settings.cookie.clone() else {
                continue;
            };
            let name = Arc::clone(&member.settings.name);
            match given.get(&value) {
                None => drop(given.insert(value, name)),
                Some(first) => {
                    let what = format!("has the cookie of {first}; it gets one of its own");
                    shared.push((name, what));
                    member.settings.cookie = None;
                }
            }
        }
        for (name, what) in shared {
            self.warn(&name, &what);
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
                let tls = tls_text(&settings.tls);
                let difference = self.difference(
                    &member.settings.name,
                    "server",
                    None,
                    format!("added with {address}{tls}"),
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
        if let Some(tls) = &set.tls {
            let shared = self.backend.tls.as_ref();
            let written = settings.tls.of(shared).is_some();
            if written || shared.is_some() {
                self.compare(&name, "tls", &written, tls);
                member.tls = Some(tls.value);
            } else if tls.value {
                let why = "TLS was switched on at run time, but nothing written says any more how it is spoken: it is spoken to in plain";
                self.warn(&name, why);
            }
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
            self.compare(&name, "health", &Operational::Up, health);
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

/// As of a written name, less what makes it unique.
const NAME_MAX: usize = 120;
