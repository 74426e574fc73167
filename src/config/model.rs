//! The run types: one value per setting, valid by construction.

use super::*;

/// One whole, valid configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Settings of the process.
    pub global: Global,
    /// Frontends in the order of the file.
    pub frontends: Vec<Frontend>,
    /// Backends in the order of the file.
    pub backends: Vec<Backend>,
    /// Logs in the order of the file; none = events to stderr, no access log.
    pub logs: Vec<Log>,
    /// How sources are watched.
    pub discovery: Discovery,
    /// This process in Consul.
    pub register: Vec<Register>,
    /// What `[defaults]` say: the settings of backends that make themselves.
    pub discovered: Backend,
    /// A listener of its own for the stats page; `None` = none.
    pub stats: Option<StatsServer>,
}

/// `[stats]`: the page on a listener of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct StatsServer {
    /// At least one TCP address.
    pub binds: Vec<BindAddress>,
    /// What is shown there, and to whom.
    pub page: Stats,
}

/// The stats page, wherever it is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Stats {
    /// What begins with this is the page; may hold a query. Default `/haproxy_stats`.
    pub path: String,
    /// Written accounts.
    pub accounts: Vec<Account>,
    /// More accounts, in an htpasswd file.
    pub auth_file: Option<PathBuf>,
    /// Servers may be steered there. Default false; true needs an account.
    pub admin: bool,
    /// Clients are told to come again after this; `None` (default) = not at all.
    pub refresh: Option<Duration>,
    /// The path of the metrics. Default `/metrics`, on a frontend none.
    pub metrics: Option<String>,
}

/// Somebody who may see the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Without a colon.
    pub name: String,
    /// What he has to know.
    pub secret: Secret,
}

/// A password or its hash. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// The password itself.
    Plain(String),
    /// `$2y$...`
    Bcrypt(String),
    /// `$6$...` or `$5$...`, as in /etc/shadow and HAProxy's userlists.
    ShaCrypt(String),
}

/// `[[log]]`: what is written where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// Where to.
    pub target: LogTarget,
    /// What. Default access.
    pub what: LogWhat,
    /// How. Default haproxy.
    pub format: LogFormat,
    /// Names the program in a line. Default `rlb`.
    pub tag: String,
    /// Only what did not go well. Default false.
    pub only_errors: bool,
    /// Bytes of a request line that are written. Default 1,024, at most 8,192.
    pub uri_max: usize,
}

/// Where a log goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LogTarget {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// Appended to this file.
    File(PathBuf),
    /// Datagrams to this Unix socket (RFC 3164).
    SyslogUnix(PathBuf),
    /// Datagrams to `host:port` (RFC 3164).
    SyslogUdp(String),
}

/// As it is written in a file.
impl std::fmt::Display for LogTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stdout => f.write_str("stdout"),
            Self::Stderr => f.write_str("stderr"),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::SyslogUnix(path) => write!(f, "syslog:{}", path.display()),
            Self::SyslogUdp(to) => write!(f, "syslog:udp:{to}"),
        }
    }
}

/// What a log holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LogWhat {
    /// One line for each request and TCP session.
    Access,
    /// One line for each change of state.
    Events,
}

/// How a line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LogFormat {
    /// httplog, tcplog and HAProxy's words for events.
    Haproxy,
    /// One JSON object.
    Json,
}

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

/// Protocol of a frontend or backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// HTTP/1.1 is parsed and each request is balanced.
    Http,
    /// Bytes are relayed; each connection is balanced.
    Tcp,
}

/// A place clients connect to.
#[derive(Debug, Clone, PartialEq)]
pub struct Frontend {
    /// Unique among frontends, `[A-Za-z0-9_.:-]`.
    pub name: Arc<str>,
    /// http (default) or tcp.
    pub mode: Mode,
    /// At least one.
    pub binds: Vec<Bind>,
    /// Most connections at once; `None` = only the global limit.
    pub maxconn: Option<usize>,
    /// First match wins; always empty in tcp mode.
    pub routes: Vec<Route>,
    /// Index into [`Config::backends`]; `None` = 503 when no route matches.
    pub default_backend: Option<usize>,
    /// Waits on the client's side.
    pub timeouts: ClientTimeouts,
    /// Sizes of what a client may send.
    pub limits: RequestLimits,
    /// X-Forwarded-* and friends.
    pub forwarded: Forwarded,
    /// Requests per connection before it is closed; 0 = no limit.
    pub keep_alive_requests: u32,
    /// Takes the hosts that containers and services announce. Default false;
    /// always false in tcp mode.
    pub discovered_routes: bool,
    /// The stats page under a path of this frontend; `None` = not there.
    pub stats: Option<Stats>,
    /// A path the frontend answers itself; always `None` in tcp mode.
    pub monitor: Option<Monitor>,
    /// How the binds with `tls` speak; set if there is one.
    pub tls: Option<FrontendTls>,
    /// Requests on binds without `tls` are sent to https; `None` (default) = they are served.
    pub redirect_https: Option<RedirectHttps>,
    /// Its HTTP/2 clients.
    pub http2: ClientHttp2,
}

