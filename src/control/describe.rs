//! What changed from one desired state to the next, in words: for the history,
//! and for whoever asked for a reload.

use std::collections::{BTreeSet, HashMap};

use super::difference::Words;
use crate::config::{self, RouteTo};
use crate::generation::{Desired, Entrance, Generation, Member, Shares};

/// Lines of one change; what is on top is counted.
const LINES_MAX: usize = 20;

/// The differences, a line each.
pub(crate) fn describe(before: &Desired, after: &Desired) -> Vec<String> {
    let mut lines = Lines::default();
    global(&before.config.global, &after.config.global, &mut lines);
    logs(&before.config.logs, &after.config.logs, &mut lines);
    frontends(before, after, &mut lines);
    backends(before, after, &mut lines);
    if before.config.stats != after.config.stats {
        lines.push(|| "stats: other settings".to_owned());
    }
    lines.finish()
}

/// What a change of health made of the schedules.
pub(crate) fn describe_health(before: &Generation, after: &Generation) -> Vec<String> {
    let mut lines = Lines::default();
    for (old, new) in before.backends.iter().zip(&after.backends) {
        if !std::sync::Arc::ptr_eq(old, new) {
            let usable = new.servers.iter().filter(|s| s.state.is_usable()).count();
            let all = new.servers.len();
            lines.push(|| format!("{}: {usable} of {all} servers usable", new.name));
        }
    }
    lines.finish()
}

/// At most [`LINES_MAX`] of them.
#[derive(Default)]
struct Lines {
    lines: Vec<String>,
    more: usize,
}

impl Lines {
    fn push(&mut self, line: impl FnOnce() -> String) {
        if self.lines.len() < LINES_MAX {
            self.lines.push(line());
        } else {
            self.more += 1;
        }
    }

    fn finish(mut self) -> Vec<String> {
        if self.more > 0 {
            self.lines.push(format!("and {} more", self.more));
        }
        self.lines
    }
}

/// Names of the fields that differ.
macro_rules! differing {
    ($a:expr, $b:expr; $($field:ident),* $(,)?) => {{
        let mut names: Vec<&str> = Vec::new();
        $(if $a.$field != $b.$field { names.push(stringify!($field)); })*
        names
    }};
}

fn global(a: &config::Global, b: &config::Global, lines: &mut Lines) {
    let find = |all: &[config::AdminSocket], socket: &config::AdminSocket| {
        all.iter().position(|other| other.address == socket.address)
    };
    for socket in &a.admin {
        let place = &socket.address;
        match find(&b.admin, socket) {
            None => lines.push(|| format!("admin socket {place} closed")),
            Some(index) if b.admin[index] != *socket => {
                lines.push(|| format!("admin socket {place} changed"));
            }
            Some(_) => {}
        }
    }
    for socket in b
        .admin
        .iter()
        .filter(|socket| find(&a.admin, socket).is_none())
    {
        lines.push(|| format!("admin socket {} opened", socket.address));
    }
    let names =
        differing!(a, b; drain_timeout, drain_delay, ready_timeout, worker_stall, state_dir);
    if !names.is_empty() {
        lines.push(|| format!("global: {}", names.join(", ")));
    }
}

fn logs(a: &[config::Log], b: &[config::Log], lines: &mut Lines) {
    for old in a.iter().filter(|old| !b.contains(old)) {
        lines.push(|| format!("log to {} ends", old.target));
    }
    for new in b.iter().filter(|new| !a.contains(new)) {
        lines.push(|| format!("log to {} begins", new.target));
    }
}

fn frontends(before: &Desired, after: &Desired, lines: &mut Lines) {
    let find = |list: &[Entrance], name: &str| list.iter().position(|e| *e.config.name == *name);
    for old in &before.frontends {
        if find(&after.frontends, &old.config.name).is_none() {
            lines.push(|| format!("frontend {} removed", old.config.name));
        }
    }
    for new in &after.frontends {
        let name = &new.config.name;
        let Some(old) = find(&before.frontends, name).map(|index| &before.frontends[index]) else {
            lines.push(|| format!("frontend {name} added"));
            continue;
        };
        if old.paused != new.paused {
            let word = if new.paused { "paused" } else { "resumed" };
            lines.push(|| format!("frontend {name} {word}"));
        }
        let (a, b) = (&old.config, &new.config);
        let mut names = differing!(
            a, b; mode, binds, maxconn, timeouts, limits, forwarded, keep_alive_requests, stats, http2
        );
        // Routes refer to backends by index, which shifts when one is added above.
        let target =
            |d: &Desired, index: usize| d.config.backends.get(index).map(|b| b.name.clone());
        let same_target = |x: Option<usize>, y: Option<usize>| match (x, y) {
            (Some(x), Some(y)) => target(before, x) == target(after, y),
            _ => x == y,
        };
        let same_way = |x: RouteTo, y: RouteTo| match (x, y) {
            (RouteTo::Deny(x), RouteTo::Deny(y)) => x == y,
            _ => same_target(x.backend(), y.backend()),
        };
        if a.routes.len() != b.routes.len()
            || a.routes.iter().zip(&b.routes).any(|(x, y)| {
                !same_way(x.to, y.to)
                    || *x
                        != config::Route {
                            to: x.to,
                            ..y.clone()
                        }
            })
            || a.passed.len() != b.passed.len()
            || a.passed.iter().zip(&b.passed).any(|(x, y)| {
                !same_target(x.backend, y.backend) || (&x.sni, &x.alpn) != (&y.sni, &y.alpn)
            })
        {
            names.push("routes");
        }
        let watched = |d: &Desired, frontend: &config::Frontend| {
            frontend.monitor.as_ref().map(|monitor| {
                let below = monitor.fail_below.iter();
                let below: Vec<_> = below.map(|(index, n)| (target(d, *index), *n)).collect();
                (monitor.path.clone(), below)
            })
        };
        if watched(before, a) != watched(after, b) {
            names.push("monitor");
        }
        let of = |d, index: Option<usize>| index.and_then(|index| target(d, index));
        if of(before, a.default_backend) != of(after, b.default_backend) {
            names.push("default_backend");
        }
        if !names.is_empty() {
            lines.push(|| format!("frontend {name}: {}", names.join(", ")));
        }
    }
}

