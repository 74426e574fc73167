//! Defaults, each with its reason.

use super::*;

impl Default for Config {
    /// Nothing is served.
    fn default() -> Self {
        Self {
            global: Global::default(),
            frontends: Vec::new(),
            backends: Vec::new(),
            discovery: Discovery::default(),
            register: Vec::new(),
            logs: Vec::new(),
            discovered: Backend::new("", Mode::Http),
            stats: None,
        }
    }
}

impl Default for Global {
    fn default() -> Self {
        Self {
            workers: None,
            pin: false,
            maxconn: None,
            admin: Vec::new(),
            state_dir: None,
            // What container platforms grant between SIGTERM and SIGKILL.
            drain_timeout: Duration::from_secs(30),
            drain_delay: Duration::ZERO,
            // Consul without a quorum takes 7 s to say so.
            ready_timeout: Duration::from_secs(10),
            // A request may be under way to an idle-looking connection.
            close_idle_after: Duration::from_secs(1),
            worker_stall: Duration::from_secs(30),
            // A user other than root gets 1,024 full-sized pipes.
            pipes_max: 512,
            accept_budget: 64,
            user: None,
            group: None,
            // A handshake under way holds some 20 KiB.
            tls_handshakes_max: 10_000,
        }
    }
}

impl Default for ClientTimeouts {
    fn default() -> Self {
        Self {
            client: Duration::from_secs(30),
            http_request: Duration::from_secs(10),
            keep_alive: Duration::from_secs(30),
            tunnel: Duration::from_secs(3600),
            half_closed: Duration::from_secs(30),
            // As http_request: it is the first thing a client owes.
            tls_handshake: Duration::from_secs(10),
            // HAProxy's manual has it in every example of inspect-delay.
            client_hello: Duration::from_secs(5),
        }
    }
}

impl Default for ServerTimeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            server: Duration::from_secs(60),
            // Below the keep-alive of common origins, so that we close first.
            pool_idle: Duration::from_secs(5),
            tunnel: None,
        }
    }
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self {
            uri: 16 << 10,
            head: 32 << 10,
            headers: 100,
            body: None,
        }
    }
}

impl Default for ResponseLimits {
    fn default() -> Self {
        Self {
            head: 60 << 10,
            headers: 200,
        }
    }
}

impl Default for Forwarded {
    fn default() -> Self {
        Self {
            for_: ForwardedFor::Append,
            proto: true,
            port: ForwardedPort::Local,
            host: true,
            trusted: Vec::new(),
            rfc7239: false,
            via: None,
            request_id: None,
        }
    }
}

impl Default for Bind {
    fn default() -> Self {
        Self {
            address: BindAddress::Any(80),
            backlog: 4096,
            nodelay: true,
            keepalive: None,
            defer_accept: None,
            interface: None,
            socket_mode: None,
            user: None,
            group: None,
            tls: false,
            protocol: BindProtocol::default(),
            proxy_protocol: AcceptProxy::default(),
        }
    }
}

impl Default for RedirectHttps {
    fn default() -> Self {
        // Browsers remember it; a POST over http has been read by others already.
        Self {
            code: 301,
            port: 443,
        }
    }
}

impl Default for Check {
    fn default() -> Self {
        let interval = Duration::from_secs(2);
        Self {
            probe: Probe::Tcp,
            interval,
            fast_interval: interval,
            down_interval: interval,
            timeout: interval,
            rise: 2,
            fall: 3,
            tls: true,
            proxy_protocol: ProxyChoice::Inherit,
        }
    }
}

impl Default for AdminSocket {
    /// The socket of a file that does not speak of `admin`.
    fn default() -> Self {
        Self {
            address: AdminAddress::Unix(PathBuf::from("/run/rlb/admin.sock")),
            mode: 0o600,
            user: None,
            group: None,
            level: AdminLevel::Admin,
        }
    }
}

