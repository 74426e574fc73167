//! The watch over the workers: each writes the time of its last tick.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use super::Control;
use super::stop::Outcome;

/// A worker this late is named in the log.
const LATE: Duration = Duration::from_secs(2);

impl Control {
    /// Looks at every worker once. `Some` = the process must end.
    pub(super) fn look_at_workers(&self) -> Option<Outcome> {
        let stall = self.desired.borrow().config.global.worker_stall;
        for worker in &self.workers {
            let id = worker.id.0;
            if worker.thread.is_finished() {
                tracing::error!(
                    worker = id,
                    "a worker ended; the process cannot go on without it"
                );
                return Some(Outcome::WorkerLost);
            }
            let age = worker.pulse.age();
            if !stall.is_zero() && age >= stall {
                tracing::error!(
                    worker = id,
                    seconds = age.as_secs(),
                    "a worker is stuck; aborting"
                );
                // No orderly end is possible with a thread that does not come back.
                std::process::abort();
            }
            if age >= LATE {
                tracing::warn!(worker = id, ms = age.as_millis() as u64, "a worker is late");
            }
        }
        None
    }

    /// Signs of life for the service manager, while every worker gives some, and
    /// while the process drains.
    pub(super) async fn live_always(self: Rc<Self>) -> Outcome {
        let Some(patience) = self.manager.watchdog() else {
            return std::future::pending().await;
        };
        // sd_watchdog_enabled(3): half of it.
        let mut tick = tokio::time::interval(patience / 2);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            // A successor lives for us.
            if self.shared.borrow().is_given() {
                return std::future::pending().await;
            }
            if self.workers.iter().all(|worker| worker.pulse.age() < LATE) {
                self.manager.alive();
            }
        }
    }
}
