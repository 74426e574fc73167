//! Defaults, each with its reason.

use super::*;

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
            // A request may be under way to an idle-looking connection.
            close_idle_after: Duration::from_secs(1),
            worker_stall: Duration::from_secs(30),
            // A user other than root gets 1,024 full-sized pipes.
            pipes_max: 512,
            accept_budget: 64,
            user: None,
            group: None,
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
        }
    }
}
