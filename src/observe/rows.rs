//! The rows of a snapshot: plain data.

use std::sync::Arc;
use std::time::Duration;

use super::samples::Rate;
use super::tables::GroupRow;
use super::totals::{FrontendTotals, Latency, Totals};
use crate::config::{Mode, ServerAddress};
use crate::generation::Backend;
use crate::state::{Admin, FrontendId, LastCheck, Operational, ServerId};

/// Rates and sums of the process.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ProcessSums {
    /// Client connections per second.
    pub(crate) connections: Rate,
    /// Sessions per second.
    pub(crate) sessions: Rate,
    /// Bytes to clients per second.
    pub(crate) bytes_out: Rate,
    /// Share of the workers' time that was not used, percent.
    pub(crate) idle_pct: u32,
    /// Sums over all frontends there ever were.
    pub(crate) totals: FrontendTotals,
}

/// What HAProxy calls a proxy: a frontend, a backend, or both under one name.
#[derive(Debug, Clone)]
pub(crate) struct Proxy {
    /// HAProxy's number.
    pub(crate) iid: u32,
    /// Its name.
    pub(crate) name: Arc<str>,
    /// http or tcp.
    pub(crate) mode: Mode,
    /// The row FRONTEND.
    pub(crate) frontend: Option<FrontendRow>,
    /// The rows of the servers and BACKEND.
    pub(crate) backend: Option<BackendRow>,
}

/// A frontend.
#[derive(Debug, Clone)]
pub(crate) struct FrontendRow {
    /// Who.
    pub(crate) id: FrontendId,
    /// OPEN, PAUSED or STOP.
    pub(crate) status: &'static str,
    /// Connections now.
    pub(crate) current: u64,
    /// Most connections at once.
    pub(crate) peak: u64,
    /// Most connections allowed.
    pub(crate) limit: u64,
    /// Sums since the last `clear counters all`.
    pub(crate) totals: FrontendTotals,
    /// New connections per second.
    pub(crate) connections: Rate,
    /// Sessions per second.
    pub(crate) sessions: Rate,
    /// Requests per second.
    pub(crate) requests: Rate,
    /// Answers 5xx per second.
    pub(crate) errors: Rate,
}

/// What servers and backends have in common.
#[derive(Debug, Clone)]
pub(crate) struct Work {
    /// Sessions now.
    pub(crate) current: u64,
    /// Most sessions at once.
    pub(crate) peak: u64,
    /// Idle pooled connections.
    pub(crate) idle: u64,
    /// Sums since the last `clear counters all`.
    pub(crate) totals: Totals,
    /// Sessions per second.
    pub(crate) sessions: Rate,
    /// Failed connects, broken answers and 5xx per second.
    pub(crate) errors: Rate,
    /// When it was used last, milliseconds since the start; `None` = never.
    pub(crate) used_ms: Option<u64>,
    /// Seconds since it was used; `None` = never.
    pub(crate) last_used_s: Option<u64>,
    /// Queue, connect, response and total time over the last requests, milliseconds.
    pub(crate) average_ms: [u64; 4],
    /// The longest of each, milliseconds.
    pub(crate) max_ms: [u64; 4],
    /// Total times ever.
    pub(crate) latency: Latency,
    /// Those of the last 30 to 60 seconds.
    pub(crate) recent: Latency,
}

impl Work {
    /// The times that 50, 90 and 99 percent of what was done in the last 30 to 60
    /// seconds did not exceed, in microseconds; `None` = nothing was done.
    pub(crate) fn percentiles_us(&self) -> Option<[u64; 3]> {
        let at = |percent| self.recent.percentile(percent);
        Some([at(50)?, at(90)?, at(99)?])
    }
}

/// A backend.
#[derive(Debug, Clone)]
pub(crate) struct BackendRow {
    /// In order.
    pub(crate) servers: Vec<ServerRow>,
    /// The groups these form, by name; none in a backend that makes none.
    pub(crate) groups: Vec<GroupRow>,
    /// What it does.
    pub(crate) work: Work,
    /// Who waits for its servers.
    pub(crate) queue: QueueRow,
    /// A server is usable, or there is none at all.
    pub(crate) up: bool,
    /// What is usable.
    pub(crate) usable: Usable,
    /// Changes to DOWN.
    pub(crate) downs: u64,
    /// When that changed last, milliseconds since the start.
    pub(crate) changed_ms: u64,
    /// Seconds since the last change.
    pub(crate) changed_s: u64,
    /// Seconds without a usable server.
    pub(crate) downtime_s: u64,
    /// HAProxy's word for the algorithm.
    pub(crate) algorithm: &'static str,
    /// The name of the cookie that keeps clients at its servers.
    pub(crate) cookie: Option<Arc<str>>,
}

