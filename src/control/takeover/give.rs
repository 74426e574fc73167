//! The predecessor's side.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::{Duration, timeout};

use super::SILENCE_MAX;
use super::message::{HandOver, Head, SharedBind, SharedServer, VERSION};
use crate::control::Control;
use crate::control::admin::AdminSockets;
use crate::control::apply::ask;
use crate::control::stop::Stop;
use crate::net::send_descriptors;
use crate::state::BindId;
use crate::worker::Order;

/// Whose the listening sockets are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::control) enum Shared {
    /// Ours alone.
    #[default]
    No,
    /// A successor has duplicates, and may come to nothing.
    Offered,
    /// A successor serves; of these binds it wanted nothing.
    Given(BTreeSet<BindId>),
}

impl Shared {
    /// Whether a bind may be closed with a filter before its queue: a filter on a
    /// shared socket would be the successor's, too.
    pub(in crate::control) fn is_ours(&self, bind: BindId) -> bool {
        match self {
            Self::No => true,
            Self::Offered => false,
            Self::Given(left) => left.contains(&bind),
        }
    }

    /// Whether there is a successor.
    pub(in crate::control) fn is_given(&self) -> bool {
        matches!(self, Self::Given(_))
    }
}

/// A change that is under way is waited for this long.
const TURN_MAX: Duration = Duration::from_secs(2);
/// A line of a successor: as many numbers as there may be binds.
const LINE_MAX: usize = 64 * 1024;

/// Whether these words ask for a takeover; the version the successor reads.
pub(in crate::control) fn requested(words: &[String]) -> Option<Result<u32, String>> {
    match words {
        [verb, version] if verb == "takeover" => Some(version.parse().map_err(|_| {
            format!("\"{version}\" is no version of the hand-over; this process writes {VERSION}")
        })),
        _ => None,
    }
}

impl Control {
    /// Hands everything over to the process at the other end, and drains when that
    /// one serves. Whatever goes wrong, this process goes on.
    pub(in crate::control) async fn hand_over(
        self: &Rc<Self>,
        client: &impl AsFd,
        version: Result<u32, String>,
    ) {
        let Some((stream, pid)) = unix_stream(client) else {
            return;
        };
        let mut stream = BufReader::new(stream);
        let refusal = match self.offer(&mut stream, version).await {
            Ok(left) => {
                self.retire(left, pid).await;
                return self.tell_upgrade(pid.unsigned_abs(), Ok(()));
            }
            Err(sentence) => sentence,
        };
        if *self.shared.borrow() == Shared::Offered {
            *self.shared.borrow_mut() = Shared::No;
        }
        tracing::warn!(
            pid,
            "a takeover has failed, this process goes on: {refusal}"
        );
        let head = Head {
            handover: VERSION,
            refused: Some(refusal),
        };
        // It may be gone.
        let _ = write_line(&mut stream, &head).await;
        let refusal = head.refused.unwrap_or_default();
        self.tell_upgrade(pid.unsigned_abs(), Err(refusal));
    }

    async fn offer(
        self: &Rc<Self>,
        stream: &mut BufReader<UnixStream>,
        version: Result<u32, String>,
    ) -> Result<BTreeSet<BindId>, String> {
        let version = version?;
        if version < VERSION {
            return Err(format!(
                "this process writes hand-over version {VERSION}, and the new one reads up to {version}"
            ));
        }
        // Held to the end: what changed now would be lost.
        let _turn = timeout(TURN_MAX, self.turn.lock())
            .await
            .map_err(|_| "a change or another takeover is under way; try again".to_owned())?;
        if self.stop.get().is_some() {
            return Err("this process is ending already".to_owned());
        }
        *self.shared.borrow_mut() = Shared::Offered;
        let ids = self.offer_all(stream).await?;
        let ready = read_line(stream).await?;
        let left = parse_ready(&ready, &ids)?;
        AdminSockets::close(self, true).await;
        self.stats.close_own();
        let handed = self.hand_over_admin(stream).await;
        if handed.is_err() {
            // Its paths may be the successor's by now, and that one is gone.
            let admin = self.inputs.borrow().config.global.admin.clone();
            if let Err(error) = AdminSockets::reopen(self, &admin).await {
                tracing::error!("{error}");
            }
            self.reopen_pages();
        }
        handed.map(|()| left)
    }

