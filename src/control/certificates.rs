//! What TLS needs from disk: loaded before a configuration comes into force, followed
//! while it is.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::refusal::Refusal;
use super::sources::{Found, SourceId};
use super::{ApplyError, Cause, Control, Outcome, unix_now};
use crate::config::{self, Config};
use crate::observe::{CertificateRow, TlsFacts, TlsFrontend};
use crate::state::FrontendCounters;
use crate::tls::{Certificate, Refreshed};

impl Control {
    /// Loads what this configuration, the servers of its sources and those added at run
    /// time need.
    ///
    /// # Errors
    /// What is written cannot be loaded. Any other server that cannot be spoken to is named in the log, and trusted with nothing.
    pub(super) async fn prepare_tls(
        &self,
        config: &Arc<Config>,
        fresh: &[(SourceId, Vec<Found>)],
    ) -> Result<(), ApplyError> {
        let (sources, overrides) = {
            let inputs = self.inputs.borrow();
            (inputs.sources.clone(), inputs.overrides.clone())
        };
        let known = config
            .backends
            .iter()
            .flat_map(|backend| sources.of(backend));
        let fresh = fresh.iter().flat_map(|(_, found)| found);
        let found: Vec<_> = known
            .chain(fresh)
            .map(Found::settings)
            .chain(overrides.added())
            .filter_map(|server| server.tls.of(None).cloned())
            .collect();
        let (registry, config) = (Arc::clone(&self.generation().tls), Arc::clone(config));
        let load = move || {
            for tls in &found {
                if let Err(error) = registry.prepare_server(tls) {
                    tracing::error!("{error}; no server with these settings is trusted");
                }
            }
            registry.prepare(&config)
        };
        match tokio::task::spawn_blocking(load).await {
            Ok(loaded) => Ok(loaded?),
            Err(error) => Err(ApplyError::Blocking(error.to_string())),
        }
    }

    /// Loads what a server needs that is about to be added. In turn: whatever else comes
    /// into force forgets what nothing in force names.
    ///
    /// # Errors
    /// It cannot be loaded.
    pub(super) async fn prepare_server_tls(&self, server: &config::Server) -> Result<(), Refusal> {
        let Some(tls) = server.tls.of(None).cloned() else {
            return Ok(());
        };
        if !tls.verify {
            tracing::warn!(
                server = &*server.name,
                "the server is not verified: anybody on the way can read and change what is sent"
            );
        }
        let registry = Arc::clone(&self.generation().tls);
        let loaded = tokio::task::spawn_blocking(move || registry.prepare_server(&tls)).await;
        match loaded {
            Ok(loaded) => loaded.map_err(|error| Refusal::Other(error.to_string())),
            Err(error) => Err(Refusal::Other(error.to_string())),
        }
    }

    /// Forgets what nothing in force needs any more.
    pub(super) fn forget_tls(&self) {
        let inputs = self.inputs.borrow();
        let found = inputs.config.backends.iter();
        let found = found.flat_map(|backend| inputs.sources.of(backend));
        let servers = found.map(Found::settings).chain(inputs.overrides.added());
        let registry = Arc::clone(&self.generation().tls);
        registry.keep_named_in(&inputs.config, servers);
    }

    /// Takes up what has changed on disk, without a reload: handshakes from now on see
    /// it, and nothing else happens to a connection. What cannot be taken is said once
    /// and stays as it was.
    pub(super) async fn refresh_certificates(&self) {
        let mut refreshed = Refreshed::default();
        for again in 0..=SETTLE_TRIES {
            let registry = Arc::clone(&self.generation().tls);
            let look = tokio::task::spawn_blocking(move || registry.refresh()).await;
            let look = match look {
                Ok(look) => look,
                Err(error) => return tracing::error!(%error, "reading certificates"),
            };
            refreshed.taken.extend(look.taken);
            refreshed.gone.extend(look.gone);
            refreshed.servers |= look.servers;
            refreshed.refused = look.refused;
            // The other file of a pair may be on its way.
            if refreshed.refused.is_empty() || again == SETTLE_TRIES {
                break;
            }
            tokio::time::sleep(SETTLE).await;
        }
        self.tell_of(&refreshed);
        if refreshed.servers {
            let turn = self.turn.lock().await;
            if let Err(error) = self.rebuild(&turn, &Cause::Time).await {
                tracing::error!(%error, "servers are spoken to as before");
            }
        }
    }

    fn tell_of(&self, refreshed: &Refreshed) {
        for path in &refreshed.taken {
            tracing::info!("{} is taken into use", path.display());
        }
        for path in &refreshed.gone {
            tracing::info!("{} is not used any more", path.display());
        }
        let texts = refreshed.refused.iter().map(ToString::to_string);
        let texts: HashSet<String> = texts.collect();
        let known = self.bad_certificates.replace(texts.clone());
        for text in texts.difference(&known) {
            tracing::error!("{text}; what was read before stays in use");
        }
        if !refreshed.taken.is_empty() {
            self.warn_of_expiry(true);
        }
    }

