//! Which sockets are open, and who owns them: always a worker, never control.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::Control;
use super::takeover::Taken;
use crate::config::{self, Bind, BindAddress, Mode};
use crate::generation::{Entrance, Frontend, Generation};
use crate::net::ListenError;
use crate::net::listen::{self, SocketFile};
use crate::state::{BindId, FrontendId};
use crate::worker::Order;

/// Open binds.
#[derive(Debug, Default)]
pub(super) struct Binds {
    open: HashMap<BindId, Open>,
    /// What a predecessor handed over, and no bind wanted yet.
    taken: Vec<Taken>,
}

#[derive(Debug)]
struct Open {
    frontend: Arc<str>,
    mode: Mode,
    bind: Bind,
    local: Option<SocketAddr>,
    file: Option<SocketFile>,
}

impl Open {
    fn shown(&self) -> BindAddress {
        match (&self.bind.address, self.local) {
            (BindAddress::Ip(_), Some(local)) => BindAddress::Ip(local),
            (BindAddress::Any(_), Some(local)) => BindAddress::Any(local.port()),
            (written, _) => written.clone(),
        }
    }
}

/// Sockets opened for a change that is not in force yet; dropped, they close.
#[derive(Debug, Default)]
pub(super) struct Opened(Vec<(Bind, Vec<OwnedFd>)>);

/// Closing gently waits 10 ms for handshakes under way; this bounds a stuck worker.
const CLOSE_MAX: Duration = Duration::from_secs(2);

impl Binds {
    /// Open binds whose address cannot be bound a second time, and that are wanted
    /// with other options or by another frontend: their sockets stay.
    pub(super) fn to_lend(&self, frontends: &[Entrance]) -> Vec<BindId> {
        let mut lent = Vec::new();
        for frontend in frontends.iter().filter(|f| !f.paused).map(|f| &f.config) {
            for bind in &frontend.binds {
                if !matches!(bind.address, BindAddress::Abstract(_)) || self.has(frontend, bind) {
                    continue;
                }
                let ours = |open: &&Open| open.bind.address == bind.address;
                let ours = self.open.iter().filter(|(_, open)| ours(open));
                lent.extend(ours.map(|(id, _)| *id));
            }
        }
        lent
    }

    /// Whether it is open in just this way.
    fn has(&self, frontend: &config::Frontend, bind: &Bind) -> bool {
        // A frontend of another mode is another frontend.
        self.open.values().any(|open| {
            open.bind == *bind && open.frontend == frontend.name && open.mode == frontend.mode
        })
    }

    /// Opens what these frontends ask for and is not open in just this way; `lent`
    /// are duplicates of what [`to_lend`](Self::to_lend) named.
    ///
    /// # Errors
    /// The first bind that cannot be opened; those opened before are closed again.
    pub(super) fn open(
        &mut self,
        frontends: &[Entrance],
        mut lent: BTreeMap<BindId, Vec<OwnedFd>>,
        workers: usize,
    ) -> Result<Opened, ListenError> {
        let mut opened = Opened::default();
        for frontend in frontends.iter().filter(|f| !f.paused).map(|f| &f.config) {
            for bind in &frontend.binds {
                if self.has(frontend, bind) {
                    continue;
                }
                let address = |id: &BindId| self.open.get(id).map(|open| &open.bind.address);
                let own = lent
                    .keys()
                    .copied()
                    .find(|id| address(id) == Some(&bind.address));
                if let Some(sockets) = own.and_then(|id| lent.remove(&id)) {
                    listen::adopt(bind, &sockets)?;
                    opened.0.push((bind.clone(), sockets));
                    continue;
                }
                if let Some(taken) = Taken::find(&mut self.taken, &frontend.name, bind) {
                    listen::adopt(bind, &taken.sockets)?;
                    opened.0.push((bind.clone(), taken.sockets));
                    continue;
                }
                // Ours already (other options, another frontend, one address for all):
                // the new sockets join the old ones, which close when the change is in force.
                let ours = |open: &Open| listen::overlap(&open.bind.address, &bind.address);
                let ours = self.open.values().any(ours);
                opened
                    .0
                    .push((bind.clone(), listen::open(bind, workers, !ours)?));
            }
        }
        Ok(opened)
    }

    /// In the order of the file.
    pub(super) fn addresses(&self) -> Vec<(Arc<str>, SocketAddr)> {
        let open = self.in_order().into_iter();
        open.filter_map(|open| Some((Arc::clone(&open.frontend), open.local?)))
            .collect()
    }

    /// As written, with the port the system gave to those that asked for port 0;
    /// in the order of the file.
    pub(super) fn shown(&self) -> Vec<(Arc<str>, BindAddress)> {
        let open = self.in_order().into_iter();
        open.map(|open| (Arc::clone(&open.frontend), open.shown()))
            .collect()
    }

    fn in_order(&self) -> Vec<&Open> {
        let mut open: Vec<_> = self.open.iter().collect();
        open.sort_by_key(|(id, _)| **id);
        open.into_iter().map(|(_, open)| open).collect()
    }

