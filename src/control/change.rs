//! What may be asked of control at run time: one method per change, one change
//! at a time. Each returns when every worker has passed it.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::Control;
use crate::config;
use crate::state::{Admin, Operational, WorkerId};
use crate::worker::SessionRow;

/// Why a change was not made. The admin socket says it in HAProxy's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// No backend of this name.
    #[error("no such backend")]
    NoSuchBackend,
    /// No server of this name in the backend.
    #[error("no such server")]
    NoSuchServer,
    /// No frontend of this name.
    #[error("no such frontend")]
    NoSuchFrontend,
    /// No session of this index.
    #[error("no such session")]
    NoSuchSession,
    /// The backend has a server of this name.
    #[error("a server of this name exists already")]
    AlreadyExists,
    /// The name holds what a name cannot hold: one sentence.
    #[error("{0}")]
    BadName(String),
    /// No health check is configured for this server.
    #[error("no health check is configured for this server")]
    NoCheck,
    /// The frontend is enabled, or disabled, already.
    #[error("the frontend is so already")]
    AlreadySo,
    /// The frontend was shut down.
    #[error("the frontend was shut down")]
    ShutDown,
    /// In force, but these workers did not confirm it within a second.
    #[error("in force, but not yet passed by workers {0:?}")]
    Late(Vec<usize>),
    /// Anything else: one sentence.
    #[error("{0}")]
    Other(String),
}

/// A weight as an operator says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WeightChange {
    /// 0-256.
    Absolute(u16),
    /// Of the written weight; the result is capped at 256.
    Percent(u32),
}

/// Old and new address of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AddressChange {
    /// Before.
    pub(crate) old: SocketAddr,
    /// Now; may be the same.
    pub(crate) new: SocketAddr,
}

/// How an added server starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AddedState {
    /// In maintenance and not checked, as in HAProxy.
    Maint,
    /// Serving and checked at once.
    Up,
}

/// What a reload did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReloadReport {
    /// What is different now, one line each; empty = nothing.
    pub changed: Vec<String>,
    /// What the operator should know, one line each.
    pub warnings: Vec<String>,
    /// Settings that come into force with the next start only.
    pub needs_restart: Vec<String>,
}

/// One value that runs otherwise than it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OverrideRow {
    /// `web/s1`, or the name of a frontend.
    pub(crate) object: String,
    /// Which value: `weight`, `state`, `address`, ...
    pub(crate) what: &'static str,
    /// As in file or source; `None` = not there.
    pub(crate) written: Option<String>,
    /// As it runs.
    pub(crate) running: String,
    /// When it was set.
    pub(crate) since: SystemTime,
    /// The words that set it.
    pub(crate) by: String,
}

/// One generation that was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GenerationRow {
    /// Its number.
    pub(crate) id: u64,
    /// When.
    pub(crate) when: SystemTime,
    /// Why, in words.
    pub(crate) cause: String,
    /// What changed, in words.
    pub(crate) summary: String,
}

/// A server that takes no new work and still has some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DrainRow {
    /// The backend it is in, or left.
    pub(crate) backend: String,
    /// It.
    pub(crate) server: String,
    /// Sessions or requests under way.
    pub(crate) left: u64,
    /// Time until they are cut; `None` = never: it was not removed.
    pub(crate) cut_in: Option<Duration>,
}

fn later<T>() -> Result<T, Refusal> {
    Err(Refusal::Other("not built yet".to_owned()))
}

#[expect(unused_variables, reason = "signatures first")]
#[expect(clippy::unused_async, reason = "signatures first")]
impl Control {
    /// `set weight`.
    pub(crate) async fn set_weight(
        &self,
        backend: &str,
        server: &str,
        weight: WeightChange,
    ) -> Result<(), Refusal> {
        later()
    }

    /// `set server ... state`, `enable server`, `disable server`.
    pub(crate) async fn set_state(
        &self,
        backend: &str,
        server: &str,
        state: Admin,
    ) -> Result<(), Refusal> {
        later()
    }

    /// `set server ... health`.
    pub(crate) async fn set_health(
        &self,
        backend: &str,
        server: &str,
        health: Operational,
    ) -> Result<(), Refusal> {
        later()
    }

