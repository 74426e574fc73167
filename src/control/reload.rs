//! From files to what is served: on request, and when they change.

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::admin::AdminSockets;
use super::apply::{ApplyError, Brought, Turn};
use super::change::Cause;
use super::difference::newly_written;
use super::files::{News, all_hops, server_files, weight_files};
use super::inotify::Watcher;
use super::merge::{Inputs, Looked};
use super::refusal::Refusal;
use super::sources::{Found, SourceId};
use super::weights::WeightsId;
use super::{Control, Outcome, unix_now};
use crate::config::shares::parse;
use crate::config::{Config, Global, GroupWeights};
use crate::generation::Shares;
use crate::state::WorkerId;

/// What a reload did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReloadReport {
    /// What is different now, one line each; empty = nothing.
    pub changed: Vec<String>,
    /// What the operator should know, one line each.
    pub warnings: Vec<String>,
    /// Settings that come into force with the next start only.
    pub needs_restart: Vec<String>,
}

/// A burst of changes ends when nothing happened for this long.
const QUIET: Duration = Duration::from_millis(100);
/// But a burst is not waited out longer than this.
const BURST_MAX: Duration = Duration::from_secs(1);
/// Files are looked at this often even if nothing was noticed: network file
/// systems tell nothing.
const SLOW_LOOK: Duration = Duration::from_secs(10);

impl Control {
    /// Reads all files again.
    ///
    /// # Errors
    /// The rendered diagnostics; everything goes on as before.
    pub(crate) async fn reload(self: &Rc<Self>, cause: Cause) -> Result<ReloadReport, String> {
        // Rotated files are let go whether the configuration is taken or not.
        if let Some(logs) = &*self.logs.borrow() {
            logs.reopen();
        }
        // To the manager a process that still starts does not reload.
        let is_ready = self.is_ready_told.get();
        if is_ready {
            self.manager.reloading();
        }
        let report = self.look(Some(cause)).await;
        if is_ready {
            self.manager.reloaded();
        }
        report
    }

    /// Follows the files until the task is dropped.
    pub(super) async fn follow_files(self: Rc<Self>) -> Outcome {
        let mut watcher = Watcher::new()
            .inspect_err(|error| {
                tracing::warn!(%error, "files are looked at every 10 s only");
            })
            .ok();
        loop {
            if let Some(watcher) = &mut watcher {
                let mut paths = self.paths.clone();
                paths.extend(server_files(&self.inputs.borrow().config));
                paths.extend(self.generation().tls.paths());
                paths.extend(weight_files(&self.inputs.borrow().config));
                watcher.arm(&all_hops(paths).await);
            }
            // After arming, so that nothing falls between. What is wrong is in the log.
            let before = Arc::clone(&self.inputs.borrow().config);
            let _ = self.look(None).await;
            self.refresh_certificates().await;
            if !Arc::ptr_eq(&before, &self.inputs.borrow().config) {
                // It may name other server files.
                continue;
            }
            let Some(watcher) = &watcher else {
                tokio::time::sleep(SLOW_LOOK).await;
                continue;
            };
            if tokio::time::timeout(SLOW_LOOK, watcher.changed())
                .await
                .is_ok()
            {
                let quiet =
                    async { while tokio::time::timeout(QUIET, watcher.changed()).await.is_ok() {} };
                // Either way it is time to look.
                let _ = tokio::time::timeout(BURST_MAX, quiet).await;
            }
        }
    }

    /// What the files beside a configuration hold, and what is wrong with them.
    pub(super) async fn first_look(&self, config: &Config) -> (Looked, Vec<String>) {
        let news = self.files.lock().await.look(&[], config, true).await;
        match news {
            Ok(news) => self.good(&news, config),
            Err(error) => (Looked::default(), vec![error]),
        }
    }

    /// The good among the news for this configuration, and a sentence for each bad one.
    fn good(&self, news: &News, config: &Config) -> (Looked, Vec<String>) {
        let mut warnings = Vec::new();
        let looked = Looked {
            sources: self.sets(news, &mut warnings),
            weights: self.shares(news, config, &mut warnings),
        };
        (looked, warnings)
    }

