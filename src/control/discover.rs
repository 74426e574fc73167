//! What the sources find, brought into force.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;

use super::change::Cause;
use super::sites::Conflict;
use super::sources::Found;
use super::{Control, Outcome, unix_now};
use crate::discovery::{LeftOut, SourceId, SourceRow};

impl Control {
    /// Follows the sources until the task is dropped.
    pub(super) async fn follow_sources(self: Rc<Self>) -> Outcome {
        let news = self.discovery.borrow().news();
        loop {
            let due = self.discovery.borrow().due();
            let is_due = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = news.notified() => {}
                () = is_due => {}
            }
            self.take_found().await;
        }
    }

    /// Makes what the sources have found since the last time the servers.
    async fn take_found(&self) {
        // Before the turn nothing is taken out: what waits for it is joined.
        let turn = self.turn.lock().await;
        let taken = self.discovery.borrow_mut().take();
        if taken.is_empty() {
            return;
        }
        let mut inputs = self.inputs.borrow().clone();
        let mut names = Vec::with_capacity(taken.len());
        for (id, members) in taken {
            let found = members.iter().map(|m| Found::discovered(id.kind(), m));
            inputs.sources.set(id.clone(), found.collect());
            names.push(id.to_string());
        }
        let cause = Cause::Source(names.join(", "));
        match self.bring(&turn, inputs, &cause, None).await {
            Ok(brought) => {
                for warning in brought.warnings {
                    tracing::warn!("{warning}");
                }
            }
            Err(error) => tracing::error!(%error, "what was found was not taken"),
        }
    }

    /// Starts and ends providers as the configuration in force says, beginning
    /// with what an earlier process heard.
    pub(super) fn watch_sources(&self) {
        let inputs = self.inputs.borrow();
        let mut discovery = self.discovery.borrow_mut();
        discovery.reconcile(&inputs.config);
        let heard = self.heard.take();
        if heard.is_empty() {
            return;
        }
        let now = unix_now();
        for (id, members) in inputs.sources.discovered() {
            if let Some(at) = heard.get(id) {
                let age = Duration::from_secs(now.saturating_sub(*at));
                discovery.restore(id, members.into(), age);
            }
        }
    }

    /// When each source was heard last, Unix seconds.
    pub(super) fn heard(&self) -> std::collections::BTreeMap<SourceId, u64> {
        let now = unix_now();
        let ages = self.discovery.borrow().ages().into_iter();
        ages.map(|(id, age)| (id, now.saturating_sub(age.as_secs())))
            .collect()
    }

    /// The sources, for those who look.
    pub(crate) fn sources(&self) -> Vec<SourceRow> {
        let mut rows = self.discovery.borrow().rows();
        let inputs = self.inputs.borrow();
        let files = self.file_sources.borrow();
        rows.extend(files.rows(&inputs.sources, Instant::now()));
        for Conflict { source, who, why } in &*self.conflicts.borrow() {
            if let Some(row) = rows.iter_mut().find(|row| row.source == source.as_str()) {
                let more = LeftOut::new(who, why);
                row.left_out = row.left_out.iter().cloned().chain([more]).collect();
            }
        }
        rows
    }

    /// Backends that were announced go when their last servers have drained.
    pub(super) async fn let_sites_go(&self) {
        let is_over = {
            let (inputs, drains) = (self.inputs.borrow(), self.drains.borrow());
            inputs
                .sites
                .leaving()
                .any(|backend| !drains.has_servers_of(backend))
        };
        if !is_over {
            return;
        }
        let turn = self.turn.lock().await;
        let inputs = self.inputs.borrow().clone();
        if let Err(error) = self.bring(&turn, inputs, &Cause::Drained, None).await {
            tracing::error!(%error, "backends that nobody announces stay");
        }
    }
}
