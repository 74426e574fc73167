//! The admin sockets of the process and who may come in.

use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{Duration, sleep};

use super::client;
use super::socket::{Listener, OpenError, Rivals, open};
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
    accepting: JoinHandle<()>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// A client has its buffers, and perhaps one answer that it does not read.
const CLIENTS_MAX: usize = 64;
/// After an accept that failed: no descriptors left, most likely.
const RETRY: Duration = Duration::from_millis(100);

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
                Ok(listener) => control.admin.borrow_mut().add(control, socket, listener),
                Err(error) if *socket == AdminSocket::default() => {
                    tracing::warn!("{error}; going on without it");
                }
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        refused.map_or(Ok(()), Err)
    }

    /// Frees the TCP addresses. Clients already in go on.
    pub(crate) fn close_tcp(&mut self) {
        let is_tcp = |open: &Open| matches!(open.socket.address, AdminAddress::Tcp(_));
        self.open.retain(|open| !is_tcp(open));
    }

    /// Stops listening. Clients already in go on.
    pub(crate) fn close_all(&mut self) {
        self.open.clear();
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

    fn add(&mut self, control: &Rc<Control>, socket: &AdminSocket, listener: Listener) {
        let level = socket.level;
        let listener = Rc::new(listener);
        let places = Arc::clone(&self.places);
        let control = Rc::clone(control);
        let accepting = tokio::task::spawn_local(supervise("admin", move || {
            accept(
                Rc::clone(&listener),
                level,
                Arc::clone(&places),
                Rc::clone(&control),
            )
        }));
        self.open.push(Open {
            socket: socket.clone(),
            accepting,
        });
    }
}

async fn accept(
    listener: Rc<Listener>,
    level: AdminLevel,
    places: Arc<Semaphore>,
    control: Rc<Control>,
) {
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            // Nobody closes it.
            return;
        };
        let accepted = match &*listener {
            Listener::Unix(listener, _) => listener
                .accept()
                .await
                .map(|(stream, _)| client::start(stream, level, &control, place)),
            Listener::Tcp(listener) => listener
                .accept()
                .await
                .map(|(stream, _)| client::start(stream, level, &control, place)),
        };
        if let Err(error) = accepted {
            tracing::warn!(%error, "cannot accept on an admin socket");
            sleep(RETRY).await;
        }
    }
}