impl Backend {
    /// A backend with every setting at its default, without servers.
    pub fn new(name: impl Into<Arc<str>>, mode: Mode) -> Self {
        Self {
            name: name.into(),
            mode,
            balance: Balance::RoundRobin,
            // HAProxy's number; each goes to another server.
            retries: 3,
            servers: Vec::new(),
            sources: Vec::new(),
            check: None,
            check_discovered: true,
            panic: 0,
            timeouts: ServerTimeouts::default(),
            limits: ResponseLimits::default(),
            pool_max: 256,
            server_maxconn: 0,
            // At 2,000 requests a second the last of them would wait as long as the
            // timeout lets it, and 4 KiB each make 40 MiB.
            maxqueue: 10_000,
            queue_timeout: ServerTimeouts::default().connect,
            observe_connect: false,
            drain_timeout: None,
            // Longer than the checks of a restarted server take with theirs.
            retry_after: Duration::from_secs(5),
            tls: None,
            proxy_protocol: None,
            protocol: Protocol::default(),
            http2: ServerHttp2::default(),
            groups: None,
            cookie: None,
        }
    }
}

impl Frontend {
    /// A frontend with every setting at its default, listening nowhere.
    pub fn new(name: impl Into<Arc<str>>, mode: Mode) -> Self {
        Self {
            name: name.into(),
            mode,
            binds: Vec::new(),
            maxconn: None,
            routes: Vec::new(),
            passed: Vec::new(),
            default_backend: None,
            timeouts: ClientTimeouts::default(),
            limits: RequestLimits::default(),
            forwarded: Forwarded::default(),
            keep_alive_requests: 0,
            discovered_routes: false,
            stats: None,
            monitor: None,
            tls: None,
            redirect_https: None,
            http2: ClientHttp2::default(),
        }
    }
}

impl Default for Stats {
    /// As on a frontend.
    fn default() -> Self {
        Self {
            path: "/haproxy_stats".to_owned(),
            accounts: Vec::new(),
            auth_file: None,
            admin: false,
            refresh: None,
            // What a frontend serves under /metrics is its servers' business.
            metrics: None,
        }
    }
}

impl Default for StatsServer {
    /// Listens nowhere.
    fn default() -> Self {
        Self {
            binds: Vec::new(),
            tls: None,
            page: Stats {
                metrics: Some("/metrics".to_owned()),
                ..Stats::default()
            },
        }
    }
}

impl Log {
    /// A log with every other setting at its default.
    pub fn to(target: LogTarget) -> Self {
        Self {
            target,
            what: LogWhat::Access,
            format: LogFormat::Haproxy,
            tag: "rlb".to_owned(),
            only_errors: false,
            // HAProxy's lines end there.
            uri_max: 1024,
        }
    }
}

impl Server {
    /// A server with every setting at its default.
    pub fn new(name: impl Into<Arc<str>>, address: ServerAddress) -> Self {
        Self {
            name: name.into(),
            address,
            weight: 1,
            backup: false,
            group: None,
            disabled: false,
            check: None,
            check_port: None,
            check_address: None,
            maxconn: None,
            tls: TlsChoice::Backend,
            proxy_protocol: ProxyChoice::Inherit,
            cookie: None,
        }
    }
}

impl Default for Cookie {
    /// What `cookie = true` is.
    fn default() -> Self {
        Self {
            // The one of HAProxy's manual, which operators know.
            name: "SERVERID".into(),
            indirect: true,
            nocache: true,
            preserve: false,
            httponly: true,
            secure: CookieSecure::Auto,
            same_site: None,
            domain: None,
            path: "/".into(),
            max_age: None,
            maxidle: None,
            maxlife: None,
            key: "".into(),
        }
    }
}

impl Probe {
    /// What `check = true` asks in http mode: HEAD /, and 200 to 399 passes.
    pub fn http() -> Self {
        Self::Http {
            protocol: Protocol::default(),
            method: CHECK_METHOD.to_owned(),
            path: CHECK_PATH.to_owned(),
            host: None,
            headers: Vec::new(),
            expect: vec![CHECK_EXPECT],
        }
    }
}

/// As cheap as an answer can be.
pub(super) const CHECK_METHOD: &str = "HEAD";
pub(super) const CHECK_PATH: &str = "/";
/// What HAProxy takes for alive.
pub(super) const CHECK_EXPECT: std::ops::RangeInclusive<u16> = 200..=399;
