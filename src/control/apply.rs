//! From a desired state to what is served.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::Control;
use crate::generation::{Change, Desired, Generation};
use crate::net::ListenError;
use crate::state::{EndpointId, WorkerId};
use crate::worker::{Handle, Order};

/// Why a desired state did not come into force. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApplyError {
    /// A bind could not be opened.
    #[error(transparent)]
    Listen(#[from] ListenError),
}

/// What came of a change.
#[derive(Debug, Default)]
pub(crate) struct Applied {
    /// Workers that did not answer within [`REFRESH_MAX`]: they pass the change with their next tick.
    pub(crate) late: Vec<WorkerId>,
}

/// A command that promises an effect waits this long for the workers.
const REFRESH_MAX: Duration = Duration::from_secs(1);

impl Control {
    /// Brings `desired` into force: when this returns, every worker has passed it.
    ///
    /// # Errors
    /// A bind could not be opened; everything goes on as before.
    pub(crate) async fn apply(&self, desired: Desired) -> Result<Applied, ApplyError> {
        let _turn = self.turn.lock().await;
        self.apply_in_turn(desired).await
    }

    /// Builds the schedules again after a change of health.
    pub(super) async fn rebuild(&self) -> Result<Applied, ApplyError> {
        let _turn = self.turn.lock().await;
        let desired = self.desired.borrow().clone();
        self.apply_in_turn(desired).await
    }

    async fn apply_in_turn(&self, desired: Desired) -> Result<Applied, ApplyError> {
        let current = self.generation();
        // Opened before anything changes: a bind that fails refuses the whole change.
        let opened = self
            .binds
            .borrow()
            .open(&desired.config, self.workers.len())?;
        self.set_admin_states(&current, &desired);
        let returning = self.draining.borrow().returning(&desired);
        for server in returning.values() {
            server.state.revive();
        }
        let (next, change) = current.next_with(&desired, self.workers.len(), &returning);
        let next = Arc::new(next);
        self.close_leaving(&change.left_frontends).await;
        *self.desired.borrow_mut() = desired;
        self.publish(Arc::clone(&next));
        let late = self.refresh(&change.closed_endpoints).await;
        self.follow(&next, change);
        self.reconcile_binds(&next, opened).await;
        if self.health.borrow_mut().reconcile(&next) {
            self.stale.notify_one();
        }
        Ok(Applied { late })
    }

    /// Control is the only writer of administrative states; a schedule is built
    /// from what they say, so they come first.
    fn set_admin_states(&self, current: &Generation, desired: &Desired) {
        let now_ms = self.now_ms();
        for (backend, members) in desired.config.backends.iter().zip(&desired.members) {
            let Some(backend) = current.backend(&backend.name) else {
                continue;
            };
            let by_key: HashMap<&str, _> = backend.servers.iter().map(|s| (&*s.key, s)).collect();
            for member in members {
                if let Some(server) = by_key.get(&*member.key) {
                    server.state.set_admin(member.admin, now_ms);
                }
            }
        }
    }

    fn publish(&self, next: Arc<Generation>) {
        let old = self.published.generation.swap(next);
        let mut replaced = self.replaced.borrow_mut();
        replaced.push_back(old);
        // Freed by their last holder, which must not be a worker: 10,000 servers take 1 ms.
        while replaced
            .front()
            .is_some_and(|oldest| Arc::strong_count(oldest) == 1)
        {
            replaced.pop_front();
        }
    }

    /// Makes every worker look at the generation in force; returns those that did not in time.
    async fn refresh(&self, closed: &[EndpointId]) -> Vec<WorkerId> {
        let closed: Arc<[EndpointId]> = closed.into();
        let asked = ask(&self.workers, |done| Order::Refresh {
            closed: Arc::clone(&closed),
            done,
        })
        .await;
        asked
            .into_iter()
            .filter_map(|(worker, answer)| answer.is_none().then_some(worker))
            .collect()
    }

    /// What left drains; frontends that left are marked, so that their sessions end.
    fn follow(&self, next: &Generation, change: Change) {
        for frontend in &change.left_frontends {
            frontend.state.retire();
        }
        let mut draining = self.draining.borrow_mut();
        draining.forget_returned(next);
        let default = self.desired.borrow().config.global.drain_timeout;
        for (backend, server) in change.left {
            server.state.retire();
            let patience = backend.config.drain_timeout.unwrap_or(default);
            draining.add(backend, server, tokio::time::Instant::now() + patience);
        }
    }
}

/// Sends an order to every worker and waits for the answers, at most [`REFRESH_MAX`] in all.
pub(super) async fn ask<T>(
    workers: &[Handle],
    mut order: impl FnMut(oneshot::Sender<T>) -> Order,
) -> Vec<(WorkerId, Option<T>)> {
    let deadline = tokio::time::Instant::now() + REFRESH_MAX;
    let mut waiting = Vec::with_capacity(workers.len());
    for worker in workers {
        let (done, answer) = oneshot::channel();
        let sent = tokio::time::timeout_at(deadline, worker.orders.send(order(done))).await;
        waiting.push((worker.id, matches!(sent, Ok(Ok(()))).then_some(answer)));
    }
    let mut answers = Vec::with_capacity(waiting.len());
    for (worker, answer) in waiting {
        let answer = match answer {
            Some(answer) => tokio::time::timeout_at(deadline, answer)
                .await
                .ok()
                .and_then(Result::ok),
            None => None,
        };
        answers.push((worker, answer));
    }
    answers
}