    fn reopen_pages(&self) {
        let desired = Arc::clone(&self.desired.borrow());
        match self.stats.open(&desired) {
            Ok(pages) => self
                .stats
                .reconcile(&desired, pages, &self.generation().tls),
            Err(error) => tracing::error!("{error}"),
        }
    }

    /// Sends what is known and the sockets; the binds in the order of the message.
    async fn offer_all(&self, stream: &mut BufReader<UnixStream>) -> Result<Vec<BindId>, String> {
        let sockets = self.duplicates().await?;
        let ids: Vec<BindId> = sockets.keys().copied().collect();
        let message = self.message(&sockets);
        let fds: Vec<OwnedFd> = sockets.into_values().flatten().collect();
        let send = async {
            write_line(stream, &message).await?;
            send_descriptors(stream.get_ref(), &fds).await
        };
        // The duplicates end with this function: a forgotten one is a queue nobody serves.
        match timeout(SILENCE_MAX, send).await {
            Ok(Ok(())) => Ok(ids),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(silence()),
        }
    }

    /// Duplicates of every listening socket, each socket once.
    pub(in crate::control) async fn duplicates(
        &self,
    ) -> Result<BTreeMap<BindId, Vec<OwnedFd>>, String> {
        let mut all: BTreeMap<BindId, BTreeMap<u64, OwnedFd>> = BTreeMap::new();
        for (worker, answer) in ask(&self.workers, |done| Order::ShareBinds { done }).await {
            let shared = answer.ok_or_else(|| format!("worker {} does not answer", worker.0))?;
            for (bind, fd) in shared.map_err(|error| error.to_string())? {
                let inode = rustix::fs::fstat(&fd).map_err(|error| error.to_string())?;
                all.entry(bind).or_default().insert(inode.st_ino, fd);
            }
        }
        let all = all.into_iter();
        Ok(all
            .map(|(bind, sockets)| (bind, sockets.into_values().collect()))
            .collect())
    }

    fn message(&self, sockets: &BTreeMap<BindId, Vec<OwnedFd>>) -> HandOver {
        let binds = self.binds.borrow();
        let binds = sockets.iter().map(|(id, sockets)| {
            let written = binds.written(*id);
            SharedBind {
                frontend: written.map(|(name, _)| name.to_owned()).unwrap_or_default(),
                address: written
                    .map(|(_, bind)| bind.address.to_string())
                    .unwrap_or_default(),
                interface: written.and_then(|(_, bind)| bind.interface.clone()),
                sockets: sockets.len(),
            }
        });
        let generation = self.generation();
        let checked = generation
            .servers()
            .filter(|(_, server)| server.check.is_some() && !server.state.is_unproven());
        let servers = checked.map(|(backend, server)| SharedServer {
            backend: backend.name.to_string(),
            key: server.key.to_string(),
            address: server.address.to_string(),
            operational: server.state.operational(),
            health: server.state.health(),
        });
        let inputs = self.inputs.borrow();
        HandOver {
            handover: VERSION,
            binds: binds.collect(),
            overrides: inputs.overrides.clone(),
            sources: inputs.sources.clone(),
            weights: inputs.weights.clone(),
            heard: self.heard(),
            servers: servers.collect(),
            tickets: generation.tls.tickets().export(),
            counters: self.shared_counters(),
        }
    }

    async fn hand_over_admin(&self, stream: &mut BufReader<UnixStream>) -> Result<(), String> {
        let go = timeout(SILENCE_MAX, stream.write_all(b"go\n")).await;
        go.map_err(|_| silence())?
            .map_err(|error| error.to_string())?;
        match read_line(stream).await?.as_str() {
            "done" => Ok(()),
            other => Err(said(other)),
        }
    }

