//! The watch over the workers: each writes the time of its last tick.

use std::time::Duration;

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
}
