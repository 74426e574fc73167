//! From a desired state to what is served.

use std::collections::{BTreeMap, HashMap};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::binds::Opened;
use super::change::Cause;
use super::describe::{describe, describe_health};
use super::merge::Inputs;
use super::{Control, unix_now};
use crate::config::Log;
use crate::generation::{Change, Desired, Generation, Returning, Server};
use crate::health::admin_line;
use crate::net::ListenError;
use crate::state::{Admin, BindId, EndpointId, Operational, ServerId, WorkerId};
use crate::worker::{Handle, Order};

/// Why a desired state did not come into force. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApplyError {
    /// A bind could not be opened.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// An admin socket could not be opened.
    #[error(transparent)]
    Admin(#[from] super::admin::OpenError),
    /// A worker did not hand out what it listens on.
    #[error("{0}; try again")]
    Worker(String),
    /// Certificates or authorities could not be loaded.
    #[error(transparent)]
    Tls(#[from] crate::tls::Unusable),
    /// A blocking thread panicked.
    #[error("reading the files of TLS: {0}")]
    Blocking(String),
    /// The running process went on instead.
    #[error(transparent)]
    Takeover(#[from] super::TakeoverError),
}

/// What came of a change.
#[derive(Debug, Default)]
pub(super) struct Brought {
    /// What is different now, a line each.
    pub(super) changed: Vec<String>,
    /// What the operator should know, a line each.
    pub(super) warnings: Vec<String>,
    /// Workers that did not answer within [`REFRESH_MAX`]: they pass the change with their next tick.
    pub(super) late: Vec<WorkerId>,
}

/// The time a server that is taken away gets, when it is not its backend's.
#[derive(Debug, Clone)]
pub(super) struct Removal {
    /// Its backend.
    pub(super) backend: String,
    /// Its key there.
    pub(super) key: Arc<str>,
    /// Its sessions are cut after this.
    pub(super) drain: Duration,
}

/// Held by whoever changes something.
pub(super) type Turn<'a> = tokio::sync::MutexGuard<'a, ()>;

/// A command that promises an effect waits this long for the workers.
const REFRESH_MAX: Duration = Duration::from_secs(1);

impl Control {
    /// Merges `inputs` and brings the outcome into force: when this returns, every
    /// worker has passed it. The one way of every change.
    ///
    /// # Errors
    /// A bind could not be opened; everything goes on as before.
    pub(super) async fn bring(
        &self,
        turn: &Turn<'_>,
        mut inputs: Inputs,
        cause: &Cause,
        removal: Option<Removal>,
    ) -> Result<Brought, ApplyError> {
        inputs.forget_unnamed();
        inputs.sites.update(&inputs.sources, |backend| {
            self.drains.borrow().has_servers_of(backend)
        });
        let mut brought = Brought {
            warnings: inputs.settle(unix_now()),
            ..Brought::default()
        };
        let merged = inputs.merge();
        let before = Arc::clone(&self.desired.borrow());
        // Before a bind opens: its first request is logged, too.
        self.bring_logs(&inputs.config.logs);
        if merged.desired == *before {
            brought.late = self.refresh(&[]).await;
        } else {
            brought.changed = describe(&before, &merged.desired);
            let desired = Arc::new(merged.desired);
            let served = self.serve(turn, desired, removal).await;
            if served.is_err() {
                self.bring_logs(&self.inputs.borrow().config.logs);
            }
            brought.late = served?;
            self.record(cause, &brought.changed);
        }
        let known = self
            .merge_warnings
            .replace(merged.warnings.iter().cloned().collect());
        let fresh = merged.warnings.into_iter().filter(|w| !known.contains(w));
        brought.warnings.extend(fresh);
        *self.differences.borrow_mut() = merged.differences;
        *self.conflicts.borrow_mut() = merged.conflicts;
        let is_other = !Arc::ptr_eq(&self.inputs.borrow().config, &inputs.config);
        *self.inputs.borrow_mut() = inputs;
        if is_other {
            self.watch_sources();
            self.watch_keys();
        }
        self.forget_tls();
        self.saving.unsaved();
        Ok(brought)
    }

    /// A log that cannot be had refuses no change: what is served matters more.
    fn bring_logs(&self, wanted: &[Log]) {
        if let Some(logs) = &mut *self.logs.borrow_mut()
            && let Err(error) = logs.reconcile(wanted)
        {
            tracing::error!(%error, "the logs stay as they were");
        }
    }

    /// Writes what waits, once nothing is served any more. Blocks for a moment.
    pub(crate) fn end_logs(&self) {
        if let Some(logs) = self.logs.take() {
            logs.finish();
        }
    }

    /// Builds the schedules again after a change of health.
    pub(super) async fn rebuild(&self, turn: &Turn<'_>, cause: &Cause) -> Result<(), ApplyError> {
        let desired = Arc::clone(&self.desired.borrow());
        let before = self.generation();
        self.serve(turn, desired, None).await?;
        let changed = describe_health(&before, &self.generation());
        if !changed.is_empty() {
            self.record(cause, &changed);
        }
        Ok(())
    }

    async fn serve(
        &self,
        _turn: &Turn<'_>,
        desired: Arc<Desired>,
        removal: Option<Removal>,
    ) -> Result<Vec<WorkerId>, ApplyError> {
        let current = self.generation();
        // Opened before anything changes: a bind that fails refuses the whole change.
        // A process that ends opens nothing any more.
        let is_stopping = self.stop.get().is_some();
        let opened = match is_stopping {
            true => Opened::default(),
            false => {
                let to_lend = self.binds.borrow().to_lend(&desired.frontends);
                let lent = self.lend(&to_lend).await?;
                let mut binds = self.binds.borrow_mut();
                binds.open(&desired.frontends, lent, self.workers.len())?
            }
        };
        let pages = match is_stopping {
            true => None,
            false => Some(self.stats.open(&desired)?),
        };
        let returning = self.drains.borrow().returning(&desired);
        let moved = set_states(&current, &desired, &returning, self.now_ms());
        for server in returning.values() {
            server.state.revive();
        }
        let (next, change) = current.next_with(&desired, self.workers.len(), &returning);
        let next = Arc::new(next);
        self.close_leaving(&change.left_frontends).await;
        // Before the routes to them are in force.
        if let Some(pages) = pages {
            self.stats.reconcile(&desired, pages, &current.tls);
        }
        *self.desired.borrow_mut() = desired;
        self.publish(Arc::clone(&next));
        tell_moved(&next, &moved);
        wake_queues(&current, &next);
        let late = self.refresh(&change.closed_endpoints).await;
        self.follow(&next, change, removal);
        // Before the binds: what is known to be down must get no request.
        if self.health.borrow_mut().reconcile(&next) {
            self.stale.notify_one();
        }
        if !is_stopping {
            self.reconcile_binds(&next, opened).await;
        }
        Ok(late)
    }

    /// Duplicates of the sockets of these binds.
    async fn lend(&self, binds: &[BindId]) -> Result<BTreeMap<BindId, Vec<OwnedFd>>, ApplyError> {
        if binds.is_empty() {
            return Ok(BTreeMap::new());
        }
        let mut all = self.duplicates().await.map_err(ApplyError::Worker)?;
        all.retain(|bind, _| binds.contains(bind));
        Ok(all)
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
    fn follow(&self, next: &Generation, change: Change, removal: Option<Removal>) {
        let mut draining = self.drains.borrow_mut();
        draining.forget_returned(next);
        let default = self.desired.borrow().config.global.drain_timeout;
        for frontend in change.left_frontends {
            frontend.state.retire();
            draining.add_frontend(frontend, tokio::time::Instant::now() + default);
        }
        for (backend, server) in change.left {
            server.state.retire();
            let own = removal
                .as_ref()
                .filter(|r| *r.backend == *backend.name && r.key == server.key);
            let patience = match own {
                Some(removal) => removal.drain,
                None => backend.config.drain_timeout.unwrap_or(default),
            };
            draining.add(backend, server, tokio::time::Instant::now() + patience);
        }
    }
}

/// Control is the only writer of administrative states, and of the health of
/// what is not checked; a schedule is built from what they say, so they come first.
pub(crate) fn set_states(
    current: &Generation,
    desired: &Desired,
    returning: &Returning,
    now_ms: u64,
) -> Vec<(ServerId, Admin)> {
    let mut moved = Vec::new();
    for (config, members) in desired.config.backends.iter().zip(&desired.members) {
        let servers = current
            .backend(&config.name)
            .map_or(&[][..], |b| &b.servers[..]);
        // Most changes leave the list as it is.
        let mut by_key: Option<HashMap<&str, &Arc<Server>>> = None;
        for (index, member) in members.iter().enumerate() {
            let same_place = servers.get(index).filter(|s| s.key == member.key);
            let server = same_place.or_else(|| {
                let all = servers.iter().map(|s| (&*s.key, s));
                let by_key = by_key.get_or_insert_with(|| all.collect());
                let key = || (Arc::clone(&config.name), Arc::clone(&member.key));
                let back = || returning.get(&key());
                by_key.get(&*member.key).copied().or_else(back)
            });
            let Some(server) = server else { continue };
            let from = server.state.admin();
            if server.state.set_admin(member.admin, now_ms) {
                moved.push((server.id(), from));
            }
            server.state.set_refused(member.refused);
            server.state.slots.set_limit(member.maxconn(config));
            let has_check = member.has_check(config);
            if !has_check {
                server.state.set_unproven(false);
            }
            let health = match member.health {
                Some(health) => Some(health),
                // Without checks it is UP unless somebody says otherwise; with checks
                // that are switched off it stays what it is.
                None if !has_check => Some(Operational::Up),
                None => None,
            };
            if let Some(health) = health {
                server.state.set_operational(health, now_ms);
            }
        }
    }
    moved
}

/// Whoever waits for a server decides anew: another may be usable, a limit may have risen,
/// or nobody is left to wait for.
fn wake_queues(before: &Generation, now: &Generation) {
    for backend in before.backends.iter().chain(&now.backends) {
        backend.state.queue.wake();
        for server in &backend.servers {
            server.state.line.wake();
        }
    }
}

/// One event for each server that the operator moved, in HAProxy's words.
fn tell_moved(generation: &Generation, moved: &[(ServerId, Admin)]) {
    for (id, from) in moved {
        let Some((backend, server)) = generation.servers().find(|(_, s)| s.id() == *id) else {
            continue;
        };
        let event = match server.state.admin() {
            Admin::Ready => "server_ready",
            Admin::Drain => "server_drain",
            Admin::Maint => "server_maint",
        };
        let (backend_name, server_name) = (&*backend.name, &*server.name);
        tracing::info!(
            event,
            backend = backend_name,
            server = server_name,
            "{}",
            admin_line(backend, server, *from)
        );
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