/// The queue of a backend.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueueRow {
    /// How many wait now.
    pub(crate) now: u64,
    /// The most that waited at once.
    pub(crate) peak: u64,
    /// The most that may; `None` = no server has a limit, so nobody waits.
    pub(crate) limit: Option<u64>,
}

/// A server.
#[derive(Debug, Clone)]
pub(crate) struct ServerRow {
    /// Who.
    pub(crate) id: ServerId,
    /// HAProxy's number within the backend.
    pub(crate) sid: u32,
    /// What people see.
    pub(crate) name: Arc<str>,
    /// Where it listens.
    pub(crate) address: ServerAddress,
    /// It is spoken to with TLS.
    pub(crate) tls: bool,
    /// HAProxy's words, `UP 1/3`.
    pub(crate) status: String,
    /// What the operator says.
    pub(crate) admin: Admin,
    /// What the checks say.
    pub(crate) operational: Operational,
    /// In force among all of the backend, 0-256.
    pub(crate) weight: u16,
    /// In force as it is set: in a group, among those of the group.
    pub(crate) own_weight: u16,
    /// As written.
    pub(crate) initial_weight: u16,
    /// Most sessions at once; 0 = no limit.
    pub(crate) maxconn: u32,
    /// Used only without others.
    pub(crate) backup: bool,
    /// What it does.
    pub(crate) work: Work,
    /// Idle pooled connections of each worker.
    pub(crate) idle_by_worker: Vec<u64>,
    /// Most idle connections.
    pub(crate) pool_max: usize,
    /// An idle connection is kept for this long.
    pub(crate) pool_idle: Duration,
    /// When its status changed last, milliseconds since the start.
    pub(crate) changed_ms: u64,
    /// Seconds since the last change of its status.
    pub(crate) changed_s: u64,
    /// Its check.
    pub(crate) check: Option<CheckRow>,
    /// What its backend's cookie names it by.
    pub(crate) cookie: Option<Arc<str>>,
    /// Clients that wait for it alone: now, and the most at once.
    pub(crate) waiting: (u64, u64),
}

/// The check of a server.
#[derive(Debug, Clone)]
pub(crate) struct CheckRow {
    /// Where it goes, if not to the server's own address.
    pub(crate) address: Option<ServerAddress>,
    /// Passes it takes to be UP.
    pub(crate) rise: u32,
    /// Failures it takes to be DOWN.
    pub(crate) fall: u32,
    /// 0..rise+fall-1.
    pub(crate) health: u32,
    /// The last one.
    pub(crate) last: LastCheck,
    /// The next one is under way.
    pub(crate) running: bool,
    /// More about it, may be empty.
    pub(crate) info: String,
    /// Failed checks.
    pub(crate) failures: u64,
    /// Changes to DOWN.
    pub(crate) downs: u64,
    /// Seconds DOWN.
    pub(crate) downtime_s: u64,
}

/// What of a backend may get work now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Usable {
    /// Active servers.
    pub(crate) active: u32,
    /// Backup servers.
    pub(crate) backup: u32,
    /// Sum of the weights that share the work: the active ones', else the first backup's.
    pub(crate) weight: u64,
}

impl Usable {
    pub(super) fn of(backend: &Backend) -> Self {
        let mut usable = Self::default();
        let mut reserve = 0;
        for (index, server) in backend.servers.iter().enumerate() {
            let weight = u64::from(backend.shown_weight(index));
            if weight == 0 || !server.state.is_usable() {
                continue;
            }
            if server.backup {
                usable.backup += 1;
                if reserve == 0 {
                    reserve = weight;
                }
            } else {
                usable.active += 1;
                usable.weight += weight;
            }
        }
        if usable.active == 0 {
            usable.weight = reserve;
        }
        usable
    }

    /// HAProxy's idea of UP: a backend without any server is.
    pub(super) fn is_up(self, backend: &Backend) -> bool {
        self.weight > 0 || backend.servers.is_empty()
    }
}
