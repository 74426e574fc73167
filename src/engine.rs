//! Start and stop: the only room that names both planes.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Instant;

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{mpsc, oneshot};

use crate::config::{BindAddress, Config, Loaded};
use crate::control::{
    Command, Control, First, Inbox, Outcome, Parts, Predecessor, ReloadReport, Stop,
};
pub use crate::control::{Program, Stopping};
use crate::generation::{Desired, Generation, Published};
use crate::health::HealthEvent;
use crate::log::{EventLog, Logs, Rings};
use crate::net::{ServiceManager, system};
use crate::state::WorkerId;
use crate::worker::{self, Settings};

/// A running load balancer: its workers and its control thread.
///
/// ```
/// use rlb::{Engine, StopKind, config::Config};
///
/// let loaded = Config::parse(
///     "example.toml",
///     r#"
///     [[listen]]
///     name = "web"
///     bind = "127.0.0.1:0"
///     server = "127.0.0.1:9"
///     "#,
/// )?;
/// let engine = Engine::start(loaded.config)?;
/// assert_ne!(engine.addresses()[0].1.port(), 0);
/// engine.stop(StopKind::Now);
/// engine.wait();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Engine {
    control: thread::JoinHandle<Exit>,
    handle: Handle,
    listening: Listening,
    limits: Limits,
}

/// Where it listens.
#[derive(Debug)]
struct Listening {
    addresses: Vec<(Arc<str>, SocketAddr)>,
    binds: Vec<(Arc<str>, BindAddress)>,
    stats: Vec<SocketAddr>,
}

/// Steers a running [`Engine`] from another thread, as often as one likes.
#[derive(Debug, Clone)]
pub struct Handle {
    commands: mpsc::Sender<Command>,
    published: Arc<Published>,
}

/// What an engine is started with beside its configuration.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Options {
    /// Where the configuration was read; followed from then on.
    pub files: Vec<PathBuf>,
    /// Told when the engine serves, reloads, lives and stops.
    pub manager: ServiceManager,
    /// The admin socket of a running process whose listening sockets, overrides
    /// and knowledge are taken over; that one drains when this one serves.
    pub takeover: Option<PathBuf>,
    /// Takes events to the `[[log]]` targets; the subscriber has a clone as a layer.
    pub events: EventLog,
    /// What the `upgrade` of the admin socket starts anew; `None` = it is refused.
    pub program: Option<Program>,
}

/// What the engine derived from the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Worker threads.
    pub workers: usize,
    /// Most client connections of the process.
    pub maxconn: usize,
    /// File descriptors the process may open.
    pub descriptors: usize,
}

/// How a process is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopKind {
    /// Listeners close, sessions finish within `drain_timeout`.
    Drain,
    /// Sessions are cut.
    Now,
}

/// How an engine ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// As asked.
    Stopped,
    /// A thread of it ended or panicked; the process should end with status 70 (EX_SOFTWARE).
    Broken,
}

/// Why an engine did not start: one sentence with the remedy.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A bind could not be opened.
    #[error("{0}")]
    Listen(String),
    /// Nothing was taken over; the running process goes on.
    #[error("{0}")]
    Takeover(String),
    /// The file asks for more connections than the process may have descriptors for.
    #[error(
        "maxconn = {maxconn} needs {needed} file descriptors and the limit is {limit}; raise it (`ulimit -Hn {needed}`, LimitNOFILE={needed}) or write maxconn = {possible}"
    )]
    Maxconn {
        /// As written.
        maxconn: usize,
        /// Descriptors for that many.
        needed: usize,
        /// Hard RLIMIT_NOFILE.
        limit: usize,
        /// What the limit allows.
        possible: usize,
    },
    /// Listeners and checks alone need more than the process may open.
    #[error(
        "too few file descriptors: the limit is {limit} and this configuration needs {needed} before the first client; raise it (`ulimit -Hn {enough}`, LimitNOFILE={enough})",
        enough = needed + 1024
    )]
    Descriptors {
        /// Descriptors that are not for sessions, and those of one.
        needed: usize,
        /// Hard RLIMIT_NOFILE.
        limit: usize,
    },
    /// The system refused a thread, a runtime or a limit.
    #[error("cannot start: {0}")]
    System(#[from] io::Error),
}

/// Descriptors that are not for sessions: listeners, checks, admin socket, logs, runtimes.
fn reserved_descriptors(config: &Config, workers: usize) -> usize {
    let binds: usize = config
        .frontends
        .iter()
        .map(|frontend| frontend.binds.len())
        .sum();
    let servers: usize = config
        .backends
        .iter()
        .map(|backend| backend.servers.len())
        .sum();
    let pages = config
        .frontends
        .iter()
        .filter(|f| f.stats.is_some())
        .count();
    let pages = pages + config.stats.as_ref().map_or(0, |stats| stats.binds.len());
    64 + (binds + 8) * workers + servers.min(256) + pages * STATS_CLIENTS_MAX
}

