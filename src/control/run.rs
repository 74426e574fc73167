//! Control's loop: takes what comes in and hands it to those who act on it.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::MissedTickBehavior;

use super::apply::ApplyError;
use super::supervise::supervise;
use super::{AdminSockets, Cause, Control, Outcome, ReloadReport, Stop, Stopping};
use crate::config::Config;
use crate::generation::Report;
use crate::health::HealthEvent;
use crate::state::Operational;

/// What the owner of an engine may ask.
#[derive(Debug)]
pub(crate) enum Command {
    /// End; answered with what that means now.
    Stop(Stop, oneshot::Sender<Stopping>),
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
    /// Runs until somebody stops the process. Each part starts again after a panic
    /// of its own: what it does depends on the desired state, not on where it was.
    pub(crate) async fn run(self: &Rc<Self>, inbox: Inbox) -> Outcome {
        let inbox = Rc::new(tokio::sync::Mutex::new(inbox));
        let mut again = false;
        let rebuilding = supervise("rebuild", || {
            if std::mem::replace(&mut again, true) {
                // The one that panicked has taken the notice with it.
                self.stale.notify_one();
            }
            Rc::clone(self).rebuild_when_stale()
        });
        let draining = supervise("drain", || Rc::clone(self).drain_always());
        let sampling = supervise("sample", || Rc::clone(self).sample_always());
        let following = supervise("files", || Rc::clone(self).follow_files());
        let discovering = supervise("sources", || Rc::clone(self).follow_sources());
        let registering = supervise("register", || Rc::clone(self).register_always());
        let expiring = supervise("expiry", || Rc::clone(self).watch_expiry());
        let weighing = supervise("weights", || Rc::clone(self).follow_keys());
        let saving = supervise("save", || Rc::clone(self).save_always());
        let settling = supervise("settle", || Rc::clone(self).settle_always());
        // Each worker has answered from within its accept loop.
        let telling = supervise("ready", || Rc::clone(self).tell_ready());
        let living = supervise("watchdog", || Rc::clone(self).live_always());
        let listening = supervise("listen", || Rc::clone(self).listen(Rc::clone(&inbox)));
        let outcome = tokio::select! {
            outcome = listening => outcome,
            never = rebuilding => never,
            never = draining => never,
            never = sampling => never,
            never = following => never,
            never = discovering => never,
            never = registering => never,
            never = expiring => never,
            never = weighing => never,
            never = saving => never,
            never = settling => never,
            never = telling => never,
            never = living => never,
        };
        self.save_changed().await;
        if self.shared.borrow().is_given() {
            // Who asked us at the last moment is answered; the next asks the successor.
            AdminSockets::wait_for_clients(&self.admin).await;
            self.stats.wait_for_guests().await;
        }
        outcome
    }

    async fn listen(self: Rc<Self>, inbox: Rc<tokio::sync::Mutex<Inbox>>) -> Outcome {
        // Only a predecessor that panicked had it before.
        let inbox = &mut *inbox.lock().await;
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if self.stop.get().is_some() {
                return self.stop_and_listen(inbox).await;
            }
            tokio::select! {
                Some(command) = inbox.commands.recv() => self.obey(command),
                Some(report) = inbox.reports.recv() => match report {
                    Report::ConnectFailed(id) => self.health.borrow().passive_failure(id),
                },
                Some(event) = inbox.health.recv() => self.notice(&event),
                _ = look.tick() => {
                    if let Some(outcome) = self.look_at_workers() {
                        return outcome;
                    }
                }
                () = self.stopping.notified() => {}
            }
        }
    }

    /// While the process drains, commands are still heard: a second one cuts.
    async fn stop_and_listen(self: &Rc<Self>, inbox: &mut Inbox) -> Outcome {
        let mut stopping = Box::pin(self.stop_serving());
        loop {
            tokio::select! {
                () = &mut stopping => return Outcome::Stopped,
                Some(command) = inbox.commands.recv() => self.obey(command),
            }
        }
    }

    fn obey(self: &Rc<Self>, command: Command) {
        match command {
            Command::Stop(how, done) => {
                let _ = done.send(self.request_stop(how));
            }
            // Both read files, which may take long: meanwhile the rest is heard.
            Command::Apply(config, done) => {
                let control = Rc::clone(self);
                tokio::task::spawn_local(async move {
                    let applied = control.replace_config(config).await;
                    // Whoever asked may have gone.
                    let _ = done.send(applied);
                });
            }
            Command::Reload(words, done) => {
                let control = Rc::clone(self);
                tokio::task::spawn_local(async move {
                    // Whoever asked may have gone.
                    let _ = done.send(control.reload(Cause::Reload(words)).await);
                });
            }
        }
    }

    fn notice(&self, event: &HealthEvent) {
        self.watch_backends(|backend| backend.name == event.backend);
        let generation = self.generation();
        let line = event.log_line(&generation);
        let (backend, server) = (&*event.backend, &*event.server);
        let reason = event.check.code.description();
        let (code, info) = (u64::from(event.check.status), &*event.text);
        let check_ms = u64::from(event.check.duration_ms);
        match event.to {
            Operational::Up => tracing::info!(
                event = "server_up",
                backend,
                server,
                reason,
                code,
                info,
                check_ms,
                "{line}"
            ),
            to => tracing::warn!(
                event = match to {
                    Operational::Down => "server_down",
                    _ => "server_stopping",
                },
                severity = "alert",
                backend,
                server,
                reason,
                code,
                info,
                check_ms,
                "{line}"
            ),
        }
        if let Some(line) = event.outage_line(&generation) {
            tracing::error!(
                event = "backend_down",
                severity = "emerg",
                backend,
                "{line}"
            );
        }
        self.stale.notify_one();
    }

    async fn rebuild_when_stale(self: Rc<Self>) -> Outcome {
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
    async fn settle_always(self: Rc<Self>) -> Outcome {
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

    async fn drain_always(self: Rc<Self>) -> Outcome {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            look.tick().await;
            self.look_after_draining().await;
            self.let_sites_go().await;
        }
    }
}
