//! `[discovery]` and what a `source` may be: types and defaults.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::{Docker, DockerSource};

/// One place servers come from beside those that are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file that lists servers (TOML with `server = [...]`).
    File(PathBuf),
    /// A service in Consul.
    Consul(ConsulSource),
    /// Containers of Docker or Podman.
    Docker(DockerSource),
    /// Members of any source that announce the backend; never in a file.
    Announced,
    /// Records of a name in DNS.
    Dns(DnsSource),
}

/// A service in Consul.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsulSource {
    /// Its name there.
    pub service: String,
    /// Instances must have all of these tags; empty = any.
    pub tags: Vec<String>,
}

/// Records of a name in DNS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsSource {
    /// The name; the search list of resolv.conf is tried if it has few dots.
    pub name: String,
    /// Which records.
    pub record: DnsRecord,
}

/// Records that name servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DnsRecord {
    /// IPv4 addresses; all listen on this port.
    A(u16),
    /// IPv6 addresses; all listen on this port.
    Aaaa(u16),
    /// Targets with port, priority and weight (RFC 2782).
    Srv,
}

/// `[discovery]`: for all sources but files.
#[derive(Debug, Clone, PartialEq)]
pub struct Discovery {
    /// Changes that follow one within this time are joined. Default 100 ms.
    pub coalesce: Duration,
    /// But none waits longer than this. Default 1 s.
    pub max_delay: Duration,
    /// A set that becomes empty all of a sudden is believed after this. Default 30 s.
    pub empty_hold: Duration,
    /// A warning when nothing good was heard for this long. Default 5 min.
    pub stale_warn: Duration,
    /// Between tries that fail.
    pub backoff: Backoff,
    /// `[discovery.consul]`.
    pub consul: Consul,
    /// `[discovery.docker]`.
    pub docker: Docker,
    /// `[discovery.dns]`.
    pub dns: Dns,
}

/// `[discovery.dns]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dns {
    /// Who is asked; empty = resolv.conf and the hosts file.
    pub servers: Vec<SocketAddr>,
    /// How they are asked.
    pub transport: DnsTransport,
    /// The times to live of records are brought into this range.
    pub ttl: Ttl,
    /// A name that is gone is believed to be after this. Default 30 s.
    pub hold_nx: Duration,
}

/// How a DNS server is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DnsTransport {
    /// UDP, and TCP for an answer that is cut short.
    Udp,
    /// TCP alone.
    Tcp,
}

/// Bounds of times to live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ttl {
    /// Default 1 s.
    pub min: Duration,
    /// Default 10 s.
    pub max: Duration,
}

/// Waits between tries that fail: doubling, anywhere between nothing and the bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The first bound. Default 250 ms.
    pub min: Duration,
    /// The last one. Default 30 s.
    pub max: Duration,
}

/// `[discovery.consul]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consul {
    /// Where the agent listens; `None` = CONSUL_HTTP_ADDR, else `http://127.0.0.1:8500`.
    pub address: Option<ApiAddress>,
    /// Holds the ACL token, read again when Consul refuses it; `None` =
    /// CONSUL_HTTP_TOKEN_FILE, else CONSUL_HTTP_TOKEN, else none.
    pub token_file: Option<PathBuf>,
    /// Certificates that sign Consul's, PEM; `None` = CONSUL_CACERT, else the system's.
    pub ca_file: Option<PathBuf>,
    /// `None` = the agent's own.
    pub datacenter: Option<String>,
    /// Any server may answer, also without a leader. Default true.
    pub stale: bool,
    /// A query is answered after this at the latest. Default 55 s.
    pub wait: Duration,
    /// Most queries at once; each is a connection. Default 100.
    pub max_watches: usize,
    /// What makes backends and routes by itself.
    pub expose: Expose,
}

/// `[[register]]`: this process as a service in Consul.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Register {
    /// The service's name there.
    pub service: String,
    /// Where clients find the frontend.
    pub address: SocketAddr,
    /// The frontend it stands for: passing while that is ready.
    pub frontend: String,
    /// The service's tags.
    pub tags: Vec<String>,
    /// Consul calls it critical when it heard nothing for this long. Default 10 s.
    pub ttl: Duration,
    /// And forgets it after this long in that state. Default 1 min, Consul's least.
    pub deregister_after: Duration,
}

/// Where an HTTP API is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ApiAddress {
    /// `http://host:port`, `host:port`.
    Http(String, u16),
    /// `https://host:port`.
    Https(String, u16),
    /// `unix:///path`.
    Unix(PathBuf),
}

impl std::fmt::Display for ApiAddress {
    /// As it is written in a file.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Http(host, port) if host.contains(':') => write!(f, "http://[{host}]:{port}"),
            Self::Https(host, port) if host.contains(':') => write!(f, "https://[{host}]:{port}"),
            Self::Http(host, port) => write!(f, "http://{host}:{port}"),
            Self::Https(host, port) => write!(f, "https://{host}:{port}"),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

/// Which services make backends and routes by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expose {
    /// None: only those that a backend's `source` names are looked at.
    Named,
    /// Those with `rlb.*` tags too.
    Tagged,
}

impl Default for Discovery {
    fn default() -> Self {
        Self {
            // Two writes that belong together are seen a few milliseconds apart.
            coalesce: Duration::from_millis(100),
            max_delay: Duration::from_secs(1),
            // A lost permission looks exactly like "nothing there".
            empty_hold: Duration::from_secs(30),
            stale_warn: Duration::from_secs(300),
            backoff: Backoff::default(),
            consul: Consul::default(),
            docker: Docker::default(),
            dns: Dns::default(),
        }
    }
}

impl Default for Dns {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            transport: DnsTransport::Udp,
            // Both ends are real: Consul says 0 s, Docker 600 s of what changes at once.
            ttl: Ttl {
                min: Duration::from_secs(1),
                max: Duration::from_secs(10),
            },
            hold_nx: Duration::from_secs(30),
        }
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            min: Duration::from_millis(250),
            max: Duration::from_secs(30),
        }
    }
}

impl Default for Consul {
    fn default() -> Self {
        Self {
            address: None,
            token_file: None,
            ca_file: None,
            datacenter: None,
            // Traffic must not stop while the servers elect a leader.
            stale: true,
            // Bounds how long an index of another cluster's can blind a query;
            // the agent adds up to a sixteenth.
            wait: Duration::from_secs(55),
            // An agent takes 200 connections from one address.
            max_watches: 100,
            expose: Expose::Named,
        }
    }
}