    fn shares(
        &self,
        news: &News,
        config: &Config,
        warnings: &mut Vec<String>,
    ) -> Vec<(WeightsId, Shares)> {
        let mut good = Vec::new();
        let groups = config.backends.iter().filter_map(|b| b.groups.as_ref());
        for groups in groups {
            let GroupWeights::File(path) = &groups.weights else {
                continue;
            };
            let Some(file) = news.weights.iter().find(|file| file.path == *path) else {
                continue;
            };
            let by = groups.by.as_ref();
            let id = WeightsId::file(path, by);
            let text = file.text.as_ref();
            match text.map_err(Clone::clone).and_then(|text| parse(text, by)) {
                Ok(shares) => good.push((id, shares)),
                Err(why) => {
                    let kept = match self.inputs.borrow().weights.has(&id) {
                        true => "the last good weights stay",
                        false => "no weights from it yet",
                    };
                    warnings.push(format!("{}: {kept}: {why}", path.display()));
                }
            }
        }
        good
    }

    fn sets(&self, news: &News, warnings: &mut Vec<String>) -> Vec<(SourceId, Vec<Found>)> {
        let mut sets = Vec::new();
        for file in &news.servers {
            let id = SourceId::file(&file.path);
            let known = &self.inputs.borrow().sources;
            let mut shown = self.file_sources.borrow_mut();
            match &file.servers {
                Ok(servers) => {
                    let found = servers.iter().cloned().map(Found::written);
                    let found: Vec<_> = found.collect();
                    let is_other = !known.has(&id) || known.found_by(&id) != found;
                    shown.found(&id, found.len(), is_other, Instant::now());
                    sets.push((id, found));
                }
                Err(text) => {
                    let kept = match known.has(&id) {
                        true => "the last good set stays",
                        false => "no servers from it yet",
                    };
                    let path = file.path.display();
                    let first = text.lines().next().unwrap_or_default();
                    let why = first.strip_prefix("error: ").unwrap_or(first);
                    tracing::error!(
                        event = "source_lost",
                        source = %id,
                        reason = why,
                        members = known.found_by(&id).len(),
                        "{path} is refused, {kept}\n{text}",
                    );
                    shown.failed(&id, why, Instant::now());
                    warnings.push(format!("{path}: {kept}: {first}"));
                }
            }
        }
        sets
    }

    /// Files with nothing new are as they were.
    fn show_looked_at(&self, news: &News, current: &Config) {
        let fresh = |path: &PathBuf| news.servers.iter().any(|file| file.path == *path);
        let named = server_files(current);
        let ids: Vec<_> = named.iter().map(|path| SourceId::file(path)).collect();
        let mut shown = self.file_sources.borrow_mut();
        shown.keep(&ids);
        for (path, id) in named.iter().zip(&ids) {
            if !fresh(path) {
                shown.unchanged(id, Instant::now());
            }
        }
    }

    /// Looks at the files, and brings into force what is new. `asked` = somebody
    /// waits for the answer: all is read, whether it changed or not.
    async fn look(self: &Rc<Self>, asked: Option<Cause>) -> Result<ReloadReport, String> {
        // Looks are one after the other, so that an older content never wins.
        let mut files = self.files.lock().await;
        let current = Arc::clone(&self.inputs.borrow().config);
        let mut news = files
            .look(&self.paths, &current, asked.is_some())
            .await
            .inspect_err(|error| tracing::error!("{error}"))?;
        self.show_looked_at(&news, &current);
        if news.config.is_none() && news.servers.is_empty() && news.weights.is_empty() {
            if asked.is_some() {
                tracing::info!("reloaded: the files are as they were");
            }
            return Ok(ReloadReport::default());
        }
        let (looked, warnings) = match &news.config {
            Some(Ok(loaded)) => self.good(&news, &loaded.config),
            _ => self.good(&news, &current),
        };
        let is_asked = asked.is_some();
        let cause = asked.unwrap_or_else(|| Cause::File(names(&self.paths, &news)));
        let mut report = ReloadReport {
            warnings,
            ..ReloadReport::default()
        };
        if is_asked {
            self.refresh_certificates().await;
        }
        let tls = match &news.config {
            Some(Ok(loaded)) => {
                self.prepare_tls(&Arc::new(loaded.config.clone()), &looked.sources)
                    .await
            }
            _ => self.prepare_tls(&current, &looked.sources).await,
        };
        let turn = self.turn.lock().await;
        let mut inputs = self.inputs.borrow().clone();
        let is_new = inputs.take(looked);
        let only_beside = inputs.clone();
        let refused = match news.config.take() {
            None => None,
            Some(Err(errors)) => Some(errors.render(false)),
            Some(Ok(_)) if tls.is_err() => tls.err().map(|error| error.to_string()),
            Some(Ok(loaded)) => {
                *self.expanded.borrow_mut() = loaded.expanded.into();
                let config = self.stats.with_routes(Arc::new(loaded.config));
                let is_other = config != inputs.config;
                if is_other || is_asked {
                    let warnings = loaded.warnings.iter().map(|warning| warning.summary());
                    report.warnings.extend(warnings);
                    report.needs_restart = self.needs_restart(&config.global);
                }
                if is_other {
                    inputs.config = config;
                }
                None
            }
        };
        let outcome = match refused {
            Some(text) => Err(text),
            None => {
                let before = self.differences.borrow().clone();
                let brought = self.bring_written(&turn, inputs, &cause).await;
                brought.map_err(|error| error.to_string()).map(|brought| {
                    let now = unix_now();
                    let differences = self.differences.borrow();
                    let fresh: Vec<_> = newly_written(&before, &differences).collect();
                    // A file that changed is told of once; who asks, each time, which
                    // values of the file are not in force.
                    let named = differences.iter().filter(|difference| {
                        is_asked && difference.written.is_some() || fresh.contains(difference)
                    });
                    let named = named.map(|difference| difference.sentence(now));
                    report.warnings.extend(named);
                    report.warnings.extend(brought.warnings);
                    report.warnings.extend(late(&brought.late));
                    report.changed = brought.changed;
                })
            }
        };
        if let Err(text) = outcome {
            tracing::error!(
                event = "config_refused",
                "the configuration is refused, the running one goes on\n{text}"
            );
            if is_new && let Err(error) = self.bring(&turn, only_beside, &cause, None).await {
                files.forget_beside();
                tracing::error!(%error, "the files beside it were not taken");
            }
            return Err(text);
        }
        report.log();
        if is_asked {
            tracing::info!(changes = report.changed.len(), "reloaded");
        }
        Ok(report)
    }

