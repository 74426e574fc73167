//! Accepting: each worker from listeners of its own.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::config::{AcceptProxy, BindProtocol, Mode};
use crate::generation::Frontend;
use crate::net::{Accept, Peer, Stream, listen};
use crate::proxy::announced::announced;
use crate::proxy::{Client, Place, Shard, handshake, http1, http2, tcp};
use crate::state::{BindId, FrontendId};
use crate::tls::Acceptor;

/// Wait after EMFILE and friends: sessions must end before accepting helps.
const BACK_OFF: Duration = Duration::from_millis(100);
/// A SYN cookie or a handshake under way may still complete in this time.
const SETTLE: Duration = Duration::from_millis(10);

/// The listeners of one worker.
#[derive(Debug)]
pub(crate) struct Listeners {
    shard: Rc<Shard>,
    budget: usize,
    open: Vec<Listener>,
}

#[derive(Debug)]
struct Listener {
    bind: BindId,
    door: Rc<Door>,
    task: JoinHandle<()>,
}

/// A listening socket and what becomes of its connections.
#[derive(Debug)]
struct Door {
    shard: Rc<Shard>,
    accept: Accept,
    bind: BindId,
    frontend: FrontendId,
    /// Clients speak TLS here; another choice would be another bind.
    is_secure: bool,
    /// Who sends a PROXY header; another choice would be another bind, too.
    announced_by: AcceptProxy,
    local_port: Option<u16>,
}

impl Listeners {
    pub(super) fn new(shard: Rc<Shard>, budget: usize) -> Self {
        Self {
            shard,
            budget: budget.max(1),
            open: Vec::new(),
        }
    }

    /// Takes a listening socket and accepts from it; `running` is answered when the
    /// accept loop runs, or when the socket cannot be polled.
    pub(super) fn open(
        &mut self,
        bind: BindId,
        frontend: FrontendId,
        fd: OwnedFd,
        running: oneshot::Sender<io::Result<()>>,
    ) {
        match self.door(bind, frontend, fd) {
            Ok(door) => {
                let accepting = accept_loop(Rc::clone(&door), self.budget);
                let task = tokio::task::spawn_local(async move {
                    // Nobody may be waiting for it.
                    let _ = running.send(Ok(()));
                    accepting.await;
                });
                self.open.push(Listener { bind, door, task });
            }
            // Nobody may be waiting for it.
            Err(error) => drop(running.send(Err(error))),
        }
    }

    fn door(&self, bind: BindId, frontend: FrontendId, fd: OwnedFd) -> io::Result<Rc<Door>> {
        let local = SockRef::from(&fd).local_addr()?;
        let (is_secure, announced_by) = self.shard.with_generation(|generation| {
            let written = generation.frontend(frontend).and_then(|f| f.bind(bind));
            let announced_by = written.map(|bind| bind.proxy_protocol.clone());
            let is_secure = generation.is_secure(frontend, bind);
            (is_secure, announced_by.unwrap_or_default())
        });
        Ok(Rc::new(Door {
            shard: Rc::clone(&self.shard),
            accept: Accept::from_fd(fd)?,
            bind,
            frontend,
            is_secure,
            announced_by,
            local_port: local.as_socket().map(|address| address.port()),
        }))
    }

    /// Every listening socket once more.
    ///
    /// # Errors
    /// No descriptors left.
    pub(super) fn duplicates(&self) -> io::Result<Vec<(BindId, OwnedFd)>> {
        let open = self.open.iter();
        open.map(|listener| {
            let fd = listener.door.accept.as_fd().try_clone_to_owned()?;
            Ok((listener.bind, fd))
        })
        .collect()
    }

    /// Accepting never ends by itself: where it did, it panicked, and clients
    /// would wait in the queue for ever.
    pub(super) fn look_after(&mut self) {
        for listener in &mut self.open {
            if listener.task.is_finished() {
                tracing::error!(
                    bind = listener.bind.get(),
                    "accepting panicked and starts again"
                );
                let door = Rc::clone(&listener.door);
                listener.task = tokio::task::spawn_local(accept_loop(door, self.budget));
            }
        }
    }

    /// Hands out every listener of a bind, to be closed.
    pub(super) fn take(&mut self, bind: BindId) -> Closing {
        let (closing, open) = std::mem::take(&mut self.open)
            .into_iter()
            .partition(|listener| listener.bind == bind);
        self.open = open;
        Closing(closing)
    }
}

/// Listeners that accept no more.
#[derive(Debug)]
pub(super) struct Closing(Vec<Listener>);

impl Closing {
    /// Closes them; returns how many there were.
    pub(super) async fn close(self, gently: bool) -> usize {
        let count = self.0.len();
        for listener in self.0 {
            listener.task.abort();
            // It holds the socket until it is gone. An error says that it was aborted.
            let _ = listener.task.await;
            if gently {
                listener.door.close_gently().await;
            }
        }
        count
    }
}

impl Door {
    /// Takes what waits in the queue before the socket goes: closing would reset it.
    async fn close_gently(&self) {
        if let Err(error) = listen::stop_new_connections(&self.accept) {
            // Unix sockets know no such filter; their connects fail cleanly.
            tracing::debug!(%error, "no filter on a closing listener");
        }
        self.accept_all();
        tokio::time::sleep(SETTLE).await;
        self.accept_all();
    }

