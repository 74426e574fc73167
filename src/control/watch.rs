//! The watch over the workers: each writes the time of its last tick.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use super::Control;
use super::stop::Outcome;

/// A worker this late is named in the log, once until it ticks again.
const LATE: Duration = Duration::from_secs(2);
/// One look adds at most this much: a process that was stopped (SIGSTOP, a frozen
/// machine) finds every worker silent for as long, and none of them stuck.
const STEP_MAX: Duration = Duration::from_secs(1);

/// How long each worker has been seen without a tick, by looks at short distance.
#[derive(Debug, Default)]
pub(super) struct Watch {
    looked_ms: u64,
    workers: Vec<Silence>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Silence {
    tick_ms: u64,
    seen: Duration,
    told: bool,
}

impl Watch {
    /// Takes one look at monotonic `now_ms`; for each worker how long it has been silent.
    fn look(&mut self, now_ms: u64, ticks: impl Iterator<Item = u64>) -> &mut [Silence] {
        let step = Duration::from_millis(now_ms.saturating_sub(self.looked_ms)).min(STEP_MAX);
        self.looked_ms = now_ms;
        for (index, tick_ms) in ticks.enumerate() {
            if self.workers.len() <= index {
                self.workers.push(Silence::default());
            }
            let worker = &mut self.workers[index];
            if worker.tick_ms == tick_ms {
                worker.seen += step;
            } else {
                *worker = Silence {
                    tick_ms,
                    ..Silence::default()
                };
            }
        }
        &mut self.workers
    }
}

impl Control {
    /// Looks at every worker once. `Some` = the process must end.
    pub(super) fn look_at_workers(&self) -> Option<Outcome> {
        let stall = self.desired.borrow().config.global.worker_stall;
        let mut watch = self.watch.borrow_mut();
        let ticks = self.workers.iter().map(|worker| worker.pulse.last_ms());
        let silences = watch.look(self.now_ms(), ticks);
        for (worker, silence) in self.workers.iter().zip(silences) {
            let id = worker.id.0;
            if worker.thread.is_finished() {
                tracing::error!(
                    worker = id,
                    "a worker ended; the process cannot go on without it"
                );
                return Some(Outcome::WorkerLost);
            }
            let seconds = silence.seen.as_secs();
            if !stall.is_zero() && silence.seen >= stall {
                tracing::error!(worker = id, seconds, "a worker is stuck; aborting");
                // No orderly end is possible with a thread that does not come back.
                std::process::abort();
            }
            if silence.seen >= LATE && !std::mem::replace(&mut silence.told, true) {
                tracing::warn!(worker = id, seconds, "a worker is late");
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_grows_by_looks_and_ends_with_a_tick() {
        let mut watch = Watch::default();
        let mut at = 0;
        let mut look = |after_ms, tick| {
            at += after_ms;
            watch.look(at, std::iter::once(tick))[0].seen
        };
        assert_eq!(look(100, 50), Duration::ZERO);
        assert_eq!(look(100, 50), Duration::from_millis(100));
        assert_eq!(look(100, 50), Duration::from_millis(200));
        assert_eq!(look(100, 250), Duration::ZERO);
        // The whole process stood still for an hour: nobody is stuck.
        assert_eq!(look(3_600_000, 250), STEP_MAX);
        assert_eq!(look(100, 3_600_500), Duration::ZERO);
    }
}
