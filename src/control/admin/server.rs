//! The admin sockets of the process and who may come in.

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::{Duration, sleep, timeout};

use super::client;
use super::socket::{Bound, Listener, OpenError, Rivals, bind, open};
use crate::config::{AdminAddress, AdminLevel, AdminSocket};
use crate::control::Control;
use crate::control::supervise::supervise;

/// The open admin sockets. Dropped, they close; clients already in go on.
#[derive(Debug)]
pub(crate) struct AdminSockets {
    open: Vec<Open>,
    /// Clients of all sockets; more wait to be accepted.
    places: Arc<Semaphore>,
}

#[derive(Debug)]
struct Open {
    socket: AdminSocket,
    listener: Rc<Listener>,
    accepting: JoinHandle<()>,
    /// Accept what waits, then end.
    closing: Rc<Notify>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// What a configuration wants of the admin sockets, as far as it may fail: dropped,
/// everything is as before.
#[derive(Debug)]
pub(crate) struct Prepared {
    wanted: Vec<AdminSocket>,
    bound: Vec<(AdminSocket, Bound)>,
}

/// A client has its buffers, and perhaps one answer that it does not read.
const CLIENTS_MAX: usize = 64;
/// After an accept that failed: no descriptors left, most likely.
const RETRY: Duration = Duration::from_millis(100);
/// Nobody waits to be accepted when nobody came for this long.
const SETTLE: Duration = Duration::from_millis(20);
/// Bounds what closing waits for those who wait.
const CLOSE_MAX: Duration = Duration::from_secs(1);

impl Default for AdminSockets {
    fn default() -> Self {
        Self {
            open: Vec::new(),
            places: Arc::new(Semaphore::new(CLIENTS_MAX)),
        }
    }
}

impl AdminSockets {
    /// Makes the open sockets those of `wanted`; one that stays as it was is not
    /// touched. The socket of a file that does not speak of it is not insisted on.
    ///
    /// # Errors
    /// The first that cannot be opened; the others are.
    pub(crate) async fn reconcile(
        control: &Rc<Control>,
        wanted: &[AdminSocket],
        rivals: Rivals,
    ) -> Result<(), OpenError> {
        let left: Vec<Open> = {
            let mut sockets = control.admin.borrow_mut();
            let all = std::mem::take(&mut sockets.open);
            let (kept, left) = all
                .into_iter()
                .partition(|open| wanted.contains(&open.socket));
            sockets.open = kept;
            left
        };
        for mut open in left {
            open.accepting.abort();
            // Its file is gone when it has ended, so that the path is free again.
            let _ = (&mut open.accepting).await;
        }
        let mut refused = None;
        for socket in wanted {
            if control
                .admin
                .borrow()
                .open
                .iter()
                .any(|open| open.socket == *socket)
            {
                continue;
            }
            match open(socket, rivals) {
                Ok(listener) => {
                    let listener = Rc::new(listener);
                    control.admin.borrow_mut().add(control, socket, listener);
                }
                Err(error) if *socket == AdminSocket::default() => {
                    tracing::warn!("{error}; going on without it");
                }
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        refused.map_or(Ok(()), Err)
    }

    /// Binds what of `wanted` is not open yet. Our own sockets are no rivals.
    ///
    /// # Errors
    /// The first that cannot be bound.
    pub(crate) fn prepare(&self, wanted: &[AdminSocket]) -> Result<Prepared, OpenError> {
        let ours = |address: &AdminAddress| self.open.iter().any(|o| o.socket.address == *address);
        let mut bound = Vec::new();
        for socket in wanted {
            let is_open = self.open.iter().any(|open| open.socket == *socket);
            let is_ours = ours(&socket.address);
            // A TCP socket of ours stays, whatever else is different.
            if is_open || is_ours && matches!(socket.address, AdminAddress::Tcp(_)) {
                continue;
            }
            let rivals = if is_ours {
                Rivals::Replace
            } else {
                Rivals::Respect
            };
            match bind(socket, rivals) {
                Ok(fresh) => bound.push((socket.clone(), fresh)),
                // As at the start.
                Err(error) if *socket == AdminSocket::default() => {
                    tracing::warn!("{error}; going on without it");
                }
                Err(error) => return Err(error),
            }
        }
        let wanted = wanted.to_vec();
        Ok(Prepared { wanted, bound })
    }

    /// Makes the open sockets those that were prepared. Clients already in go on as
    /// they came in.
    pub(crate) async fn take(control: &Rc<Control>, prepared: Prepared) {
        let Prepared { wanted, bound } = prepared;
        let leaving: Vec<Open> = {
            let mut sockets = control.admin.borrow_mut();
            let leaves = |open: &mut Open| !wanted.contains(&open.socket);
            sockets.open.extract_if(.., leaves).collect()
        };
        for (socket, bound) in bound {
            match bound.place() {
                Ok(listener) => control
                    .admin
                    .borrow_mut()
                    .add(control, &socket, Rc::new(listener)),
                Err(error) => tracing::error!("{error}"),
            }
        }
        let mut closing = Vec::new();
        for open in leaving {
            let same = |socket: &&AdminSocket| socket.address == open.socket.address;
            match wanted.iter().find(same) {
                // Who waits in its queue comes in with the new level.
                Some(socket) if matches!(*open.listener, Listener::Tcp(_)) => {
                    let listener = Rc::clone(&open.listener);
                    drop(open);
                    control.admin.borrow_mut().add(control, socket, listener);
                }
                _ => closing.push(open),
            }
        }
        finish(closing).await;
    }

    /// Stops listening, on TCP alone or everywhere. Clients already in, or waiting
    /// to be, go on.
    pub(crate) async fn close(control: &Rc<Control>, tcp_alone: bool) {
        let leaves =
            |open: &mut Open| !tcp_alone || matches!(open.socket.address, AdminAddress::Tcp(_));
        let leaving: Vec<Open> = {
            let mut sockets = control.admin.borrow_mut();
            sockets.open.extract_if(.., leaves).collect()
        };
        finish(leaving).await;
    }

    /// Opens all of `wanted` anew: their paths may lead elsewhere by now.
    ///
    /// # Errors
    /// As [`reconcile`](Self::reconcile).
    pub(crate) async fn reopen(
        control: &Rc<Control>,
        wanted: &[AdminSocket],
    ) -> Result<(), OpenError> {
        let before = std::mem::take(&mut control.admin.borrow_mut().open);
        // New ones first: the paths are never without.
        let opened = Self::reconcile(control, wanted, Rivals::Replace).await;
        finish(before).await;
        opened
    }

    /// Waits until the last client is gone, but not for those who only sit there.
    pub(crate) async fn wait_for_clients(sockets: &RefCell<Self>) {
        let places = Arc::clone(&sockets.borrow().places);
        // Nobody is let in meanwhile: a closed listener waits for nobody.
        let _ = timeout(CLOSE_MAX, places.acquire_many(CLIENTS_MAX as u32)).await;
    }

    /// A socket through which another process may take over.
    pub(crate) fn for_successor(&self) -> Option<PathBuf> {
        self.open
            .iter()
            .find_map(|open| match &open.socket.address {
                AdminAddress::Unix(path) if open.socket.level == AdminLevel::Admin => {
                    Some(path.clone())
                }
                _ => None,
            })
    }

    /// What `show cli sockets` lists.
    pub(crate) fn list(&self) -> impl Iterator<Item = (String, AdminLevel)> {
        self.open.iter().map(|open| {
            let address = match &open.socket.address {
                AdminAddress::Unix(path) => format!("unix@{}", path.display()),
                AdminAddress::Tcp(address) if address.is_ipv4() => format!("ipv4@{address}"),
                AdminAddress::Tcp(address) => format!("ipv6@{address}"),
            };
            (address, open.socket.level)
        })
    }

    fn add(&mut self, control: &Rc<Control>, socket: &AdminSocket, listener: Rc<Listener>) {
        let level = socket.level;
        let kept = Rc::clone(&listener);
        let places = Arc::clone(&self.places);
        let control = Rc::clone(control);
        let closing = Rc::new(Notify::new());
        let close = Rc::clone(&closing);
        let accepting = tokio::task::spawn_local(supervise("admin", move || {
            let door = Door {
                listener: Rc::clone(&listener),
                level,
                places: Arc::clone(&places),
                control: Rc::clone(&control),
            };
            door.accept_until(Rc::clone(&close))
        }));
        self.open.push(Open {
            socket: socket.clone(),
            listener: kept,
            accepting,
            closing,
        });
    }
}

async fn finish(leaving: Vec<Open>) {
    for mut open in leaving {
        open.closing.notify_one();
        // A listener that has no place for those who wait is closed all the same.
        let _ = timeout(CLOSE_MAX, &mut open.accepting).await;
    }
}

/// A listener, and what its clients are let in with.
struct Door {
    listener: Rc<Listener>,
    level: AdminLevel,
    places: Arc<Semaphore>,
    control: Rc<Control>,
}

impl Door {
    async fn accept_until(self, closing: Rc<Notify>) {
        loop {
            tokio::select! {
                () = self.accept() => {}
                () = closing.notified() => break,
            }
        }
        // Those who knocked before hear no reset.
        while timeout(SETTLE, self.accept()).await.is_ok() {}
    }

    async fn accept(&self) {
        let Ok(place) = Arc::clone(&self.places).acquire_owned().await else {
            // Nobody closes it.
            return std::future::pending().await;
        };
        let (level, control) = (self.level, &self.control);
        let accepted = match &*self.listener {
            Listener::Unix(listener, _) => listener
                .accept()
                .await
                .map(|(stream, _)| client::start(stream, level, control, place)),
            Listener::Tcp(listener) => listener
                .accept()
                .await
                .map(|(stream, _)| client::start(stream, level, control, place)),
        };
        if let Err(error) = accepted {
            tracing::warn!(%error, "cannot accept on an admin socket");
            sleep(RETRY).await;
        }
    }
}