    /// Those that the kernel accepted are served, whatever the limits say: at most
    /// a queue full of them.
    fn accept_all(&self) {
        while let Some((stream, peer)) = self.accept.accept_now() {
            self.shard.clock.read();
            if let Some(frontend) = self.frontend() {
                let place = Place::over(&self.shard, &frontend);
                self.admit(place, &frontend, stream, peer);
            }
        }
    }

    /// `None` = gone from the generation in force: there is nobody to serve.
    fn frontend(&self) -> Option<Arc<Frontend>> {
        self.shard
            .with_generation(|generation| generation.frontend(self.frontend).map(Arc::clone))
    }

    /// Waits for a client, then for a place: whoever waits for a place has a client
    /// that wants it. `None` = nobody serves here any more.
    async fn ready(&self) -> io::Result<Option<(Arc<Frontend>, Place)>> {
        self.accept.wait().await?;
        while let Some(frontend) = self.frontend() {
            match Place::take(&self.shard, &frontend) {
                Ok(place) => return Ok(Some((frontend, place))),
                Err(full) => full.room(&self.shard, &frontend).await,
            }
        }
        Ok(None)
    }

    /// One connection, if there is one; false = the socket is about to be closed.
    async fn accept(&self) -> io::Result<bool> {
        let Some((frontend, place)) = self.ready().await? else {
            return Ok(false);
        };
        if let Some((stream, peer)) = self.accept.try_accept()? {
            self.shard.clock.read();
            self.admit(place, &frontend, stream, peer);
        }
        Ok(true)
    }

    /// Who serves a fresh connection: here, the worker that accepted it. The seam
    /// where an overloaded worker would hand it to another.
    fn admit(&self, place: Place, frontend: &Frontend, stream: Stream, peer: Peer) {
        let mut client = Client::new(place, stream, peer, self.local_port.unwrap_or(0));
        let speech = match &frontend.tls {
            Some(acceptor) if self.is_secure => Speech::Tls(Arc::clone(acceptor)),
            // The frontend has given up TLS, and this socket is about to be closed.
            None if self.is_secure => return,
            _ => {
                let protocol = frontend.bind(self.bind).map(|bind| bind.protocol);
                client.may_speak_http2 = protocol == Some(BindProtocol::Both);
                Speech::Plain {
                    is_h2: protocol == Some(BindProtocol::Http2),
                }
            }
        };
        let is_announced = self.announced_by.is_due_from(peer.address.ip());
        if is_announced || self.is_secure {
            // One time for PROXY header and TLS handshake together.
            client.slot.arm(frontend.config.timeouts.tls_handshake);
        }
        if !is_announced {
            return greet(client, speech);
        }
        let announcing = announced(client);
        drop(tokio::task::spawn_local(async move {
            if let Some(client) = announcing.await {
                greet(client, speech);
            }
        }));
    }
}

/// How a client begins once it is known who it is.
enum Speech {
    Plain { is_h2: bool },
    Tls(Arc<Acceptor>),
}

/// Brings a client to where its protocol begins.
fn greet(client: Client, speech: Speech) {
    let acceptor = match speech {
        Speech::Plain { is_h2 } => return serve(client, is_h2),
        Speech::Tls(acceptor) => acceptor,
    };
    let handshaking = handshake::accept(client, acceptor);
    drop(tokio::task::spawn_local(async move {
        if let Some(client) = handshaking.await {
            let is_h2 = client.stream.is_h2();
            serve(client, is_h2);
        }
    }));
}

/// Serves a client with which everything below its protocol is settled, on this
/// worker, in a task of its own.
fn serve(client: Client, is_h2: bool) {
    match client.frontend.config.mode {
        Mode::Http if is_h2 => drop(tokio::task::spawn_local(http2::serve(client))),
        Mode::Http => drop(tokio::task::spawn_local(http1::serve(client))),
        Mode::Tcp => drop(tokio::task::spawn_local(tcp::serve(client))),
    }
}

async fn accept_loop(door: Rc<Door>, budget: usize) {
    let mut troubled = false;
    loop {
        for _ in 0..budget {
            match door.accept().await {
                Ok(true) => troubled = false,
                // Control closes it at once.
                Ok(false) => tokio::time::sleep(SETTLE).await,
                Err(error) if is_the_connections_own(&error) => {}
                Err(error) => {
                    if !std::mem::replace(&mut troubled, true) {
                        tracing::warn!(%error, "cannot accept; waiting for sessions to end");
                    }
                    tokio::time::sleep(BACK_OFF).await;
                }
            }
        }
        // Sessions run between two batches, however many clients knock.
        tokio::task::yield_now().await;
    }
}

/// accept(2) also reports what befell a single connection before it was taken;
/// the next one may be sound. All else lasts (EMFILE, a socket that listens no more).
fn is_the_connections_own(error: &io::Error) -> bool {
    use rustix::io::Errno;
    matches!(
        error.raw_os_error().map(Errno::from_raw_os_error),
        Some(Errno::CONNABORTED | Errno::INTR | Errno::PROTO | Errno::PERM | Errno::NETDOWN)
    )
}
