//! What concerns the whole process.

use super::*;

/// `[global]`: settings of the process.
#[derive(Debug, Clone, PartialEq)]
pub struct Global {
    /// Worker threads; `None` = one per usable core.
    pub workers: Option<usize>,
    /// Pin each worker to one core. Default false.
    pub pin: bool,
    /// Most connections of the process; `None` = derived from RLIMIT_NOFILE.
    pub maxconn: Option<usize>,
    /// Admin sockets; empty = none.
    pub admin: Vec<AdminSocket>,
    /// Directory for state kept over a restart; `None` = nothing is kept.
    pub state_dir: Option<PathBuf>,
    /// How long removed servers and a stopping process may drain. Default 30 s.
    pub drain_timeout: Duration,
    /// SIGTERM: listeners close after this. Default 0 s.
    pub drain_delay: Duration,
    /// At the start the process is not ready before each source answered or this is
    /// over. Default 10 s.
    pub ready_timeout: Duration,
    /// On stop an idle client connection is closed once idle for this long. Default 1 s.
    pub close_idle_after: Duration,
    /// A worker whose tick is late by this aborts the process. Default 30 s; zero = never.
    pub worker_stall: Duration,
    /// Most pipes (splice) of the process. Default 512.
    pub pipes_max: usize,
    /// Most connections accepted per wake of a listener. Default 64.
    pub accept_budget: usize,
    /// Become this user at the start.
    pub user: Option<String>,
    /// Become this group at the start; `None` = the user's own.
    pub group: Option<String>,
    /// Most TLS handshakes of the process at once; more wait their turn. Default 10,000.
    pub tls_handshakes_max: usize,
}

/// One admin socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminSocket {
    /// Where it listens.
    pub address: AdminAddress,
    /// Octal mode of the Unix socket. Default 0600.
    pub mode: u32,
    /// Owner (user name or number) of the Unix socket.
    pub user: Option<String>,
    /// Group of the Unix socket.
    pub group: Option<String>,
    /// What its clients may do. Default admin.
    pub level: AdminLevel,
}

/// Where an admin socket listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdminAddress {
    /// A Unix socket.
    Unix(PathBuf),
    /// TCP; loopback unless `insecure = true` was written.
    Tcp(SocketAddr),
}

/// What an admin client may do (HAProxy management guide 9.3 "level").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AdminLevel {
    /// Only non-sensitive reads.
    User,
    /// All reads, and clearing counters.
    Operator,
    /// Everything.
    Admin,
}

/// As written in the file.
impl std::fmt::Display for AdminAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "{}", path.display()),
            Self::Tcp(address) => write!(f, "{address}"),
        }
    }
}