    /// `enable health`, `disable health`. [`Refusal::NoCheck`] where none is configured.
    pub(crate) async fn set_checks_enabled(
        &self,
        backend: &str,
        server: &str,
        enabled: bool,
    ) -> Result<(), Refusal> {
        later()
    }

    /// `set server ... addr`; `port` `None` = as it is.
    pub(crate) async fn set_address(
        &self,
        backend: &str,
        server: &str,
        ip: IpAddr,
        port: Option<u16>,
    ) -> Result<AddressChange, Refusal> {
        later()
    }

    /// `set server ... check-addr`, `check-port`; `None` = as it is.
    pub(crate) async fn set_check_address(
        &self,
        backend: &str,
        server: &str,
        ip: Option<IpAddr>,
        port: Option<u16>,
    ) -> Result<(), Refusal> {
        later()
    }

    /// `add server`.
    pub(crate) async fn add_server(
        &self,
        backend: &str,
        spec: config::Server,
        start: AddedState,
    ) -> Result<(), Refusal> {
        later()
    }

    /// `del server`; `drain` `None` = the backend's drain timeout.
    pub(crate) async fn del_server(
        &self,
        backend: &str,
        server: &str,
        drain: Option<Duration>,
    ) -> Result<(), Refusal> {
        later()
    }

    /// `enable frontend`, `disable frontend`: listeners open and close, sessions go on.
    pub(crate) async fn set_frontend_enabled(
        &self,
        frontend: &str,
        enabled: bool,
    ) -> Result<(), Refusal> {
        later()
    }

    /// `shutdown frontend`: it leaves, its sessions drain.
    pub(crate) async fn shutdown_frontend(&self, frontend: &str) -> Result<(), Refusal> {
        later()
    }

    /// `set maxconn frontend`; 0 = only the limit of the process.
    pub(crate) async fn set_frontend_maxconn(
        &self,
        frontend: &str,
        maxconn: usize,
    ) -> Result<(), Refusal> {
        later()
    }

    /// `shutdown sessions server`: how many were ended.
    pub(crate) async fn shutdown_sessions_server(
        &self,
        backend: &str,
        server: &str,
    ) -> Result<usize, Refusal> {
        later()
    }

    /// `shutdown session`.
    pub(crate) async fn shutdown_session(
        &self,
        worker: WorkerId,
        index: u32,
    ) -> Result<(), Refusal> {
        later()
    }

    /// Every session of every worker.
    pub(crate) async fn list_sessions(&self) -> Vec<SessionRow> {
        Vec::new()
    }

    /// Reads all files again.
    ///
    /// # Errors
    /// The rendered diagnostics; everything goes on as before.
    pub(crate) async fn reload(&self, cause: Cause) -> Result<ReloadReport, String> {
        Err("not built yet".to_owned())
    }

    /// Where running and written state differ.
    pub(crate) fn overrides(&self) -> Vec<OverrideRow> {
        Vec::new()
    }

    /// `clear override b/s`: as written again.
    pub(crate) async fn clear_override(&self, backend: &str, server: &str) -> Result<(), Refusal> {
        later()
    }

    /// `clear override f` of a frontend.
    pub(crate) async fn clear_frontend_override(&self, frontend: &str) -> Result<(), Refusal> {
        later()
    }

    /// `clear overrides`: everything as written again; how many servers and frontends had some.
    pub(crate) async fn clear_overrides(&self) -> Result<usize, Refusal> {
        later()
    }

    /// The last 100 generations, oldest first.
    pub(crate) fn history(&self) -> Vec<GenerationRow> {
        Vec::new()
    }

    /// Servers that drain: those that left, and those in drain or maintenance with work under way.
    pub(crate) fn draining(&self) -> Vec<DrainRow> {
        Vec::new()
    }

    /// Writes overrides and last good sets now; where.
    pub(crate) async fn save_state(&self) -> Result<PathBuf, Refusal> {
        later()
    }
}

/// What made a change, for the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The process started.
    Start,
    /// A file changed on disk.
    File,
    /// Somebody asked for a reload: by which words or which signal.
    Reload(String),
    /// A command, in its words.
    Command(String),
    /// A server's health changed.
    Health,
    /// A source of servers answered: which.
    Source(String),
    /// The program that embeds the engine.
    Engine,
}
