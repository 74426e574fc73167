//! Frontends: routes, limits and what requests are told to carry.

use super::*;

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
    /// Where TLS that is passed through goes; first match wins, always empty in http mode.
    pub passed: Vec<TlsRoute>,
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

impl Frontend {
    /// Indices of the backends it may lead to, one as often as it is named.
    pub fn leads_to(&self) -> impl Iterator<Item = usize> {
        let routes = self.routes.iter().filter_map(|route| route.to.backend());
        let passed = self.passed.iter().filter_map(|route| route.backend);
        routes.chain(passed).chain(self.default_backend)
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

/// One rule that sends a request to a backend, or refuses it. All given conditions must hold.
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
    /// What becomes of it.
    pub to: RouteTo,
}

/// What becomes of a request that a route takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteTo {
    /// A server of this backend gets it: index into [`Config::backends`].
    Backend(usize),
    /// It is answered with this status: one of [`Self::STATUSES`].
    Deny(u16),
}

impl RouteTo {
    /// With what a request may be refused: HAProxy's deny_status (manual 4.2), but for 401,
    /// which must say how to log in (RFC 9110 15.5.2).
    pub const STATUSES: &[u16] = &[
        200, 400, 403, 404, 405, 408, 410, 413, 425, 429, 500, 501, 502, 503, 504,
    ];

    /// Index of the backend; `None` = it gets to none.
    pub const fn backend(self) -> Option<usize> {
        match self {
            Self::Backend(index) => Some(index),
            Self::Deny(_) => None,
        }
    }
}

/// One rule that sends a connection of TLS, which is not terminated here, to a
/// backend, or refuses it. All given conditions must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsRoute {
    /// The host that the ClientHello names (RFC 6066 3).
    pub sni: Option<HostMatch>,
    /// One of these protocols is offered (RFC 7301); empty = any, or none.
    pub alpn: Vec<String>,
    /// Index into [`Config::backends`]; `None` = it is closed.
    pub backend: Option<usize>,
}

/// A host condition.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HostMatch {
    /// `demo.example.com`
    Exact(String),
    /// `*.example.com`: the suffix with its leading dot, `.example.com`; any number of labels in front.
    Suffix(String),
}

impl HostMatch {
    /// Whether it is this host, in any case, without port and final dot.
    #[inline]
    pub fn matches(&self, host: &[u8]) -> bool {
        match self {
            Self::Exact(name) => host.eq_ignore_ascii_case(name.as_bytes()),
            // `host` may be shorter than the suffix: checked, never plain arithmetic.
            Self::Suffix(suffix) => host
                .len()
                .checked_sub(suffix.len())
                .filter(|label| *label > 0)
                .is_some_and(|label| host[label..].eq_ignore_ascii_case(suffix.as_bytes())),
        }
    }
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
    /// From the accept to the end of a ClientHello that is passed through. Default 5 s.
    pub client_hello: Duration,
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