fn backends(before: &Desired, after: &Desired, lines: &mut Lines) {
    let pairs = |d: &'_ Desired| -> HashMap<String, usize> {
        let names = d.config.backends.iter().map(|b| b.name.to_string());
        names.zip(0..).collect()
    };
    let (old_of, new_of) = (pairs(before), pairs(after));
    for backend in &before.config.backends {
        let written = !config::is_built_in(&backend.name);
        if written && !new_of.contains_key(&*backend.name) {
            lines.push(|| format!("backend {} removed", backend.name));
        }
    }
    for (index, new) in after.config.backends.iter().enumerate() {
        let members = &after.members[index];
        if config::is_built_in(&new.name) {
            continue;
        }
        let Some(old) = old_of.get(&*new.name).copied() else {
            lines.push(|| format!("backend {} added, {} servers", new.name, members.len()));
            continue;
        };
        let a = &before.config.backends[old];
        let names = differing!(
            a, new; mode, balance, retries, sources, check, timeouts, limits, pool_max,
            server_maxconn, maxqueue, queue_timeout,
            observe_connect, drain_timeout, retry_after, protocol, http2, groups, check_discovered, panic, cookie
        );
        if !names.is_empty() {
            lines.push(|| format!("backend {}: {}", new.name, names.join(", ")));
        }
        if let (Some(old), Some(new_shares)) = (&before.shares[old], &after.shares[index]) {
            shares(&new.name, old, new_shares, lines);
        }
        if before.members[old] != *members {
            servers(&new.name, &before.members[old], members, lines);
        }
    }
}

fn shares(backend: &str, before: &Shares, after: &Shares, lines: &mut Lines) {
    let names: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    for name in names {
        let words = |shares: &Shares| match shares.get(name) {
            Some(share) => share.to_string(),
            None => "missing".to_owned(),
        };
        let (from, to) = (words(before), words(after));
        if from != to {
            lines.push(|| format!("{backend}: group {name} weight {from} -> {to}"));
        }
    }
}

fn servers(backend: &str, before: &[Member], after: &[Member], lines: &mut Lines) {
    let by_key = |members: &'_ [Member]| -> HashMap<std::sync::Arc<str>, usize> {
        members.iter().map(|m| m.key.clone()).zip(0..).collect()
    };
    let (old_of, new_of) = (by_key(before), by_key(after));
    for old in before {
        if !new_of.contains_key(&old.key) {
            lines.push(|| format!("{backend}/{} removed", old.settings.name));
        }
    }
    for new in after {
        let name = &new.settings.name;
        match old_of.get(&new.key).map(|index| &before[*index]) {
            None => lines.push(|| format!("{backend}/{name} added")),
            Some(old) if old != new => {
                lines.push(|| format!("{backend}/{name}: {}", server(old, new)));
            }
            Some(_) => {}
        }
    }
}

fn server(old: &Member, new: &Member) -> String {
    let mut words = Vec::new();
    let mut say = |what: &str, from: String, to: String| {
        if from != to {
            words.push(format!("{what} {from} -> {to}"));
        }
    };
    let (a, b) = (&old.settings, &new.settings);
    let group = |member: &Member| member.group.as_deref().unwrap_or("-").to_owned();
    say("group", group(old), group(new));
    say("name", a.name.to_string(), b.name.to_string());
    say("weight", old.weight.words(), new.weight.words());
    say("maxconn", a.maxconn.words(), b.maxconn.words());
    let cookie = |settings: &config::Server| settings.cookie.as_deref().unwrap_or("-").to_owned();
    say("cookie", cookie(a), cookie(b));
    say("state", old.admin.words(), new.admin.words());
    say("address", a.address.words(), b.address.words());
    say(
        "check",
        old.check_enabled.words(),
        new.check_enabled.words(),
    );
    let tls = |member: &Member| {
        member
            .tls
            .map_or_else(|| "as written".to_owned(), |on| on.words())
    };
    say("tls", tls(old), tls(new));
    say("health", old.health.words(), new.health.words());
    if words.is_empty() {
        "settings".to_owned()
    } else {
        words.join(", ")
    }
}