    /// Every open bind, for those who close all.
    pub(super) fn ids(&self) -> Vec<(BindId, bool)> {
        self.open
            .iter()
            .map(|(id, open)| (*id, is_ours(&open.bind)))
            .collect()
    }

    /// Sockets of another process, for the binds that are opened next.
    pub(super) fn take_over(&mut self, taken: Vec<Taken>) {
        self.taken = taken;
    }

    /// Those that no bind wanted.
    pub(super) fn not_wanted(&mut self) -> Vec<Taken> {
        std::mem::take(&mut self.taken)
    }

    /// A bind as written, and its frontend.
    pub(super) fn written(&self, id: BindId) -> Option<(&str, &Bind)> {
        let open = self.open.get(&id)?;
        Some((&open.frontend, &open.bind))
    }
}

/// Whether nobody else can hold the same socket: only then may its queue be filtered.
fn is_ours(bind: &Bind) -> bool {
    !matches!(bind.address, BindAddress::Fd(_))
}

impl Control {
    /// Gives fresh sockets to the workers, then closes binds that left.
    pub(super) async fn reconcile_binds(&self, next: &Generation, opened: Opened) {
        let mut fresh = opened.0;
        let mut wanted = HashMap::new();
        for frontend in next.frontends.iter().filter(|f| !f.paused) {
            for (bind, id) in frontend.config.binds.iter().zip(&frontend.bind_ids) {
                wanted.insert(*id, (Arc::clone(frontend), bind.clone()));
            }
        }
        for (id, (frontend, bind)) in &wanted {
            if self.binds.borrow().open.contains_key(id) {
                continue;
            }
            let Some(index) = fresh.iter().position(|(opened, _)| opened == bind) else {
                continue;
            };
            let (_, sockets) = fresh.swap_remove(index);
            let local = sockets
                .first()
                .and_then(|fd| socket2::SockRef::from(fd).local_addr().ok());
            self.give(*id, frontend.state.id, sockets).await;
            let open = Open {
                frontend: Arc::clone(&frontend.config.name),
                mode: frontend.config.mode,
                bind: bind.clone(),
                local: local.and_then(|address| address.as_socket()),
                file: SocketFile::of(&bind.address),
            };
            self.binds.borrow_mut().open.insert(*id, open);
        }
        let open = self.binds.borrow().ids().into_iter();
        let leaving: Vec<_> = open.filter(|(id, _)| !wanted.contains_key(id)).collect();
        self.close_binds(&leaving).await;
    }

    /// Closes the binds of frontends that leave: before the generation without them
    /// comes into force, so that whoever waits in their queues is still served.
    pub(super) async fn close_leaving(&self, frontends: &[Arc<Frontend>]) {
        let left = |id: &BindId| frontends.iter().any(|f| f.bind_ids.contains(id));
        let open = self.binds.borrow().ids().into_iter();
        let leaving: Vec<_> = open.filter(|(id, _)| left(id)).collect();
        self.close_binds(&leaving).await;
    }

    /// One socket for each worker; where there are fewer (it cannot be had several
    /// times, or came from a process with fewer workers), several share one, so that
    /// its connections are spread too. Where there are more, a worker has several.
    async fn give(&self, bind: BindId, frontend: FrontendId, mut sockets: Vec<OwnedFd>) {
        for index in 0..self.workers.len().saturating_sub(sockets.len()) {
            let Some(Ok(copy)) = sockets.get(index).map(OwnedFd::try_clone) else {
                break;
            };
            sockets.push(copy);
        }
        for (worker, fd) in self.workers.iter().cycle().zip(sockets) {
            let (done, answer) = oneshot::channel();
            let order = Order::OpenBind {
                bind,
                frontend,
                fd,
                done,
            };
            let sent = worker.orders.send(order).await.is_ok();
            match answer.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(worker = worker.id.0, %error, "cannot listen"),
                Err(_) => tracing::error!(worker = worker.id.0, sent, "worker does not answer"),
            }
        }
    }

    /// Closes binds, those whose flag says so gently, and forgets them.
    pub(super) async fn close_binds(&self, leaving: &[(BindId, bool)]) {
        let mut answers = Vec::new();
        for (bind, gently) in leaving.iter().copied() {
            // Taken out first: nobody is to find a file of a socket that is closing.
            let open = self.binds.borrow_mut().open.remove(&bind);
            // The file of a socket that a successor has is his.
            let file = open.and_then(|open| open.file);
            if let Some(file) = file.filter(|_| self.shared.borrow().is_ours(bind)) {
                file.remove();
            }
            for worker in &self.workers {
                let (done, answer) = oneshot::channel();
                let order = Order::CloseBind { bind, gently, done };
                if worker.orders.send(order).await.is_ok() {
                    answers.push(answer);
                }
            }
        }
        let deadline = tokio::time::Instant::now() + CLOSE_MAX;
        for answer in answers {
            if tokio::time::timeout_at(deadline, answer).await.is_err() {
                tracing::warn!("a worker is late in closing a listener");
            }
        }
    }
}
