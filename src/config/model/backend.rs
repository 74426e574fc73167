//! Backends, their servers and their checks.

use super::*;

/// A set of servers.
#[derive(Debug, Clone, PartialEq)]
pub struct Backend {
    /// Unique among backends.
    pub name: Arc<str>,
    /// http or tcp; must be that of the frontends that use it.
    pub mode: Mode,
    /// How servers are chosen.
    pub balance: Balance,
    /// Tries on another connection after a refused or timed-out connect. Default 3.
    pub retries: u32,
    /// Written servers, in order.
    pub servers: Vec<Server>,
    /// Where more servers come from.
    pub sources: Vec<Source>,
    /// Health check of every server; `None` = none.
    pub check: Option<Check>,
    /// Where `check` is `None`, servers that a source found are checked by a connect
    /// nevertheless. Default true; false when `check = false` is written.
    pub check_discovered: bool,
    /// With less than this share (percent) of the servers passing their check, all
    /// that their source calls good are used. Default 0: never.
    pub panic: u8,
    /// Waits on the server's side.
    pub timeouts: ServerTimeouts,
    /// Sizes of what a server may answer.
    pub limits: ResponseLimits,
    /// Most idle connections kept per server, for the process. Default 256. 0 = no reuse.
    pub pool_max: usize,
    /// Most requests (tcp: sessions) at once of each server that says nothing of its own.
    /// Default 0 = no limit.
    pub server_maxconn: u32,
    /// Most requests that wait at once for a server that is not at its limit; more are
    /// answered with 503. Default 10,000, at least 1.
    pub maxqueue: usize,
    /// How long one of them waits (503). Default = `timeouts.connect`.
    pub queue_timeout: Duration,
    /// A refused or timed-out connect counts as a failed check. Default false.
    pub observe_connect: bool,
    /// Overrides [`Global::drain_timeout`].
    pub drain_timeout: Option<Duration>,
    /// The `Retry-After` of a 503 for want of a server. Default 5 s; zero = none.
    pub retry_after: Duration,
    /// How servers that say nothing of their own are spoken to; `None` (default) = without TLS.
    pub tls: Option<ServerTls>,
    /// Servers that say nothing of their own are told who the client is; `None` (default)
    /// = they are not.
    pub proxy_protocol: Option<ProxyVersion>,
    /// What its servers speak. Default HTTP/1.
    pub protocol: Protocol,
    /// Its HTTP/2 servers.
    pub http2: ServerHttp2,
    /// Servers share the work in groups; `None` = each by its own weight.
    pub groups: Option<Groups>,
    /// Clients are kept at their servers; `None` (default) = they are not.
    pub cookie: Option<Cookie>,
}

/// Servers that share the work in groups, as the versions of a canary do: a
/// group gets its share, a server its weight's part of that.
#[derive(Debug, Clone, PartialEq)]
pub struct Groups {
    /// What of a discovered server names its group; `None` = only a written `group` does.
    pub by: Option<GroupBy>,
    /// Where the shares come from.
    pub weights: GroupWeights,
    /// Share of a group that the weights do not list. Default 0: no new work.
    pub missing: u32,
    /// When every group's share is 0. Default refuse.
    pub all_zero: AllZero,
}

/// What of a discovered server names its group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupBy {
    /// The rest of a tag behind this word and a `=`.
    Tag(String),
    /// This key of its meta data.
    Meta(String),
    /// This label.
    Label(String),
}

/// Where the shares of groups come from.
#[derive(Debug, Clone, PartialEq)]
pub enum GroupWeights {
    /// A key of Consul's store for each group.
    ConsulKv(KvPattern),
    /// One key of Consul's store with a JSON object.
    ConsulKvJson(String),
    /// A file with one JSON object, or TOML of the same shape.
    File(PathBuf),
    /// Written in the configuration.
    Static(Arc<BTreeMap<Arc<str>, u32>>),
}

/// Keys of Consul's store that differ in the name of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvPattern {
    /// Before the name.
    pub prefix: String,
    /// Behind it.
    pub suffix: String,
}

/// What happens when every group's share is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AllZero {
    /// Nobody gets work: 503.
    Refuse,
    /// All get the same.
    Equal,
}

