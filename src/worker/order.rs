//! What control may ask of a worker: few and closed.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use tokio::sync::oneshot;

use crate::proxy::SessionInfo;
use crate::state::{BindId, EndpointId, FrontendId, ServerId, WorkerId};

/// An order and where its answer goes.
#[derive(Debug)]
pub(crate) enum Order {
    /// Accept from this listening socket; the worker owns it from now on.
    OpenBind {
        /// Which bind.
        bind: BindId,
        /// Whose clients come in.
        frontend: FrontendId,
        /// The socket.
        fd: OwnedFd,
        /// Answered from within the accept loop; an error if the socket cannot be polled.
        done: oneshot::Sender<std::io::Result<()>>,
    },
    /// Stop accepting and close. `gently` = the sockets are ours alone: nothing
    /// that waits in their queues is lost.
    CloseBind {
        /// Which bind.
        bind: BindId,
        /// Filter, accept until empty, then close.
        gently: bool,
        /// Sockets closed.
        done: oneshot::Sender<usize>,
    },
    /// Duplicate every listening socket: they are to be handed to another process.
    ShareBinds {
        /// The duplicates, or that there are no descriptors left.
        done: oneshot::Sender<std::io::Result<Vec<(BindId, OwnedFd)>>>,
    },
    /// Look at the generation in force and close what is pooled to these endpoints.
    Refresh {
        /// Endpoints nobody uses any more.
        closed: Arc<[EndpointId]>,
        /// From now on this worker gives out nothing of an older generation.
        done: oneshot::Sender<()>,
    },
    /// End every session on this server.
    CloseServer {
        /// Which.
        server: ServerId,
        /// The operator asked for it; else its drain is over.
        asked: bool,
        /// How many were ended.
        done: oneshot::Sender<usize>,
    },
    /// End every session of this frontend.
    CloseFrontend {
        /// Which.
        frontend: FrontendId,
        /// How many were ended.
        done: oneshot::Sender<usize>,
    },
    /// Name every session.
    ListSessions {
        /// The rows.
        done: oneshot::Sender<Vec<SessionRow>>,
    },
    /// End one session, or all.
    KillSession {
        /// Its index in the worker's slab; `None` = all.
        index: Option<u32>,
        /// How many were ended.
        done: oneshot::Sender<usize>,
    },
    /// End the thread; what still runs is dropped.
    Stop,
}

/// A session and its worker.
#[derive(Debug, Clone)]
pub(crate) struct SessionRow {
    /// Which worker.
    pub(crate) worker: WorkerId,
    /// What is known of it.
    pub(crate) info: SessionInfo,
}
