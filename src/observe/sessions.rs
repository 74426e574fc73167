//! `show sess`: one line per client connection.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::SocketAddr;

use super::Snapshot;
use crate::state::{FrontendId, ServerId, WorkerId};

/// One client connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SessionLine {
    /// Its worker.
    pub(crate) worker: WorkerId,
    /// Its index there.
    pub(crate) index: u32,
    /// The client; unspecified for a Unix socket.
    pub(crate) peer: SocketAddr,
    /// Where it came in.
    pub(crate) frontend: FrontendId,
    /// What it talks to.
    pub(crate) server: Option<ServerId>,
    /// Milliseconds since accept.
    pub(crate) age_ms: u32,
}

/// Which sessions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum SessionFilter {
    /// All.
    #[default]
    All,
    /// At least as old, milliseconds.
    Older(u32),
    /// Those of a frontend.
    Frontend(FrontendId),
    /// Those at the servers of a backend.
    Backend(String),
    /// Those at a server.
    Server(ServerId),
}

/// The name of a session on the socket, as HAProxy's pointer: worker and index.
pub(crate) fn pointer(worker: WorkerId, index: u32) -> u64 {
    // Never 0, and longer than an index alone, so that nobody types it by chance.
    (worker.0 as u64 + 1) << 32 | u64::from(index)
}

/// What [`pointer`] made, with or without `0x`.
pub(crate) fn parse_pointer(word: &str) -> Option<(WorkerId, u32)> {
    let digits = word.strip_prefix("0x").unwrap_or(word);
    let pointer = u64::from_str_radix(digits, 16).ok()?;
    let worker = usize::try_from(pointer >> 32).ok()?.checked_sub(1)?;
    Some((WorkerId(worker), pointer as u32))
}

/// The text of `show sess`. Of HAProxy's line only what clients read is
/// filled: the pointer, `proto`, `src`, `fe`, `be`, `srv` and `age`.
pub(crate) fn sessions(
    snapshot: &Snapshot,
    rows: &[SessionLine],
    filter: &SessionFilter,
) -> String {
    let names = Names::of(snapshot);
    let mut out = String::with_capacity(rows.len() * 200);
    for session in rows {
        let server = session
            .server
            .and_then(|id| names.servers.get(&id))
            .copied();
        let wanted = match filter {
            SessionFilter::All => true,
            SessionFilter::Older(age_ms) => session.age_ms >= *age_ms,
            SessionFilter::Frontend(id) => session.frontend == *id,
            SessionFilter::Backend(name) => server.is_some_and(|(backend, _)| backend == name),
            SessionFilter::Server(id) => session.server == Some(*id),
        };
        if !wanted {
            continue;
        }
        let address = session.peer;
        let proto = match address.ip() {
            ip if ip.is_unspecified() => "unix_stream",
            ip if ip.is_ipv4() => "tcpv4",
            _ => "tcpv6",
        };
        let source = match proto {
            "unix_stream" => "unix".to_owned(),
            _ => address.to_string(),
        };
        let frontend = names.frontends.get(&session.frontend).copied();
        let (backend, server) = server.unwrap_or(("<NONE>", "<none>"));
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "0x{:x}: proto={proto} src={source} fe={} be={backend} srv={server} ts=00 epoch=0 \
             age={} calls=0 rate=0 cpu=0 lat=0 rq[] rp[] scf=[] scb=[] exp= rc=0 c_exp=",
            pointer(session.worker, session.index),
            frontend.unwrap_or("<NONE>"),
            age(session.age_ms / 1000),
        );
    }
    out
}

/// Names by identity.
struct Names<'a> {
    frontends: HashMap<FrontendId, &'a str>,
    servers: HashMap<ServerId, (&'a str, &'a str)>,
}

impl<'a> Names<'a> {
    fn of(snapshot: &'a Snapshot) -> Self {
        let frontends = snapshot.proxies.iter();
        let frontends = frontends.filter_map(|p| Some((p.frontend.as_ref()?.id, &*p.name)));
        let servers = snapshot.servers();
        let servers = servers.map(|(proxy, server)| (server.id, (&*proxy.name, &*server.name)));
        let leaving = snapshot.drains.iter().zip(&snapshot.draining);
        let leaving = leaving.map(|(row, id)| (*id, (&*row.backend, &*row.server)));
        Self {
            frontends: frontends.collect(),
            servers: servers.chain(leaving).collect(),
        }
    }
}

/// HAProxy's two largest units: `3s`, `1m5s`, `2h0m`, `1d2h`.
fn age(seconds: u32) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::testing::Bench;

    #[test]
    fn pointers_name_worker_and_index() {
        for (worker, index) in [(0, 0), (3, 17), (63, u32::MAX)] {
            let word = format!("0x{:x}", pointer(WorkerId(worker), index));
            assert_eq!(parse_pointer(&word), Some((WorkerId(worker), index)));
        }
        for word in ["", "0x", "0x7", "web", "0xffffffffffffffffff"] {
            assert_eq!(parse_pointer(word), None, "{word}");
        }
    }

    #[test]
    fn lines_have_what_clients_read() {
        let mut bench = Bench::new();
        let frontend = bench.generation.frontends[1].state.id;
        let server = bench.generation.backends[0].servers[1].id();
        let row = |index, address: &str, server, age_ms| SessionLine {
            worker: WorkerId(1),
            index,
            peer: address.parse().unwrap(),
            frontend,
            server,
            age_ms,
        };
        let rows = [
            row(1, "127.0.0.1:40536", Some(server), 65_000),
            row(2, "[::1]:7", None, 999),
            row(3, "0.0.0.0:0", None, 7_300_000),
        ];
        let snapshot = bench.snapshot();
        let text = sessions(&snapshot, &rows, &SessionFilter::All);
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines[0].starts_with(
                "0x200000001: proto=tcpv4 src=127.0.0.1:40536 fe=www be=web srv=s2 ts=00 epoch=0 age=1m5s "
            ),
            "{text}"
        );
        assert!(lines[1].contains("proto=tcpv6 src=[::1]:7 fe=www be=<NONE> srv=<none>"));
        assert!(
            lines[2].contains("proto=unix_stream src=unix fe=www ")
                && lines[2].contains("age=2h1m")
        );
        let count = |filter| sessions(&snapshot, &rows, &filter).lines().count();
        assert_eq!(count(SessionFilter::Older(1000)), 2);
        assert_eq!(count(SessionFilter::Server(server)), 1);
        assert_eq!(count(SessionFilter::Backend("web".into())), 1);
        assert_eq!(count(SessionFilter::Frontend(frontend)), 3);
    }
}