/// A path that tells others whether a frontend is well (HAProxy's monitor-uri).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Monitor {
    /// The request's path, byte for byte; the query is not looked at.
    pub path: String,
    /// Indices into [`Config::backends`], and the servers each must have usable.
    pub fail_below: Vec<(usize, usize)>,
}

/// One listening address of a frontend.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Bind {
    /// Where to listen.
    pub address: BindAddress,
    /// listen(2) backlog. Default 4096.
    pub backlog: u32,
    /// TCP_NODELAY on accepted sockets. Default true.
    pub nodelay: bool,
    /// SO_KEEPALIVE idle time on accepted sockets; `None` (default) = off.
    pub keepalive: Option<Duration>,
    /// TCP_DEFER_ACCEPT, whole seconds; `None` (default) = off. Refused in tcp mode.
    pub defer_accept: Option<Duration>,
    /// SO_BINDTODEVICE.
    pub interface: Option<String>,
    /// Octal mode of a Unix socket; `None` = the umask's.
    pub socket_mode: Option<u32>,
    /// Owner (user name or number) of a Unix socket.
    pub user: Option<String>,
    /// Group of a Unix socket.
    pub group: Option<String>,
    /// What its clients speak, in http mode and without TLS. Default HTTP/1.
    pub protocol: BindProtocol,
    /// Clients speak TLS here. Default false.
    pub tls: bool,
    /// Whether clients are announced by a PROXY header. Default off.
    pub proxy_protocol: AcceptProxy,
}

/// Who announces the clients of a bind by a PROXY header, before all else.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum AcceptProxy {
    /// Nobody.
    #[default]
    Off,
    /// Everybody must.
    Always,
    /// Peers in these networks must, all others are clients themselves. Not empty.
    From(Vec<Network>),
}

impl AcceptProxy {
    /// Whether a connection of this peer begins with a header.
    pub fn is_due_from(&self, peer: std::net::IpAddr) -> bool {
        match self {
            Self::Off => false,
            Self::Always => true,
            Self::From(networks) => networks.iter().any(|network| network.contains(peer)),
        }
    }
}

/// A version of the PROXY protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProxyVersion {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

/// A server's, or a check's, own word on the PROXY protocol.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum ProxyChoice {
    /// A server: as its backend says. A check: as the server's traffic.
    #[default]
    Inherit,
    /// No header.
    Off,
    /// A header of this version.
    Own(ProxyVersion),
}

impl ProxyChoice {
    /// What comes of it where `inherited` is what there is to inherit.
    pub fn of(self, inherited: Option<ProxyVersion>) -> Option<ProxyVersion> {
        match self {
            Self::Inherit => inherited,
            Self::Off => None,
            Self::Own(version) => Some(version),
        }
    }
}

/// An answer that sends a client from http to https.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RedirectHttps {
    /// 301 (default), 302, 303, 307 or 308.
    pub code: u16,
    /// Port clients reach https on. Default 443, which is not written into the address.
    pub port: u16,
}

/// Where a bind listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum BindAddress {
    /// `ip:port` or `[v6]:port`; a v6 address listens for v6 alone.
    Ip(SocketAddr),
    /// `:port` or `*:port`: every address, IPv4 and IPv6, on one socket.
    Any(u16),
    /// `unix:/path`.
    Unix(PathBuf),
    /// `unix:@name`, a Linux abstract socket.
    Abstract(String),
    /// `fd@N`: inherited, already listening.
    Fd(i32),
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

/// As written in the file; [`Any`](Self::Any) as `*:port`.
impl std::fmt::Display for BindAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ip(address) => write!(f, "{address}"),
            Self::Any(port) => write!(f, "*:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Abstract(name) => write!(f, "unix:@{name}"),
            Self::Fd(number) => write!(f, "fd@{number}"),
        }
    }
}

/// One rule that sends a request to a backend. All given conditions must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Host without port, lower case.
    pub host: Option<HostMatch>,
    /// The path starts with this (byte for byte; the query is not looked at).
    pub path_prefix: Option<String>,
    /// One of these methods; empty = any.
    pub methods: Vec<String>,
    /// All of these header conditions hold.
    pub headers: Vec<HeaderMatch>,
    /// Index into [`Config::backends`].
    pub backend: usize,
}

