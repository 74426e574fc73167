//! Control's loop: takes what comes in and hands it to those who act on it.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::MissedTickBehavior;

use super::apply::ApplyError;
use super::{Cause, Control, Outcome, ReloadReport, Stop};
use crate::config::Config;
use crate::generation::Report;
use crate::health::HealthEvent;

/// What the owner of an engine may ask.
#[derive(Debug)]
pub(crate) enum Command {
    /// End.
    Stop(Stop),
    /// Bring another configuration into force.
    Apply(Arc<Config>, oneshot::Sender<Result<(), ApplyError>>),
    /// Read the files again, asked for by these words.
    Reload(String, oneshot::Sender<Result<ReloadReport, String>>),
}

/// Where control's news comes from.
pub(crate) struct Inbox {
    /// The engine's owner.
    pub(crate) commands: mpsc::Receiver<Command>,
    /// Workers.
    pub(crate) reports: mpsc::Receiver<Report>,
    /// Checks.
    pub(crate) health: mpsc::Receiver<HealthEvent>,
}

/// Changes of health within this time make one new schedule.
const COALESCE: Duration = Duration::from_millis(10);
/// How often overrides of what is not there are looked at.
const SETTLE: Duration = Duration::from_secs(60);
/// How often drains and workers are looked at.
const LOOK: Duration = Duration::from_millis(100);

impl Control {
    /// Runs until somebody stops the process.
    pub(crate) async fn run(self: &Rc<Self>, mut inbox: Inbox) -> Outcome {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let tasks = [
            tokio::task::spawn_local(Rc::clone(self).rebuild_when_stale()),
            tokio::task::spawn_local(Rc::clone(self).drain_always()),
            tokio::task::spawn_local(Rc::clone(self).follow_files()),
            tokio::task::spawn_local(Rc::clone(self).save_always()),
            tokio::task::spawn_local(Rc::clone(self).settle_always()),
        ];
        let outcome = loop {
            if self.stop.get().is_some() {
                break self.stop_and_listen(&mut inbox).await;
            }
            tokio::select! {
                Some(command) = inbox.commands.recv() => self.obey(command).await,
                Some(report) = inbox.reports.recv() => match report {
                    Report::ConnectFailed(id) => self.health.borrow().passive_failure(id),
                },
                Some(event) = inbox.health.recv() => self.notice(&event),
                _ = look.tick() => {
                    if let Some(outcome) = self.look_at_workers() {
                        break outcome;
                    }
                }
                () = self.stopping.notified() => {}
            }
        };
        for task in tasks {
            task.abort();
        }
        self.save_changed().await;
        outcome
    }

    /// While the process drains, commands are still heard: a second one cuts.
    async fn stop_and_listen(&self, inbox: &mut Inbox) -> Outcome {
        let mut stopping = Box::pin(self.stop_serving());
        loop {
            tokio::select! {
                () = &mut stopping => return Outcome::Stopped,
                Some(command) = inbox.commands.recv() => self.obey(command).await,
            }
        }
    }

    async fn obey(&self, command: Command) {
        match command {
            Command::Stop(how) => self.request_stop(how),
            Command::Apply(config, done) => {
                let applied = self.replace_config(config, &Cause::Engine).await;
                // Whoever asked may have gone.
                let _ = done.send(applied);
            }
            Command::Reload(words, done) => {
                // Whoever asked may have gone.
                let _ = done.send(self.reload(Cause::Reload(words)).await);
            }
        }
    }

    fn notice(&self, event: &HealthEvent) {
        let generation = self.generation();
        let line = event.log_line(&generation);
        match event.to {
            crate::state::Operational::Up => tracing::info!("{line}"),
            _ => tracing::warn!("{line}"),
        }
        if let Some(line) = event.outage_line(&generation) {
            tracing::error!("{line}");
        }
        self.stale.notify_one();
    }

    async fn rebuild_when_stale(self: Rc<Self>) {
        loop {
            self.stale.notified().await;
            tokio::time::sleep(COALESCE).await;
            let turn = self.turn.lock().await;
            if let Err(error) = self.rebuild(&turn, &Cause::Health).await {
                tracing::error!(%error, "schedules were not built again");
            }
        }
    }

    /// Overrides of what is not there any more end in time.
    async fn settle_always(self: Rc<Self>) {
        loop {
            tokio::time::sleep(SETTLE).await;
            if !self.inputs.borrow().overrides.wait_for_somebody() {
                continue;
            }
            let turn = self.turn.lock().await;
            let inputs = self.inputs.borrow().clone();
            match self.bring(&turn, inputs, &Cause::Time, None).await {
                Ok(brought) => {
                    for line in brought.warnings {
                        tracing::info!("{line}");
                    }
                }
                Err(error) => tracing::error!(%error, "overrides were not looked at"),
            }
        }
    }

    async fn drain_always(self: Rc<Self>) {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            look.tick().await;
            self.look_after_draining().await;
        }
    }
}
