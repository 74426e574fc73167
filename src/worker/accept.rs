//! Accepting: each worker from listeners of its own.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::config::Mode;
use crate::generation::Frontend;
use crate::net::{Accept, Peer, Stream, listen};
use crate::proxy::{Client, Shard, http1, tcp};
use crate::state::{BindId, FrontendId};

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
    frontend: FrontendId,
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
        match self.door(frontend, fd) {
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

    fn door(&self, frontend: FrontendId, fd: OwnedFd) -> io::Result<Rc<Door>> {
        let local = SockRef::from(&fd).local_addr()?;
        Ok(Rc::new(Door {
            shard: Rc::clone(&self.shard),
            accept: Accept::from_fd(fd)?,
            frontend,
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

    /// Closes every listener of a bind; returns how many there were.
    pub(super) async fn close(&mut self, bind: BindId, gently: bool) -> usize {
        let (closing, open) = std::mem::take(&mut self.open)
            .into_iter()
            .partition(|l| l.bind == bind);
        self.open = open;
        let closing: Vec<Listener> = closing;
        for listener in &closing {
            listener.task.abort();
            if gently {
                listener.door.close_gently().await;
            }
        }
        closing.len()
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

    fn accept_all(&self) {
        while let Some((stream, peer)) = self.accept.accept_now() {
            self.admit(stream, peer);
        }
    }

    /// Who serves a fresh connection: here, the worker that accepted it. The seam
    /// where an overloaded worker would hand it to another.
    fn admit(&self, stream: Stream, peer: Peer) {
        self.shard.clock.read();
        let frontend = self
            .shard
            .with_generation(|generation| generation.frontend(self.frontend).map(Arc::clone));
        // Gone from the generation in force: there is nobody to serve it.
        let Some(frontend) = frontend else { return };
        let port = self.local_port.unwrap_or(0);
        let Some(client) = Client::admit(&self.shard, &frontend, stream, peer, port) else {
            return;
        };
        spawn(&frontend, client);
    }
}

fn spawn(frontend: &Frontend, client: Client) {
    match frontend.config.mode {
        Mode::Http => drop(tokio::task::spawn_local(http1::serve(client))),
        Mode::Tcp => drop(tokio::task::spawn_local(tcp::serve(client))),
    }
}

async fn accept_loop(door: Rc<Door>, budget: usize) {
    loop {
        for _ in 0..budget {
            match door.accept.accept().await {
                Ok((stream, peer)) => door.admit(stream, peer),
                Err(error) => back_off(&error).await,
            }
        }
        // Sessions run between two batches, however many clients knock.
        tokio::task::yield_now().await;
    }
}

async fn back_off(error: &io::Error) {
    use rustix::io::Errno;
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    let exhausted = matches!(
        errno,
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM)
    );
    if exhausted {
        tracing::warn!(%error, "cannot accept; waiting for sessions to end");
        tokio::time::sleep(BACK_OFF).await;
    }
}
