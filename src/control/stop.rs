//! The end of the process: drain, bounded, or at once.

use std::time::Duration;

use tokio::time::Instant;

use super::Control;
use super::apply::ask;
use crate::generation::Phase;
use crate::worker::Order;

/// How the process is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stop {
    /// Let sessions finish within `drain_timeout`.
    Drain,
    /// Cut them.
    Now,
}

/// What a wish to stop has led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stopping {
    /// Sessions finish.
    Draining {
        /// How many there are.
        sessions: usize,
        /// What is left then is cut.
        at_most: Duration,
    },
    /// Sessions are cut now.
    Cutting {
        /// How many there are.
        sessions: usize,
    },
}

/// How the control plane ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// As asked.
    Stopped,
    /// A worker's thread is gone.
    WorkerLost,
}

/// How often the number of sessions left is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// Cut sessions see the order within this.
const CUT_MAX: Duration = Duration::from_secs(1);

impl Control {
    /// Asks for the end; a second call makes it immediate.
    pub(crate) fn request_stop(&self, how: Stop) -> Stopping {
        let how = if self.stop.get().is_some() {
            Stop::Now
        } else {
            how
        };
        self.stop.set(Some(how));
        self.stopping.notify_one();
        let sessions = self.published.connections();
        match how {
            Stop::Now => Stopping::Cutting { sessions },
            Stop::Drain => {
                let global = &self.desired.borrow().config.global;
                let at_most = global.drain_delay + global.drain_timeout;
                Stopping::Draining { sessions, at_most }
            }
        }
    }

    fn is_cut_wanted(&self) -> bool {
        self.stop.get() == Some(Stop::Now)
    }

    /// Drains and ends the workers' sessions. Never takes longer than
    /// `drain_delay` + `drain_timeout` and a moment.
    pub(super) async fn stop_serving(&self) {
        let global = self.desired.borrow().config.global.clone();
        // A successor serves: to the service manager, and to clients, nothing stops.
        let is_succeeded = self.shared.borrow().is_given();
        if !is_succeeded {
            self.published.leave_service();
            self.manager.stopping(self.published.connections());
        }
        if !self.is_cut_wanted() && !is_succeeded {
            // The command that asked for it says the same to the operator.
            tracing::debug!(sessions = self.published.connections(), "draining");
            self.deregister().await;
            self.wait_until(Instant::now() + global.drain_delay, || false)
                .await;
        }
        // First: what is answered from here on tells its client to go elsewhere.
        self.published.advance(Phase::Draining);
        let mut binds = self.binds.borrow().ids();
        for (id, gently) in &mut binds {
            *gently &= !self.is_cut_wanted() && self.shared.borrow().is_ours(*id);
        }
        self.close_binds(&binds).await;
        let drained = || self.published.connections() == 0;
        self.wait_until(Instant::now() + global.drain_timeout, drained)
            .await;
        if !drained() {
            self.published.advance(Phase::Cut);
            let sessions = self.published.connections();
            tracing::warn!("{sessions} sessions cut");
            ask(&self.workers, |done| Order::KillSession {
                index: None,
                done,
            })
            .await;
            let deadline = Instant::now() + CUT_MAX;
            while !drained() && Instant::now() < deadline {
                tokio::time::sleep(LOOK).await;
            }
        }
        for worker in &self.workers {
            // A worker that does not listen any more has ended already.
            let _ = worker.orders.send(Order::Stop).await;
        }
    }

    /// Waits for a condition, a deadline, or the wish to stop now.
    async fn wait_until(&self, deadline: Instant, condition: impl Fn() -> bool) {
        while !condition() && !self.is_cut_wanted() && Instant::now() < deadline {
            tokio::time::sleep(LOOK.min(deadline - Instant::now())).await;
        }
    }
}