    /// What is shown of TLS: handshakes by frontend, and each certificate once.
    pub(super) fn tls_facts(&self) -> TlsFacts {
        let generation = self.generation();
        let speaking = generation.frontends.iter().filter(|f| f.tls.is_some());
        let frontends = speaking.map(|frontend| {
            let sum = |of: fn(&FrontendCounters) -> u64| frontend.state.counters.sum(of);
            TlsFrontend {
                name: Arc::clone(&frontend.config.name),
                handshakes: sum(|c| c.tls_handshakes.get()),
                resumed: sum(|c| c.tls_resumed.get()),
                failed: sum(|c| c.tls_failed.get()),
            }
        });
        let rows = self.certificates().into_iter();
        let rows = rows.map(|certificate| CertificateRow {
            file: certificate.path.display().to_string(),
            names: certificate.names.join(","),
            not_before: certificate.not_before,
            not_after: certificate.not_after,
        });
        TlsFacts {
            frontends: frontends.collect(),
            certificates: rows.collect(),
        }
    }

    /// Everything that is shown to clients, each file once, by name.
    pub(super) fn certificates(&self) -> Vec<Arc<Certificate>> {
        let acceptors = self.generation().tls.acceptors();
        let all = acceptors
            .iter()
            .flat_map(|acceptor| acceptor.certificates());
        let mut all: Vec<_> = all.collect();
        all.sort_by(|a, b| a.path.cmp(&b.path));
        all.dedup_by(|a, b| a.path == b.path);
        all
    }

    /// Warns of certificates that expire within [`SOON`], once when it is seen and then
    /// daily, until the process ends.
    pub(super) async fn watch_expiry(self: Rc<Self>) -> Outcome {
        loop {
            self.warn_of_expiry(false);
            tokio::time::sleep(HOUR).await;
        }
    }

    fn warn_of_expiry(&self, only_new: bool) {
        let now = unix_now();
        let mut told = self.expiring.borrow_mut();
        let mut seen = HashMap::new();
        let certificates = self.certificates().into_iter().map(Expiry::of_certificate);
        for expiry in certificates.chain(self.revocations()) {
            let left = expiry.at - now as i64;
            if left > expiry.soon {
                continue;
            }
            let key = (expiry.path.clone(), expiry.at);
            // Two frontends may hold their clients to one list.
            if seen.contains_key(&key) {
                continue;
            }
            let last = told.get(&key).copied();
            let is_due = last.is_none_or(|last| !only_new && now.saturating_sub(last) >= DAY);
            if is_due {
                tracing::warn!("{}", expiry.sentence(left));
            }
            seen.insert(key, if is_due { now } else { last.unwrap_or(now) });
        }
        *told = seen;
    }

    fn revocations(&self) -> Vec<Expiry> {
        let acceptors = self.generation().tls.acceptors();
        let lists = acceptors
            .iter()
            .filter_map(|acceptor| acceptor.revocations());
        lists.map(Expiry::of_revocations).collect()
    }
}

/// What is no good any more from some time on.
struct Expiry {
    path: PathBuf,
    /// Unix seconds.
    at: i64,
    /// It is told this many seconds ahead.
    soon: i64,
    what: String,
    then: &'static str,
}

impl Expiry {
    fn of_certificate(certificate: Arc<Certificate>) -> Self {
        Self {
            path: certificate.path.clone(),
            at: certificate.not_after,
            soon: SOON,
            what: certificate.names.join(", "),
            then: "clients refuse it",
        }
    }

    fn of_revocations((path, until): (&Path, i64)) -> Self {
        Self {
            path: path.to_path_buf(),
            at: until,
            // Lists may well be of a day: only what was not renewed is worth a word.
            soon: 0,
            what: "revocation list".to_owned(),
            then: "clients of its authority are refused",
        }
    }

    fn sentence(&self, left: i64) -> String {
        let (path, what, then) = (self.path.display(), &self.what, self.then);
        let days = left.unsigned_abs() / DAY;
        match left < 0 {
            true => format!("{path} ({what}) expired {days} days ago: {then}"),
            false => format!("{path} ({what}) expires in {days} days"),
        }
    }
}

/// Who renews for 90 days has done so by now.
const SOON: i64 = 30 * DAY as i64;
const DAY: u64 = 24 * 3600;
const HOUR: Duration = Duration::from_secs(3600);
/// The two files of a pair come within this time of each other.
const SETTLE: Duration = Duration::from_millis(50);
const SETTLE_TRIES: u32 = 6;
