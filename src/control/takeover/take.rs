//! The successor's side. Blocks: before the engine runs, or on a thread for it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::rc::Rc;

use super::counters::SharedCounters;
use super::message::{HandOver, Head, SharedServer, VERSION};
use super::{SILENCE_MAX, Shared};
use crate::config::{AdminSocket, Bind};
use crate::control::admin::{AdminSockets, Rivals};
use crate::control::overrides::Overrides;
use crate::control::sources::{SourceId, Sources};
use crate::control::weights::Weights;
use crate::control::{ApplyError, Control};
use crate::health::Known;
use crate::net::{CARRIER, receive};
use crate::tls::TicketKeys;

/// Why nothing was taken over; the running process goes on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TakeoverError {
    /// Nobody there.
    #[error(
        "cannot take over from {0}: {1}; is it the admin socket of a running rlb? Without one, start without --takeover"
    )]
    Connect(String, io::Error),
    /// Its words.
    #[error("cannot take over: {0}; the running process goes on")]
    Refused(String),
    /// No answer in time, or the end.
    #[error("cannot take over: {0}; the running process goes on")]
    Lost(String),
}

/// A running process whose place we are about to take.
#[derive(Debug)]
pub(crate) struct Predecessor {
    stream: UnixStream,
    /// What it listens on.
    pub(in crate::control) taken: Vec<Taken>,
    pub(in crate::control) overrides: Overrides,
    /// What opens the tickets of its clients.
    pub(in crate::control) tickets: TicketKeys,
    pub(in crate::control) sources: Sources,
    pub(in crate::control) weights: Weights,
    /// When each of them was heard last, Unix seconds.
    pub(in crate::control) heard: BTreeMap<SourceId, u64>,
    servers: Vec<SharedServer>,
    pub(in crate::control) counters: SharedCounters,
}

/// Where the running process hears what went wrong.
#[derive(Debug)]
pub(crate) struct Complaints(UnixStream);

/// Listening sockets of a bind that was handed over; dropped, our duplicates close.
#[derive(Debug)]
pub(crate) struct Taken {
    /// Position among the binds of the predecessor.
    index: usize,
    frontend: String,
    address: String,
    interface: Option<String>,
    /// One or more.
    pub(in crate::control) sockets: Vec<OwnedFd>,
}

impl Taken {
    /// Takes what was bound as `bind` is; what served the same frontend first.
    pub(in crate::control) fn find(
        all: &mut Vec<Self>,
        frontend: &str,
        bind: &Bind,
    ) -> Option<Self> {
        let address = bind.address.to_string();
        let fits = |taken: &Self| taken.address == address && taken.interface == bind.interface;
        let same = all.iter().position(|t| fits(t) && t.frontend == frontend);
        let index = same.or_else(|| all.iter().position(fits))?;
        Some(all.remove(index))
    }
}

impl Predecessor {
    /// Asks the process behind an admin socket for all it has.
    ///
    /// # Errors
    /// See [`TakeoverError`]
    pub(crate) fn ask(path: &Path) -> Result<Self, TakeoverError> {
        let connect = |error| TakeoverError::Connect(path.display().to_string(), error);
        let mut stream = UnixStream::connect(path).map_err(connect)?;
        stream
            .set_read_timeout(Some(SILENCE_MAX))
            .map_err(connect)?;
        stream
            .set_write_timeout(Some(SILENCE_MAX))
            .map_err(connect)?;
        say(&mut stream, &format!("takeover {VERSION}"))?;
        let mut fds = Vec::new();
        let (line, carriers) = read_line(&stream, &mut fds)?;
        let head: Head = serde_json::from_slice(&line).map_err(|_| {
            let said = String::from_utf8_lossy(&line);
            let said: String = said.chars().take(80).collect();
            TakeoverError::Refused(format!(
                "{} answers {said:?}, which is no hand-over",
                path.display()
            ))
        })?;
        head.check().map_err(TakeoverError::Refused)?;
        let given: HandOver = serde_json::from_slice(&line).map_err(|error| {
            TakeoverError::Refused(format!("the hand-over is damaged: {error}"))
        })?;
        let wanted = given.binds.iter().map(|bind| bind.sockets).sum::<usize>();
        read_descriptors(&stream, wanted, carriers, &mut fds)?;
        let mut fds = fds.into_iter();
        let taken = given
            .binds
            .into_iter()
            .enumerate()
            .map(|(index, bind)| Taken {
                index,
                frontend: bind.frontend,
                address: bind.address,
                interface: bind.interface,
                sockets: fds.by_ref().take(bind.sockets).collect(),
            });
        Ok(Self {
            taken: taken.collect(),
            stream,
            overrides: given.overrides,
            tickets: given.tickets,
            sources: given.sources,
            weights: given.weights,
            heard: given.heard,
            servers: given.servers,
            counters: given.counters,
        })
    }

    /// Another way to reach it: it hears why we fail even when nothing of this is left.
    ///
    /// # Errors
    /// No descriptor left.
    pub(crate) fn complaints(&self) -> Result<Complaints, TakeoverError> {
        let stream = self.stream.try_clone().map_err(|error| lost(&error))?;
        Ok(Complaints(stream))
    }

