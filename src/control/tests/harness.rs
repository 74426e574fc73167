//! Control on a runtime of the test's own, with real workers and origins that
//! answer with their name.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::config::Config;
use crate::control::{Command, Control, First, Inbox, Outcome, Parts, Stop};
use crate::generation::{Desired, Generation, Published};
use crate::internal::workers;
use crate::log::{EventLog, Logs, Rings};
use crate::state::WorkerId;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);

/// Control with two workers, running.
pub(super) struct Bench {
    pub(super) control: Rc<Control>,
    running: JoinHandle<Outcome>,
    _commands: mpsc::Sender<Command>,
}

impl Bench {
    pub(super) async fn start(first: First) -> Self {
        let origin = Instant::now();
        let (reports, reports_in) = mpsc::channel(16);
        let (generation, _) = Generation::first(&Desired::nothing(), WORKERS);
        let published = Arc::new(Published::new(Arc::new(generation), 1000, reports));
        let rings = Rings::new(WORKERS);
        let settings = workers::Settings {
            tls_handshakes_max: 1_000,
            workers: WORKERS,
            pin: false,
            accept_budget: 16,
            pipes_max: 0,
            close_idle_after: Duration::from_secs(1),
            origin,
            rings: Arc::clone(&rings),
        };
        let start = |id| workers::start(WorkerId(id), &settings, &published).unwrap();
        let parts = Parts {
            workers: (0..WORKERS).map(start).collect(),
            published,
            origin,
            logs: Logs::new(rings, EventLog::default(), origin),
        };
        let (control, health) = Control::start(parts, first).await.unwrap();
        let (commands, commands_in) = mpsc::channel(1);
        let inbox = Inbox {
            commands: commands_in,
            reports: reports_in,
            health,
        };
        let running = Rc::clone(&control);
        let bench = Self {
            control,
            running: tokio::task::spawn_local(async move { running.run(inbox).await }),
            _commands: commands,
        };
        if !bench.control.paths.is_empty() {
            let control = &bench.control;
            let looked = async || control.files.lock().await.has_looked();
            until("the first look", looked).await;
        }
        bench
    }

    pub(super) async fn stop(self) {
        self.control.request_stop(Stop::Now);
        self.running.await.unwrap();
    }
}

/// A local runtime, as the control thread has one.
pub(super) fn run(test: impl Future<Output = ()>) {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())
        .unwrap();
    runtime.block_on(test);
}

/// What a process starts with that is given this text.
pub(super) fn text(text: &str) -> First {
    let loaded = Config::parse_with("lb.toml", text, &|_| None).unwrap();
    First {
        config: Arc::new(loaded.config),
        ..First::default()
    }
}

/// What a process starts with that is given this file.
pub(super) fn file(path: PathBuf) -> First {
    let paths = vec![path];
    let loaded = Config::load(&paths).unwrap_or_else(|errors| panic!("{errors}"));
    First {
        config: Arc::new(loaded.config),
        paths,
        expanded: loaded.expanded,
        ..First::default()
    }
}

/// Waits until something holds.
pub(super) async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition().await {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

impl Bench {
    /// Names of the servers of the first backend, as they are served.
    pub(super) fn servers(&self) -> Vec<String> {
        let generation = self.control.generation();
        let servers = generation.backends[0].servers.iter();
        servers.map(|server| server.name.to_string()).collect()
    }

    /// Where the first frontend listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.control.addresses()[0].1
    }

    /// The servers that answer these many requests, each on a connection of its own.
    pub(super) async fn answers(&self, requests: usize) -> Vec<String> {
        let mut names = Vec::new();
        for _ in 0..requests {
            let mut client = Client::connect(self.address()).await;
            names.push(client.ask().await);
        }
        names
    }
}

/// A client that keeps its connection.
pub(super) struct Client(TcpStream);

impl Client {
    pub(super) async fn connect(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.unwrap())
    }

    /// The name of the server that answered, or the status if none did.
    pub(super) async fn ask(&mut self) -> String {
        self.send().await;
        self.receive().await
    }

    pub(super) async fn send(&mut self) {
        let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        self.0.write_all(request).await.unwrap();
    }

    pub(super) async fn receive(&mut self) -> String {
        let mut text = Vec::new();
        let mut byte = [0; 1024];
        loop {
            let head = text.windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(head) = head {
                let length = content_length(&text[..head]);
                if text.len() >= head + 4 + length {
                    let status = String::from_utf8_lossy(&text[9..12]).into_owned();
                    let body = String::from_utf8_lossy(&text[head + 4..]).into_owned();
                    return if status == "200" { body } else { status };
                }
            }
            match self.0.read(&mut byte).await {
                Ok(0) | Err(_) => return "closed".to_owned(),
                Ok(read) => text.extend_from_slice(&byte[..read]),
            }
        }
    }
}

fn content_length(head: &[u8]) -> usize {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let value = head.split("content-length:").nth(1).unwrap();
    value.lines().next().unwrap().trim().parse().unwrap()
}

/// An origin that answers every request with its name, after `hold` has been released.
pub(super) struct Origin {
    pub(super) address: SocketAddr,
    /// Open connections.
    pub(super) open: Rc<std::cell::Cell<usize>>,
    /// Requests seen.
    pub(super) seen: Rc<std::cell::Cell<usize>>,
    release: Rc<tokio::sync::Notify>,
}

impl Origin {
    pub(super) async fn new(name: &str) -> Self {
        Self::start(name, false).await
    }

    /// Holds each answer back until [`Self::release`].
    pub(super) async fn slow(name: &str) -> Self {
        Self::start(name, true).await
    }

    async fn start(name: &str, hold: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = Self {
            address: listener.local_addr().unwrap(),
            open: Rc::default(),
            seen: Rc::default(),
            release: Rc::default(),
        };
        let (open, seen) = (Rc::clone(&origin.open), Rc::clone(&origin.seen));
        let release = Rc::clone(&origin.release);
        let length = name.len();
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{name}");
        tokio::task::spawn_local(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let (open, seen) = (Rc::clone(&open), Rc::clone(&seen));
                let (answer, release) = (answer.clone(), Rc::clone(&release));
                tokio::task::spawn_local(async move {
                    open.set(open.get() + 1);
                    let mut request = [0; 4096];
                    while matches!(stream.read(&mut request).await, Ok(1..)) {
                        seen.set(seen.get() + 1);
                        if hold {
                            release.notified().await;
                        }
                        if stream.write_all(answer.as_bytes()).await.is_err() {
                            break;
                        }
                    }
                    open.set(open.get() - 1);
                });
            }
        });
        origin
    }

    pub(super) fn release(&self) {
        self.release.notify_one();
    }
}

const WORKERS: usize = 2;
