//! `upgrade`: the running process starts its own successor, so that the service
//! manager that watches over it watches over that one, too.

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::{Program, SILENCE_MAX, Shared};
use crate::control::Control;

/// Takeovers that end while an upgrade waits for its own: by which process, and how.
pub(in crate::control) type Outcomes = mpsc::Sender<(u32, Result<(), String>)>;

/// Processes that try a takeover while an upgrade is under way.
const RIVALS_MAX: usize = 8;
/// From its question to the takeover: the hand-over is silent for less, twice.
const HAND_OVER_MAX: Duration = SILENCE_MAX.saturating_mul(2);
/// A process that has ended may have said why over the socket: that is read by now.
const LAST_WORDS: Duration = Duration::from_secs(1);

impl Control {
    /// Starts the program of this process anew, as its successor. Returns the
    /// number of that process when it serves; this one drains then.
    ///
    /// # Errors
    /// Why there is no successor: a sentence, or the diagnostics of the files. This
    /// process goes on.
    pub(in crate::control) async fn upgrade(self: &Rc<Self>) -> Result<u32, String> {
        let program = self.program.as_ref().ok_or(NO_PROGRAM)?;
        let Ok(_one) = self.upgrade_turn.try_lock() else {
            return Err("another upgrade is under way".to_owned());
        };
        if self.stop.get().is_some() {
            return Err("this process is ending already".to_owned());
        }
        if std::process::id() == 1 {
            return Err(FIRST.to_owned());
        }
        let socket = self.admin.borrow().for_successor().ok_or(NO_SOCKET)?;
        program.check().await?;
        // Before it can have an outcome.
        let (outcomes, told) = mpsc::channel(RIVALS_MAX);
        *self.upgrading.borrow_mut() = Some(outcomes);
        let succeeded = match program.succeed(&socket).await {
            Ok(pid) => self.await_successor(program, pid, told).await,
            Err(sentence) => Err(sentence),
        };
        *self.upgrading.borrow_mut() = None;
        succeeded
    }

    async fn await_successor(
        &self,
        program: &Program,
        pid: u32,
        mut told: mpsc::Receiver<(u32, Result<(), String>)>,
    ) -> Result<u32, String> {
        tracing::info!(pid, "a successor was started");
        let mut outcome = std::pin::pin!(async {
            while let Some((by, outcome)) = told.recv().await {
                if by == pid {
                    return outcome.map(|()| pid);
                }
            }
            Err("the takeover broke off".to_owned())
        });
        let Ok(orphan) = Orphan::find(pid) else {
            let last = timeout(LAST_WORDS, outcome).await;
            return last.unwrap_or_else(|_| Err(program.ended("")));
        };
        let succeeded = tokio::select! {
            biased;
            outcome = &mut outcome => outcome,
            () = orphan.end() => {
                let last = timeout(LAST_WORDS, outcome).await;
                last.unwrap_or_else(|_| Err(program.ended("")))
            }
            () = self.patience() => Err(program.silent()),
        };
        if succeeded.is_err() {
            orphan.kill();
        }
        succeeded
    }

    /// Until the successor has had its time.
    async fn patience(&self) {
        sleep(SILENCE_MAX).await;
        if *self.shared.borrow() == Shared::Offered {
            sleep(HAND_OVER_MAX).await;
        }
    }

    /// Tells who waits for it what came of the takeover by this process.
    pub(super) fn tell_upgrade(&self, pid: u32, outcome: Result<(), String>) {
        if let Some(outcomes) = &*self.upgrading.borrow() {
            // Too many strangers: it ends by its patience.
            let _ = outcomes.try_send((pid, outcome));
        }
    }
}

/// A process that is not our child, by a descriptor that no other process gets.
struct Orphan(AsyncFd<OwnedFd>);

impl Orphan {
    #[expect(
        deprecated,
        reason = "its successor is unsafe for the sake of types that may change \
                  their descriptor; an OwnedFd cannot"
    )]
    fn find(pid: u32) -> io::Result<Self> {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or(io::ErrorKind::InvalidInput)?;
        let fd = pidfd_open(pid, PidfdFlags::empty())?;
        Ok(Self(AsyncFd::with_interest(fd, Interest::READABLE)?))
    }

    async fn end(&self) {
        // Its descriptor becomes readable then, and nothing else happens to it.
        let _ = self.0.readable().await;
    }

    fn kill(&self) {
        // It may have ended by itself.
        let _ = pidfd_send_signal(self.0.get_ref(), Signal::KILL);
    }
}

const NO_PROGRAM: &str = "this process cannot be started anew: only `rlb -f FILE` can; start a new one with --takeover SOCKET";
const NO_SOCKET: &str = "a successor needs a Unix admin socket of level admin, and there is none; add one to global.admin";
const FIRST: &str = "this process is the first of its container, which ends when it ends; start a new container instead";