    /// What its checks found.
    pub(in crate::control) fn known(&mut self) -> Vec<Known> {
        let servers = std::mem::take(&mut self.servers).into_iter();
        let known = servers.map(|server| Known {
            backend: server.backend,
            key: server.key,
            address: server.address,
            operational: server.operational,
            health: server.health,
        });
        known.collect()
    }

    /// We accept. What is left of its binds is closed here, for it to close well.
    ///
    /// # Errors
    /// It has changed its mind, or is gone.
    pub(in crate::control) fn ready(mut self, left: Vec<Taken>) -> Result<Self, TakeoverError> {
        let left: String = left.iter().map(|bind| format!(" {}", bind.index)).collect();
        say(&mut self.stream, &format!("ready{left}"))?;
        let (line, _) = read_line(&self.stream, &mut Vec::new())?;
        match line.as_slice() {
            b"go" => Ok(self),
            other => Err(TakeoverError::Refused(
                String::from_utf8_lossy(other).into_owned(),
            )),
        }
    }

    /// Its place is ours: it drains.
    ///
    /// # Errors
    /// It is gone.
    pub(in crate::control) fn done(mut self) -> Result<(), TakeoverError> {
        say(&mut self.stream, "done")
    }
}

impl Complaints {
    /// Tells the running process why we do not take its place.
    pub(crate) fn say(mut self, why: &str) {
        let line: String = why.split_whitespace().collect::<Vec<_>>().join(" ");
        // It goes on either way, and at the latest when we have ended.
        let _ = say(&mut self.0, &format!("failed {line}"));
    }
}

impl Control {
    /// Tells the predecessor that we serve, and takes its admin sockets.
    ///
    /// # Errors
    /// It goes on, and we must not. Clients that came to us meanwhile were served
    /// to their end then.
    pub(in crate::control) async fn take_over(
        self: &Rc<Self>,
        predecessor: Predecessor,
        admin: &[AdminSocket],
    ) -> Result<(), ApplyError> {
        let outcome = self.take_place(predecessor, admin).await;
        if outcome.is_err() {
            *self.shared.borrow_mut() = Shared::Given(BTreeSet::new());
            AdminSockets::close(self, false).await;
            self.stop_serving().await;
        }
        outcome
    }

    async fn take_place(
        self: &Rc<Self>,
        predecessor: Predecessor,
        admin: &[AdminSocket],
    ) -> Result<(), ApplyError> {
        let left = self.binds.borrow_mut().not_wanted();
        let asked = tokio::task::spawn_blocking(move || predecessor.ready(left)).await;
        let gone = |panic| TakeoverError::Lost(format!("{panic}"));
        let predecessor = asked.map_err(gone)??;
        AdminSockets::reconcile(self, admin, Rivals::Replace).await?;
        Ok(predecessor.done()?)
    }
}

/// A line, in one piece.
fn say(stream: &mut UnixStream, line: &str) -> Result<(), TakeoverError> {
    let line = format!("{line}\n");
    stream.write_all(line.as_bytes()).map_err(|e| lost(&e))
}

/// A line without its end, and how many carriers of descriptors came behind it.
fn read_line(
    stream: &UnixStream,
    fds: &mut Vec<OwnedFd>,
) -> Result<(Vec<u8>, usize), TakeoverError> {
    let mut line = Vec::new();
    let mut bytes = vec![0; 64 * 1024];
    loop {
        let read = receive_some(stream, &mut bytes, fds)?;
        let start = line.len();
        line.extend_from_slice(&bytes[..read]);
        if let Some(end) = line[start..].iter().position(|byte| *byte == b'\n') {
            let rest = line.split_off(start + end);
            return Ok((line, rest.len() - 1));
        }
        if line.len() > LINE_MAX {
            return Err(TakeoverError::Lost("the hand-over has no end".to_owned()));
        }
    }
}

fn read_descriptors(
    stream: &UnixStream,
    wanted: usize,
    mut carriers: usize,
    fds: &mut Vec<OwnedFd>,
) -> Result<(), TakeoverError> {
    let mut byte = [CARRIER];
    while fds.len() < wanted {
        carriers += receive_some(stream, &mut byte, fds)?;
        if carriers > wanted {
            break;
        }
    }
    if fds.len() != wanted {
        let came = fds.len();
        let sentence = format!("{came} sockets came where {wanted} were announced");
        return Err(TakeoverError::Lost(sentence));
    }
    Ok(())
}

fn receive_some(
    stream: &UnixStream,
    bytes: &mut [u8],
    fds: &mut Vec<OwnedFd>,
) -> Result<usize, TakeoverError> {
    match receive(stream, bytes, fds) {
        Ok(0) => Err(TakeoverError::Lost(
            "the running process broke off".to_owned(),
        )),
        Ok(read) => Ok(read),
        Err(error) => Err(lost(&error)),
    }
}

fn lost(error: &io::Error) -> TakeoverError {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => TakeoverError::Lost(format!(
            "the running process did not answer within {} s",
            SILENCE_MAX.as_secs()
        )),
        _ => TakeoverError::Lost(error.to_string()),
    }
}

/// Overrides of many thousand servers.
const LINE_MAX: usize = 256 << 20;