    /// Brings what a file says into force, admin sockets included.
    ///
    /// # Errors
    /// A bind or an admin socket cannot be opened; everything goes on as before.
    pub(super) async fn bring_written(
        self: &Rc<Self>,
        turn: &Turn<'_>,
        inputs: Inputs,
        cause: &Cause,
    ) -> Result<Brought, ApplyError> {
        // A process that ends opens nothing any more.
        let is_stopping = self.stop.get().is_some();
        let wanted = Arc::clone(&inputs.config);
        let prepared = match is_stopping {
            true => None,
            false => Some(self.admin.borrow().prepare(&wanted.global.admin)?),
        };
        let brought = self.bring(turn, inputs, cause, None).await?;
        if let Some(prepared) = prepared {
            AdminSockets::take(self, prepared).await;
        }
        Ok(brought)
    }

    /// Settings that came into force at the start and stay as they were then.
    fn needs_restart(&self, written: &Global) -> Vec<String> {
        let started = &self.started;
        let workers = self.workers.len();
        let differing = [
            (
                "global.workers",
                written.workers != started.workers && written.workers != Some(workers),
            ),
            ("global.pin", written.pin != started.pin),
            ("global.maxconn", written.maxconn != started.maxconn),
            ("global.pipes_max", written.pipes_max != started.pipes_max),
            (
                "global.accept_budget",
                written.accept_budget != started.accept_budget,
            ),
            (
                "global.close_idle_after",
                written.close_idle_after != started.close_idle_after,
            ),
            (
                "global.tls_handshakes_max",
                written.tls_handshakes_max != started.tls_handshakes_max,
            ),
            ("global.user", written.user != started.user),
            ("global.group", written.group != started.group),
        ];
        let names = differing.into_iter().filter(|(_, differs)| *differs);
        names.map(|(name, _)| name.to_owned()).collect()
    }
}

impl ReloadReport {
    fn log(&self) {
        for warning in &self.warnings {
            tracing::warn!("{warning}");
        }
        for setting in &self.needs_restart {
            tracing::warn!("{setting} comes into force with the next start only");
        }
    }
}

/// Workers that have not said in time that they passed it.
fn late(workers: &[WorkerId]) -> Option<String> {
    let late = || Refusal::Late(workers.iter().map(|worker| worker.0).collect());
    (!workers.is_empty()).then(|| late().to_string())
}

/// What changed, by the names of files.
fn names(paths: &[PathBuf], news: &News) -> String {
    let config = paths.iter().filter(|_| news.config.is_some());
    let servers = news.servers.iter().map(|file| &file.path);
    let weights = news.weights.iter().map(|file| &file.path);
    let names: Vec<_> = config
        .chain(servers)
        .chain(weights)
        .map(|path| path.display().to_string())
        .collect();
    names.join(", ")
}