/// Connections to one listener of the stats page.
const STATS_CLIENTS_MAX: usize = 65;

/// Reports of workers that control has not looked at yet.
const REPORTS_MAX: usize = 1024;
/// Commands of the owner.
const COMMANDS_MAX: usize = 16;

impl Engine {
    /// Opens every bind, starts the threads and serves.
    ///
    /// # Errors
    /// See [`StartError`]; nothing stays behind then.
    pub fn start(config: Config) -> Result<Self, StartError> {
        Self::start_first(First {
            config: Arc::new(config),
            ..First::default()
        })
    }

    /// [`start`](Self::start) with what was read from `paths`, which are followed
    /// from now on: a change on disk comes into force by itself, and
    /// [`Handle::reload`] reads them at once.
    ///
    /// # Errors
    /// See [`StartError`]; nothing stays behind then.
    pub fn start_files(paths: Vec<PathBuf>, loaded: Loaded) -> Result<Self, StartError> {
        let options = Options {
            files: paths,
            ..Options::default()
        };
        Self::start_with(loaded, options)
    }

    /// [`start_files`](Self::start_files), with all that a process may bring.
    ///
    /// # Errors
    /// See [`StartError`]; nothing stays behind then.
    pub fn start_with(loaded: Loaded, options: Options) -> Result<Self, StartError> {
        let predecessor = options.takeover.as_deref().map(Predecessor::ask);
        let predecessor = predecessor
            .transpose()
            .map_err(|error| StartError::Takeover(error.to_string()))?;
        let complaints = predecessor.as_ref().map(Predecessor::complaints);
        let complaints = complaints
            .transpose()
            .map_err(|error| StartError::Takeover(error.to_string()))?;
        let started = Self::start_first(First {
            config: Arc::new(loaded.config),
            paths: options.files,
            expanded: loaded.expanded,
            manager: options.manager,
            program: options.program,
            predecessor,
            events: options.events,
        });
        if let (Err(error), Some(complaints)) = (&started, complaints) {
            complaints.say(&error.to_string());
        }
        started
    }

    fn start_first(given: First) -> Result<Self, StartError> {
        let config = &given.config;
        let origin = Instant::now();
        let limits = Limits::derive(config, system::raise_descriptor_limit()?)?;
        let workers = limits.workers;
        let (first, _) = Generation::first(&Desired::nothing(), workers);
        let (reports, reports_in) = mpsc::channel(REPORTS_MAX);
        let published = Arc::new(Published::new(Arc::new(first), limits.maxconn, reports));
        count_panics(&published);
        let rings = Rings::new(workers);
        let settings = Settings {
            workers,
            pin: config.global.pin,
            accept_budget: config.global.accept_budget,
            pipes_max: config.global.pipes_max,
            tls_handshakes_max: config.global.tls_handshakes_max,
            close_idle_after: config.global.close_idle_after,
            origin,
            rings: Arc::clone(&rings),
        };
        let handles = (0..workers)
            .map(|id| worker::start(WorkerId(id), &settings, &published))
            .collect::<io::Result<Vec<_>>>()?;
        let (commands, commands_in) = mpsc::channel(COMMANDS_MAX);
        let (ready, started) = std::sync::mpsc::sync_channel(1);
        let handle = Handle {
            commands,
            published: Arc::clone(&published),
        };
        let parts = Parts {
            published,
            workers: handles,
            origin,
            logs: Logs::new(rings, given.events.clone(), origin),
        };
        let inbox = |health| Inbox {
            commands: commands_in,
            reports: reports_in,
            health,
        };
        let control = thread::Builder::new()
            .name("control".into())
            .spawn(move || control_thread(parts, given, inbox, &ready))?;
        match started.recv() {
            Ok(Ok(listening)) => Ok(Self {
                control,
                handle,
                listening,
                limits,
            }),
            Ok(Err(error)) => Err(StartError::Listen(error)),
            Err(_) => Err(StartError::System(io::Error::other(
                "the control thread ended at once",
            ))),
        }
    }

    /// Frontends and the addresses they listen on: for binds to port 0.
    pub fn addresses(&self) -> &[(Arc<str>, SocketAddr)] {
        &self.listening.addresses
    }

    /// Frontends and their binds as at the start, in the order of the file, with
    /// the ports that the system gave.
    pub fn binds(&self) -> &[(Arc<str>, BindAddress)] {
        &self.listening.binds
    }

    /// Where the stats page listens, if it has a listener of its own.
    pub fn stats_addresses(&self) -> &[SocketAddr] {
        &self.listening.stats
    }

    /// What the workers see, for those who look from inside.
    pub(crate) fn published(&self) -> &Published {
        &self.handle.published
    }

    /// What was derived from the system.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// What steers it, for other threads.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// [`Handle::apply`]
    ///
    /// # Errors
    /// As there.
    pub fn apply(&self, config: Config) -> Result<(), StartError> {
        self.handle.apply(config)
    }

