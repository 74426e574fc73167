//! The stats page: a model of small JSON parts, and the document that shows it.
//!
//! Each row and each table is one part with a key of its own. Who looks gets all
//! parts once and then those that changed; the page renders by the same keys. A
//! new kind of thing to see is a new part: a [`Section`] needs no line of script.
//! Pure; start at [`State::of`], then `document.rs`.

mod document;
mod rows;

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use serde::Serialize;

use super::Snapshot;
use super::samples::{Samples, Trail};
use crate::generation::Generation;

pub(crate) use document::{Document, Settings};

/// What a snapshot does not hold. Control fills it.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// Tables beside the servers, in the order they are shown; an empty one is not.
    pub(crate) sections: Vec<Section>,
    /// Values set at run time, a sentence each, by `backend/server`.
    pub(crate) overrides: HashMap<String, Vec<String>>,
    /// Why a server is in maintenance or drains, by `backend/server`.
    pub(crate) reasons: HashMap<String, String>,
}

/// A table of the page.
#[derive(Debug, Serialize)]
pub(crate) struct Section {
    /// Unique among sections.
    pub(crate) key: &'static str,
    /// Above it.
    pub(crate) title: &'static str,
    /// Names of its columns.
    pub(crate) columns: &'static [&'static str],
    /// As many cells as columns.
    pub(crate) rows: Vec<Vec<String>>,
}

/// What there was to see at one moment, each part as JSON by its key.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct State {
    parts: BTreeMap<String, String>,
}

/// About the process.
#[derive(Serialize)]
struct Head<'a> {
    node: &'a str,
    version: &'a str,
    pid: u32,
    started: u64,
    now: u64,
    generation: u64,
    generation_at: u64,
    workers: usize,
    idle_pct: u32,
    connections: usize,
    maxconn: usize,
    connection_rate: u64,
    session_rate: u64,
    bytes_out_rate: u64,
    requests: u64,
    stopping: bool,
    panics: u64,
    /// The latest tick of any worker, milliseconds.
    late_ms: u64,
}

/// Where the rows stand.
#[derive(Serialize)]
struct Place<'a> {
    iid: u32,
    name: &'a str,
    mode: &'static str,
    frontend: bool,
    backend: bool,
    servers: Vec<u32>,
}

impl State {
    /// Makes the parts.
    pub(crate) fn of(snapshot: &Snapshot, facts: &Facts) -> Self {
        let mut state = Self::default();
        state.put("head".to_owned(), &head(snapshot));
        let layout: Vec<Place<'_>> = snapshot.proxies.iter().map(place).collect();
        state.put("layout".to_owned(), &layout);
        let started = snapshot.process.started_unix_ms;
        for proxy in &snapshot.proxies {
            let iid = proxy.iid;
            if let Some(row) = &proxy.frontend {
                state.put(format!("f:{iid}"), &rows::Front::of(proxy, row));
            }
            let Some(backend) = &proxy.backend else {
                continue;
            };
            state.put(format!("b:{iid}"), &rows::Back::of(proxy, backend, started));
            for server in &backend.servers {
                let row = rows::Server::of(proxy, server, started, facts);
                state.put(format!("s:{iid}:{}", server.sid), &row);
            }
        }
        for (index, section) in facts.sections.iter().enumerate() {
            if !section.rows.is_empty() {
                state.put(format!("t:{index}:{}", section.key), section);
            }
        }
        state
    }

    fn put<T: Serialize>(&mut self, key: String, part: &T) {
        // Plain structs with text keys: there is nothing that could fail.
        let json = serde_json::to_string(part).unwrap_or_default();
        self.parts.insert(key, json);
    }

    /// All of it as one JSON object.
    pub(crate) fn whole(&self) -> String {
        object(self.parts.iter(), std::iter::empty())
    }

    /// What is other than `before`: parts that changed, keys that are gone.
    pub(crate) fn since(&self, before: &Self) -> String {
        let changed = |(key, part): &(&String, &String)| before.parts.get(*key) != Some(*part);
        let gone = before.parts.keys();
        object(
            self.parts.iter().filter(changed),
            gone.filter(|key| !self.parts.contains_key(*key)),
        )
    }
}

/// Keys are ours: letters, digits and colons.
fn object<'a>(
    parts: impl Iterator<Item = (&'a String, &'a String)>,
    gone: impl Iterator<Item = &'a String>,
) -> String {
    let mut out = "{\"parts\":{".to_owned();
    for (index, (key, part)) in parts.enumerate() {
        let comma = if index > 0 { "," } else { "" };
        // Writing to a String cannot fail.
        let _ = write!(out, "{comma}\"{key}\":{part}");
    }
    out.push_str("},\"gone\":[");
    for (index, key) in gone.enumerate() {
        let comma = if index > 0 { "," } else { "" };
        let _ = write!(out, "{comma}\"{key}\"");
    }
    out.push_str("]}");
    out
}

/// The last two minutes of frontends and backends, by the key of their part.
#[derive(Debug, Default, Serialize)]
#[serde(transparent)]
pub(crate) struct Trails(BTreeMap<String, Vec<[u32; 2]>>);

/// Of more proxies the page draws what it sees itself: copying takes time.
const TRAILS_MAX: usize = 200;

impl Trails {
    /// Copies them.
    pub(crate) fn take(samples: &Samples, generation: &Generation) -> Self {
        let numbers = samples.numbers();
        let points = |trail: Option<&Trail>| trail.map(|t| t.points().collect());
        let frontends = generation.frontends.iter().map(|frontend| {
            let id = frontend.state.id;
            let key = format!("f:{}", numbers.frontend_iid(id));
            (key, points(samples.frontend_trail(id)))
        });
        let backends = generation.backends.iter().filter(|b| !b.is_built_in());
        let backends = backends.map(|backend| {
            let id = backend.state.id;
            let key = format!("b:{}", numbers.backend_iid(id));
            (key, points(samples.backend_trail(id)))
        });
        let all = frontends.chain(backends).take(TRAILS_MAX);
        Self(
            all.filter_map(|(key, points)| Some((key, points?)))
                .collect(),
        )
    }
}

fn head(snapshot: &Snapshot) -> Head<'_> {
    let (process, sums) = (&snapshot.process, &snapshot.sums);
    let late = process.late_max.iter().max();
    Head {
        node: &process.node,
        version: env!("CARGO_PKG_VERSION"),
        pid: process.pid,
        started: process.started_unix_ms,
        now: process.now_unix_ms,
        generation: snapshot.generation,
        generation_at: process.generation_unix_ms,
        workers: process.workers,
        idle_pct: sums.idle_pct,
        connections: process.connections,
        maxconn: process.maxconn,
        connection_rate: sums.connections.now,
        session_rate: sums.sessions.now,
        bytes_out_rate: sums.bytes_out.now,
        requests: sums.totals.requests,
        stopping: process.stopping,
        panics: process.panics,
        late_ms: late.map_or(0, |late| late.as_millis() as u64),
    }
}

fn place(proxy: &super::rows::Proxy) -> Place<'_> {
    let servers = proxy.backend.iter().flat_map(|backend| &backend.servers);
    Place {
        iid: proxy.iid,
        name: &proxy.name,
        mode: super::lines::mode_word(proxy.mode),
        frontend: proxy.frontend.is_some(),
        backend: proxy.backend.is_some(),
        servers: servers.map(|server| server.sid).collect(),
    }
}

#[cfg(test)]
mod tests;
