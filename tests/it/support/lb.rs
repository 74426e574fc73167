//! The engine within the test's own process: starts in milliseconds, on a port of its own.

use std::net::{SocketAddr, TcpStream};
use std::panic;
use std::sync::atomic::{AtomicUsize, Ordering};

use rlb::config::Config;
use rlb::internal::engine::{self, Server};
use rlb::{Engine, Exit, StartError, StopKind};

use super::{PATIENCE, RawClient};

/// A running engine. One worker unless its text says otherwise, so that it is known which
/// pool a connection lies in.
#[derive(Debug)]
pub(crate) struct Lb {
    engine: Option<Engine>,
}

impl Lb {
    /// HTTP from any port to these servers: the smallest file.
    #[track_caller]
    pub(crate) fn before(server: SocketAddr) -> Self {
        Self::with(server, "")
    }

    /// The smallest file with more keys in its `[[listen]]`.
    #[track_caller]
    pub(crate) fn with(server: SocketAddr, keys: &str) -> Self {
        Self::start(&format!(
            "[[listen]]\nname = \"web\"\nbind = \"127.0.0.1:0\"\nserver = \"{server}\"\n{keys}\n"
        ))
    }

    /// Any file, as far as it does not have a `[global]`.
    #[track_caller]
    pub(crate) fn start(config: &str) -> Self {
        Self::start_whole(&format!("[global]\nworkers = 1\nadmin = \"\"\n{config}"))
    }

    /// Any file.
    #[track_caller]
    pub(crate) fn start_whole(config: &str) -> Self {
        let engine = Engine::start(parse(config)).unwrap_or_else(|error| panic!("{error}"));
        watch_for_panics();
        Self {
            engine: Some(engine),
        }
    }

    fn engine(&self) -> &Engine {
        self.engine.as_ref().expect("only `wait` takes it")
    }

    /// Where the first frontend listens.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.engine().addresses()[0].1
    }

    /// Where this frontend listens.
    #[track_caller]
    pub(crate) fn addr_of(&self, name: &str) -> SocketAddr {
        let mut all = self.engine().addresses().iter();
        all.find(|(frontend, _)| &**frontend == name)
            .unwrap_or_else(|| panic!("no frontend {name}"))
            .1
    }

    /// A client of the first frontend.
    #[track_caller]
    pub(crate) fn client(&self) -> RawClient {
        RawClient::connect(self.addr())
    }

    /// Wherever it listens.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        let all = self.engine().addresses().iter();
        all.map(|(_, addr)| *addr).collect()
    }

    /// A plain connection to this frontend.
    #[track_caller]
    pub(crate) fn connect(&self, frontend: &str) -> TcpStream {
        connect(self.addr_of(frontend))
    }

    pub(crate) fn apply(&self, config: &str) -> Result<(), StartError> {
        self.engine().apply(parse(config))
    }

    #[track_caller]
    pub(crate) fn server(&self, backend: &str, server: &str) -> Server {
        engine::server(self.engine(), backend, server)
    }

    /// Requests that wait for a server of this backend.
    #[track_caller]
    pub(crate) fn queued(&self, backend: &str) -> usize {
        engine::queued(self.engine(), backend)
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

    pub(crate) fn stop(&self, how: StopKind) {
        self.engine().stop(how);
    }

    /// Waits until it has ended.
    pub(crate) fn wait(mut self) -> Exit {
        self.engine.take().expect("taken here alone").wait()
    }
}

impl Drop for Lb {
    fn drop(&mut self) {
        if let Some(engine) = self.engine.take() {
            engine.stop(StopKind::Now);
            engine.wait();
        }
        // Whoever looks first reports it: threads do not tell whose they were.
        let panics = PANICS.swap(0, Ordering::AcqRel);
        assert!(
            panics == 0 || std::thread::panicking(),
            "{panics} panics on threads of the engine"
        );
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

static PANICS: AtomicUsize = AtomicUsize::new(0);

/// The engine's own hook reports to `tracing` and stays silent here: tests need to see
/// their own failures, and must not pass over those of a worker.
fn watch_for_panics() {
    drop(panic::take_hook());
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or_default();
        if name.starts_with("worker-") || name == "control" {
            PANICS.fetch_add(1, Ordering::AcqRel);
        }
        print(panic);
    }));
}