    /// Another process serves now.
    async fn retire(self: &Rc<Self>, left: BTreeSet<BindId>, pid: i32) {
        tracing::info!(
            pid,
            "another process has taken over; this one drains and ends"
        );
        *self.shared.borrow_mut() = Shared::Given(left);
        self.manager.succeeded_by(pid.unsigned_abs());
        // A second wish would cut.
        if self.stop.get().is_none() {
            self.request_stop(Stop::Drain);
        }
        AdminSockets::close(self, false).await;
    }
}

/// The client's connection by a descriptor of its own, and its process; `None` =
/// TCP, which carries no descriptors.
fn unix_stream(client: &impl AsFd) -> Option<(UnixStream, i32)> {
    let socket = socket2::Socket::from(client.as_fd().try_clone_to_owned().ok()?);
    if socket.domain().ok()? != socket2::Domain::UNIX {
        return None;
    }
    let stream = UnixStream::from_std(OwnedFd::from(socket).into()).ok()?;
    let pid = stream.peer_cred().ok()?.pid()?;
    Some((stream, pid))
}

fn parse_ready(line: &str, ids: &[BindId]) -> Result<BTreeSet<BindId>, String> {
    let wrong = || said(line);
    let left = line.strip_prefix("ready").ok_or_else(wrong)?;
    let left = left.split_whitespace().map(|index| {
        let index: usize = index.parse().ok()?;
        ids.get(index).copied()
    });
    left.collect::<Option<_>>().ok_or_else(wrong)
}

async fn write_line(
    stream: &mut BufReader<UnixStream>,
    message: &impl serde::Serialize,
) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    stream.write_all(&line).await
}

async fn read_line(stream: &mut BufReader<UnixStream>) -> Result<String, String> {
    let mut line = Vec::new();
    let read = async {
        while !line.ends_with(b"\n") && line.len() < LINE_MAX {
            let some = stream.fill_buf().await?;
            let end = some.iter().position(|byte| *byte == b'\n');
            let length = end.map_or(some.len(), |end| end + 1);
            if length == 0 {
                return Err(io::Error::other("the new process has ended"));
            }
            line.extend_from_slice(&some[..length]);
            stream.consume(length);
        }
        Ok(())
    };
    match timeout(SILENCE_MAX, read).await {
        Ok(Ok(())) => Ok(String::from_utf8_lossy(&line).trim_end().to_owned()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(silence()),
    }
}

/// What the new process says instead of what it should.
fn said(line: &str) -> String {
    match line.strip_prefix("failed ") {
        Some(sentence) => format!("the new process says: {sentence}"),
        None => format!("the new process says {line:?}"),
    }
}

fn silence() -> String {
    format!("the new process was silent for {} s", SILENCE_MAX.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Option<Result<u32, String>> {
        let words: Vec<_> = line.split(' ').map(str::to_owned).collect();
        requested(&words)
    }

    #[test]
    fn only_its_own_words_ask_for_a_takeover() {
        assert_eq!(words("takeover 1"), Some(Ok(1)));
        assert!(words("takeover soon").is_some_and(|version| version.is_err()));
        assert_eq!(words("takeover"), None);
        assert_eq!(words("show info"), None);
    }

    #[test]
    fn a_ready_line_names_binds_by_position() {
        let ids: Vec<BindId> = (7..10).map(|_| BindId::next()).collect();
        assert_eq!(parse_ready("ready", &ids), Ok(BTreeSet::new()));
        assert_eq!(parse_ready("ready 0 2", &ids), Ok([ids[0], ids[2]].into()));
        for wrong in ["ready 3", "ready x", "steady", ""] {
            assert!(parse_ready(wrong, &ids).is_err(), "{wrong}");
        }
        let failed = parse_ready("failed no such bind", &ids).unwrap_err();
        assert_eq!(failed, "the new process says: no such bind");
    }

    #[test]
    fn a_filter_is_only_for_what_is_ours() {
        let ids: Vec<BindId> = (7..9).map(|_| BindId::next()).collect();
        assert!(Shared::No.is_ours(ids[0]));
        assert!(!Shared::Offered.is_ours(ids[0]));
        let given = Shared::Given([ids[1]].into());
        assert!(!given.is_ours(ids[0]) && given.is_ours(ids[1]) && given.is_given());
    }
}