/// A host condition.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HostMatch {
    /// `demo.example.com`
    Exact(String),
    /// `*.example.com`: the suffix with its leading dot, `.example.com`; any number of labels in front.
    Suffix(String),
}

/// A header condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderMatch {
    /// Lower case field name.
    pub name: String,
    /// The value must be this, byte for byte; `None` = the field is there.
    pub value: Option<String>,
}

/// Waits on the client's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientTimeouts {
    /// No byte moved from or to the client. Default 30 s.
    pub client: Duration,
    /// From the first byte of a request head to its last (408). Default 10 s.
    pub http_request: Duration,
    /// Idle between two requests. Default 30 s.
    pub keep_alive: Duration,
    /// Tunnel (Upgrade, tcp mode) without a byte in either direction. Default 1 h.
    pub tunnel: Duration,
    /// Tunnel with one direction closed. Default 30 s.
    pub half_closed: Duration,
    /// From the accept to the end of the TLS handshake. Default 10 s.
    pub tls_handshake: Duration,
}

/// Waits on the server's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerTimeouts {
    /// TCP connect. Default 5 s.
    pub connect: Duration,
    /// No byte moved from or to the server; also the wait for an answer (504). Default 60 s.
    pub server: Duration,
    /// A pooled connection is closed after this. Default 5 s.
    pub pool_idle: Duration,
    /// See [`ClientTimeouts::tunnel`]; the backend's value wins for its tunnels when written.
    pub tunnel: Option<Duration>,
}

/// Sizes of what a client may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestLimits {
    /// Request line, bytes (414). Default 16 KiB.
    pub uri: usize,
    /// Whole head, bytes (431). Default 32 KiB, at most 60 KiB.
    pub head: usize,
    /// Fields of a head (431). Default 100, at most 256.
    pub headers: usize,
    /// Request body, bytes (413); `None` (default) = no limit.
    pub body: Option<u64>,
}

/// Sizes of what a server may answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResponseLimits {
    /// Whole head, bytes (502). Default 60 KiB, at most 60 KiB.
    pub head: usize,
    /// Fields of a head (502). Default 200, at most 256.
    pub headers: usize,
}

/// What is told to the server about the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forwarded {
    /// X-Forwarded-For.
    pub for_: ForwardedFor,
    /// X-Forwarded-Proto: http or https.
    pub proto: bool,
    /// X-Forwarded-Port.
    pub port: ForwardedPort,
    /// X-Forwarded-Host: the request's Host.
    pub host: bool,
    /// Peers whose own X-Forwarded-* are kept.
    pub trusted: Vec<Network>,
    /// Send `Forwarded` (RFC 7239) too.
    pub rfc7239: bool,
    /// Pseudonym for `Via` (RFC 9110 7.6.3), both directions; `None` = no Via is added.
    pub via: Option<String>,
    /// Field that carries a request id made where the client (trusted) sent none; `None` = off.
    pub request_id: Option<String>,
}

/// X-Forwarded-For policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForwardedFor {
    /// What came is kept, the peer's address becomes the last member.
    Append,
    /// What came is removed (unless the peer is trusted: then it is appended to).
    Replace,
    /// Nothing is touched.
    Off,
}

/// X-Forwarded-Port policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForwardedPort {
    /// Not sent.
    Off,
    /// The local port of the client's connection.
    Local,
    /// This number.
    Fixed(u16),
}

/// An IP network in CIDR notation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network {
    /// Network address (IPv4-mapped addresses are written as IPv4).
    pub address: std::net::IpAddr,
    /// Leading bits that count.
    pub prefix: u8,
}

impl Network {
    /// Whether `ip` lies in this network. IPv4-mapped IPv6 counts as IPv4.
    pub fn contains(&self, ip: std::net::IpAddr) -> bool {
        use std::net::IpAddr::{V4, V6};
        match (self.address, ip.to_canonical()) {
            (V4(net), V4(ip)) => {
                let shift = 32 - u32::from(self.prefix.min(32));
                let mask = u32::MAX.checked_shl(shift).unwrap_or(0);
                (net.to_bits() ^ ip.to_bits()) & mask == 0
            }
            (V6(net), V6(ip)) => {
                let shift = 128 - u32::from(self.prefix.min(128));
                let mask = u128::MAX.checked_shl(shift).unwrap_or(0);
                (net.to_bits() ^ ip.to_bits()) & mask == 0
            }
            _ => false,
        }
    }
}

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
    /// Whether and how it is spoken to with TLS.
    pub tls: TlsChoice,
    /// Whether a PROXY header comes before all else.
    pub proxy_protocol: ProxyChoice,
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
    /// One HTTP/1.1 request.
    Http {
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