    /// [`Handle::stop`]
    pub fn stop(&self, how: StopKind) -> Option<Stopping> {
        self.handle.stop(how)
    }

    /// Waits until it has ended.
    pub fn wait(self) -> Exit {
        self.control.join().unwrap_or(Exit::Broken)
    }
}

impl Handle {
    /// Brings another configuration into force and returns when every worker
    /// has passed it.
    ///
    /// # Errors
    /// A bind could not be opened; everything goes on as before.
    pub fn apply(&self, config: Config) -> Result<(), StartError> {
        let (done, answer) = oneshot::channel();
        let gone = || StartError::System(io::Error::other("the engine has ended"));
        let command = Command::Apply(Arc::new(config), done);
        self.commands.blocking_send(command).map_err(|_| gone())?;
        let applied = answer.blocking_recv().map_err(|_| gone())?;
        applied.map_err(|error| StartError::Listen(error.to_string()))
    }

    /// Reads the files again and returns when every worker has passed what
    /// changed. Blocks; not to be called on a thread of an async runtime.
    ///
    /// # Errors
    /// The rendered diagnostics of what was refused, or one sentence; everything
    /// goes on as before.
    pub fn reload(&self) -> Result<ReloadReport, String> {
        let (done, answer) = oneshot::channel();
        let gone = || "the engine has ended".to_owned();
        let command = Command::Reload("reload".to_owned(), done);
        self.commands.blocking_send(command).map_err(|_| gone())?;
        answer.blocking_recv().map_err(|_| gone())?
    }

    /// Asks for the end; a second call cuts what still runs. Tells what comes of
    /// it; `None` = the engine has ended already.
    pub fn stop(&self, how: StopKind) -> Option<Stopping> {
        let how = match how {
            StopKind::Drain => Stop::Drain,
            StopKind::Now => Stop::Now,
        };
        let (done, answer) = oneshot::channel();
        self.commands.blocking_send(Command::Stop(how, done)).ok()?;
        answer.blocking_recv().ok()
    }

    /// Client connections now.
    pub fn connections(&self) -> usize {
        self.published.connections()
    }

    /// Panics so far. Each has ended one session or restarted one task.
    pub fn panics(&self) -> u64 {
        self.published.panics.load(Ordering::Relaxed)
    }
}

impl Limits {
    fn derive(config: &Config, descriptors: usize) -> Result<Self, StartError> {
        let workers = config.global.workers.unwrap_or_else(system::usable_cores);
        let workers = workers.max(1);
        let reserved = reserved_descriptors(config, workers);
        let needed = system::descriptors_for(config.global.maxconn.unwrap_or(1), reserved);
        let possible = system::maxconn_for(descriptors, reserved);
        match config.global.maxconn {
            Some(maxconn) if needed > descriptors && possible > 0 => Err(StartError::Maxconn {
                maxconn,
                needed,
                limit: descriptors,
                possible,
            }),
            _ if possible == 0 => Err(StartError::Descriptors {
                needed: system::descriptors_for(1, reserved),
                limit: descriptors,
            }),
            written => Ok(Self {
                workers,
                maxconn: written.unwrap_or(possible),
                descriptors,
            }),
        }
    }
}

fn control_thread(
    parts: Parts,
    first: First,
    inbox: impl FnOnce(mpsc::Receiver<HealthEvent>) -> Inbox,
    ready: &std::sync::mpsc::SyncSender<Result<Listening, String>>,
) -> Exit {
    let runtime = match Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())
    {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = ready.send(Err(error.to_string()));
            return Exit::Broken;
        }
    };
    runtime.block_on(async {
        match Control::start(parts, first).await {
            Ok((control, events)) => {
                // Whoever started us waits for this answer.
                let _ = ready.send(Ok(Listening {
                    addresses: control.addresses(),
                    binds: control.binds(),
                    stats: control.stats_addresses(),
                }));
                let outcome = control.run(inbox(events)).await;
                control.end_logs();
                match outcome {
                    Outcome::Stopped => Exit::Stopped,
                    Outcome::WorkerLost => Exit::Broken,
                }
            }
            Err(error) => {
                let _ = ready.send(Err(error.to_string()));
                Exit::Stopped
            }
        }
    })
}

/// A panic ends the session or task it happens in and nothing else, but it is
/// never silent: one line, and a counter.
fn count_panics(published: &Arc<Published>) {
    let published = Arc::clone(published);
    let others = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // Threads that are not ours have their own way to say it.
        let name = thread::current().name().map(ToOwned::to_owned);
        if !name.is_some_and(|name| name == "control" || name.starts_with("worker-")) {
            return others(panic);
        }
        let panics = published.panics.fetch_add(1, Ordering::Relaxed) + 1;
        let thread = thread::current();
        let place = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        let message = panic.payload_as_str().unwrap_or("no message");
        tracing::error!(
            thread = thread.name(),
            place,
            panics,
            "panic: {message}; what it served has ended"
        );
    }));
}
