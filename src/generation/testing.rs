//! Small configurations for the tests of this room and of those above it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::{Desired, Generation};
use crate::config::*;

/// A written server on loopback, port `port`, named `s<port>`.
pub(crate) fn server(port: u16, weight: u16) -> Server {
    let address = ServerAddress::Ip(SocketAddr::from(([127, 0, 0, 1], port)));
    Server {
        weight,
        ..Server::new(format!("s{port}"), address)
    }
}

/// A backend of these servers without checks.
pub(crate) fn backend(name: &str, servers: Vec<Server>) -> Backend {
    Backend {
        name: name.into(),
        mode: Mode::Http,
        balance: Balance::RoundRobin,
        retries: 3,
        servers,
        sources: Vec::new(),
        check: None,
        check_discovered: true,
        panic: 0,
        timeouts: ServerTimeouts {
            connect: Duration::from_secs(5),
            server: Duration::from_secs(60),
            pool_idle: Duration::from_secs(5),
            tunnel: None,
        },
        limits: ResponseLimits::default(),
        pool_max: 256,
        observe_connect: false,
        drain_timeout: None,
        retry_after: Duration::from_secs(5),
        ..Backend::new(name, Mode::Http)
    }
}

/// Servers of weight 1 in these groups: `(name, servers)`, ports from 1 on.
pub(crate) fn grouped(groups: &[(&str, u16)]) -> Vec<Server> {
    let names = groups
        .iter()
        .flat_map(|(name, count)| (0..*count).map(move |_| *name));
    let server = |(port, name): (u16, &str)| Server {
        group: Some(name.into()),
        ..server(port, 1)
    };
    (1..).zip(names).map(server).collect()
}

/// Groups with these shares.
pub(crate) fn shares(shares: &[(&str, u32)]) -> Groups {
    let shares = shares.iter().map(|(name, share)| ((*name).into(), *share));
    Groups {
        by: None,
        weights: GroupWeights::Static(Arc::new(shares.collect())),
        missing: 0,
        all_zero: AllZero::Refuse,
    }
}

/// A frontend on these ports that leads to the backend of this index.
pub(crate) fn frontend(name: &str, ports: &[u16], default_backend: Option<usize>) -> Frontend {
    let bind = |port: &u16| Bind {
        address: BindAddress::Any(*port),
        ..Bind::default()
    };
    Frontend {
        name: name.into(),
        mode: Mode::Http,
        binds: ports.iter().map(bind).collect(),
        maxconn: None,
        routes: Vec::new(),
        passed: Vec::new(),
        default_backend,
        timeouts: ClientTimeouts::default(),
        limits: RequestLimits::default(),
        forwarded: Forwarded::default(),
        keep_alive_requests: 0,
        stats: None,
        ..Frontend::new(name, Mode::Http)
    }
}

/// What a file with these would ask for.
pub(crate) fn desired(frontends: Vec<Frontend>, backends: Vec<Backend>) -> Desired {
    Desired::of_file(Arc::new(Config {
        global: Global::default(),
        frontends,
        backends,
        stats: None,
        logs: Vec::new(),
        discovery: Discovery::default(),
        register: Vec::new(),
        discovered: Backend::new("", Mode::Http),
    }))
}

/// The first generation of a file with these backends alone, for two workers.
pub(crate) fn serving(backends: Vec<Backend>) -> Generation {
    Generation::first(&desired(Vec::new(), backends), 2).0
}
