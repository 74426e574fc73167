//! Where clients come in, and what they say before anything else.

use super::*;

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
