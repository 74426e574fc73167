//! An engine inside the test's own process: for what only shows from within.

use std::net::{SocketAddr, TcpStream};

use rlb::config::Config;
use rlb::internal::engine::{self, Server};
use rlb::{Engine, StartError, StopKind};

use super::PATIENCE;

/// A running engine; cut when dropped.
#[derive(Debug)]
pub(crate) struct Lb(Option<Engine>);

impl Lb {
    /// Starts one. Its binds best ask for port 0.
    #[track_caller]
    pub(crate) fn start(config: &str) -> Self {
        Self(Some(
            Engine::start(parse(config)).unwrap_or_else(|error| panic!("{error}")),
        ))
    }

    fn engine(&self) -> &Engine {
        self.0.as_ref().expect("taken on drop only")
    }

    /// Where a frontend listens.
    #[track_caller]
    pub(crate) fn addr(&self, frontend: &str) -> SocketAddr {
        let addresses = self.engine().addresses();
        let found = addresses.iter().find(|(name, _)| &**name == frontend);
        found
            .unwrap_or_else(|| panic!("{frontend} in {addresses:?}"))
            .1
    }

    /// Wherever it listens.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.engine()
            .addresses()
            .iter()
            .map(|(_, addr)| *addr)
            .collect()
    }

    /// A connection to a frontend, with a deadline on reads and writes.
    #[track_caller]
    pub(crate) fn connect(&self, frontend: &str) -> TcpStream {
        connect(self.addr(frontend))
    }

    pub(crate) fn apply(&self, config: &str) -> Result<(), StartError> {
        self.engine().apply(parse(config))
    }

    #[track_caller]
    pub(crate) fn server(&self, backend: &str, server: &str) -> Server {
        engine::server(self.engine(), backend, server)
    }

    pub(crate) fn per_worker_connections(&self, frontend: &str) -> Vec<u64> {
        engine::per_worker_connections(self.engine(), frontend)
    }

    /// Client connections now.
    pub(crate) fn connections(&self) -> usize {
        engine::connections_and_pipes(self.engine()).0
    }

    /// Pipes now.
    pub(crate) fn pipes(&self) -> usize {
        engine::connections_and_pipes(self.engine()).1
    }
}

impl Drop for Lb {
    fn drop(&mut self) {
        if let Some(engine) = self.0.take() {
            engine.stop(StopKind::Now);
            engine.wait();
        }
    }
}

#[track_caller]
fn parse(config: &str) -> Config {
    let loaded = Config::parse("test.toml", config);
    loaded
        .unwrap_or_else(|errors| panic!("{}", errors.render(false)))
        .config
}

/// A plain connection with a deadline on reads and writes.
#[track_caller]
pub(crate) fn connect(addr: SocketAddr) -> TcpStream {
    // With a timeout of its own it would report a reset behind the connect as its failure.
    let stream = TcpStream::connect(addr).unwrap_or_else(|error| panic!("{addr}: {error}"));
    stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
    stream.set_write_timeout(Some(PATIENCE)).expect("not zero");
    stream.set_nodelay(true).expect("a connected socket");
    stream
}
