//! Keeping overrides and last good sets over a restart: when, and what is said.

use std::cell::Cell;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;

use super::merge::Inputs;
use super::refusal::Refusal;
use super::snapshot::{Restored, Snapshot};
use super::takeover::Predecessor;
use super::{Control, Outcome, unix_now};
use crate::config::Config;

/// Whether there is something to save.
#[derive(Debug, Default)]
pub(super) struct Saving {
    unsaved: Cell<bool>,
    wake: Notify,
    /// One writer at a time: they share a temporary name.
    writing: tokio::sync::Mutex<()>,
}

/// Changes within this time are written once.
const COALESCE: Duration = Duration::from_millis(200);

impl Saving {
    /// Something may be different now.
    pub(super) fn unsaved(&self) {
        self.unsaved.set(true);
        self.wake.notify_one();
    }
}

impl Control {
    /// Writes overrides and last good sets now; where.
    ///
    /// # Errors
    /// No `state_dir` is configured, or it cannot be written.
    pub(crate) async fn save_state(&self) -> Result<PathBuf, Refusal> {
        let _writing = self.saving.writing.lock().await;
        let (directory, snapshot) = {
            let inputs = self.inputs.borrow();
            let directory = inputs.config.global.state_dir.clone();
            let snapshot = Snapshot {
                saved: unix_now(),
                overrides: inputs.overrides.clone(),
                sources: inputs.sources.clone(),
                weights: inputs.weights.clone(),
                heard: self.heard(),
            };
            (directory, snapshot)
        };
        let Some(directory) = directory else {
            return Err(Refusal::Other("no state_dir is configured".to_owned()));
        };
        self.saving.unsaved.set(false);
        let name = directory.display().to_string();
        let written = tokio::task::spawn_blocking(move || snapshot.write(&directory)).await;
        let written = written.unwrap_or_else(|panic| Err(std::io::Error::other(panic)));
        written.map_err(|error| {
            self.saving.unsaved.set(true);
            Refusal::Other(format!("cannot write the state to {name}: {error}"))
        })
    }

    /// Saves what changed until the task is dropped.
    pub(super) async fn save_always(self: Rc<Self>) -> Outcome {
        loop {
            self.saving.wake.notified().await;
            tokio::time::sleep(COALESCE).await;
            self.save_changed().await;
        }
    }

    /// Saves if something changed and there is a place for it.
    pub(super) async fn save_changed(&self) {
        // The state of a successor is newer.
        let is_wanted = self.inputs.borrow().config.global.state_dir.is_some()
            && !self.shared.borrow().is_given();
        if is_wanted
            && self.saving.unsaved.get()
            && let Err(error) = self.save_state().await
        {
            tracing::error!("{error}");
        }
    }

    /// What a running process hands over or an earlier one left, to start with.
    pub(super) async fn restore(&self, config: &Config, predecessor: Option<&Predecessor>) {
        if let Some(predecessor) = predecessor {
            let mut inputs = self.inputs.borrow_mut();
            inputs.overrides = predecessor.overrides.clone();
            inputs.sources = predecessor.sources.clone();
            inputs.weights = predecessor.weights.clone();
            self.heard.replace(predecessor.heard.clone());
            return;
        }
        let Some(directory) = config.global.state_dir.clone() else {
            return;
        };
        let now = unix_now();
        let read = move || Snapshot::read(&directory, now);
        let restored = tokio::task::spawn_blocking(read).await;
        match restored {
            Ok(Restored::Nothing) => {}
            Ok(Restored::Snapshot(snapshot)) => {
                let mut heard = snapshot.heard;
                for (id, _) in snapshot.sources.discovered() {
                    heard.entry(id.clone()).or_insert(snapshot.saved);
                }
                self.heard.replace(heard);
                let mut inputs = self.inputs.borrow_mut();
                *inputs = Inputs {
                    config: Default::default(),
                    sources: snapshot.sources,
                    weights: snapshot.weights,
                    overrides: snapshot.overrides,
                    ..Inputs::default()
                };
            }
            Ok(Restored::SetAside(sentence)) => tracing::error!("{sentence}"),
            Err(panic) => tracing::error!(%panic, "the state was not restored"),
        }
    }

    /// A line for each value that runs otherwise than it is written.
    pub(super) fn name_restored(&self) {
        let now = unix_now();
        for difference in self.differences.borrow().iter() {
            tracing::warn!("restored: {}", difference.sentence(now));
        }
    }
}