impl Backend {
    /// The files among its sources.
    pub fn server_files(&self) -> impl Iterator<Item = &PathBuf> {
        self.sources.iter().filter_map(|source| match source {
            Source::File(path) => Some(path),
            Source::Consul(_) | Source::Dns(_) | Source::Docker(_) | Source::Announced => None,
        })
    }
}

/// Load-balancing algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Balance {
    /// Weighted round-robin, exact over each cycle.
    RoundRobin,
}

/// A server as written in the file, or as a source or the admin socket gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Unique in its backend; `ip:port` when none was written.
    pub name: Arc<str>,
    /// Where it listens.
    pub address: ServerAddress,
    /// 0-256; 0 = no new traffic. Default 1.
    pub weight: u16,
    /// Used only when no other server is usable.
    pub backup: bool,
    /// Its group in a backend that makes groups; `None` = what its source says.
    pub group: Option<Arc<str>>,
    /// Starts in maintenance. Default false.
    pub disabled: bool,
    /// `None` = the backend's check; `Some(false)` = none for this server.
    pub check: Option<bool>,
    /// Checks go to this port instead.
    pub check_port: Option<u16>,
    /// Checks go to this address instead.
    pub check_address: Option<std::net::IpAddr>,
    /// Most requests (tcp: sessions) at once, 0 = no limit; `None` (default) = as its
    /// backend says.
    pub maxconn: Option<u32>,
    /// Whether and how it is spoken to with TLS.
    pub tls: TlsChoice,
    /// Whether a PROXY header comes before all else.
    pub proxy_protocol: ProxyChoice,
    /// Its value of the backend's cookie; `None` (default) = one derived from its address.
    pub cookie: Option<Arc<str>>,
}

/// A server's own word on TLS.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub enum TlsChoice {
    /// As its backend says.
    #[default]
    Backend,
    /// Without, whatever the backend says.
    Off,
    /// So. Boxed: most servers have no word of their own.
    Own(Box<ServerTls>),
}

impl TlsChoice {
    /// What comes of it in a backend that says `backend`.
    pub fn of<'a>(&'a self, backend: Option<&'a ServerTls>) -> Option<&'a ServerTls> {
        match self {
            Self::Backend => backend,
            Self::Off => None,
            Self::Own(tls) => Some(tls),
        }
    }
}

/// Address of a server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ServerAddress {
    /// `ip:port` or `[v6]:port`.
    Ip(SocketAddr),
    /// `unix:/path`.
    Unix(PathBuf),
    /// `unix:@name`.
    Abstract(String),
    /// `name:port`, as long as DNS has not said what it stands for.
    Name(String, u16),
}

impl std::fmt::Display for ServerAddress {
    /// As it is written in a file.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ip(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Abstract(name) => write!(f, "unix:@{name}"),
            Self::Name(name, port) => write!(f, "{name}:{port}"),
        }
    }
}

/// Active health check.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// What is asked.
    pub probe: Probe,
    /// Between two checks. Default 2 s.
    pub interval: Duration,
    /// Between two checks while the state is changing; default = interval.
    pub fast_interval: Duration,
    /// Between two checks of a server that is DOWN; default = interval.
    pub down_interval: Duration,
    /// The whole check; default = interval.
    pub timeout: Duration,
    /// Good checks in a row before a DOWN server is UP. Default 2.
    pub rise: u32,
    /// Bad checks in a row before an UP server is DOWN. Default 3.
    pub fall: u32,
    /// False = the check speaks without TLS to a server that has it. Default true.
    pub tls: bool,
    /// Whether a check begins with a PROXY header. By default as traffic does, but not
    /// on an address or port of its own.
    pub proxy_protocol: ProxyChoice,
}

/// What a check asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// The connect alone.
    Tcp,
    /// gRPC's own health check (`grpc.health.v1.Health/Check`), by HTTP/2.
    Grpc {
        /// Default "": the server as a whole.
        service: String,
        /// `:authority`; default = the server's `ip:port`.
        host: Option<String>,
    },
    /// One request.
    Http {
        /// How it is asked. Default HTTP/1.1.
        protocol: Protocol,
        /// Default HEAD.
        method: String,
        /// Default `/`.
        path: String,
        /// Host header; default = the server's `ip:port`.
        host: Option<String>,
        /// More request fields.
        headers: Vec<(String, String)>,
        /// Status codes that pass; default 200-399.
        expect: Vec<std::ops::RangeInclusive<u16>>,
    },
}
