//! All that was loaded for the configuration in force, by its settings: what did not
//! change is found again, with its tickets and sessions.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::{Acceptor, Connector, Tickets, TlsError};
use crate::config::{Config, FrontendTls, Server, ServerTls};

/// The TLS of a process. Filled on blocking threads, looked into by control.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    tickets: Arc<Tickets>,
    loaded: ArcSwap<Loaded>,
}

#[derive(Debug, Clone, Default)]
struct Loaded {
    acceptors: HashMap<FrontendTls, Arc<Acceptor>>,
    connectors: HashMap<ServerTls, Arc<Connector>>,
}

/// What cannot be spoken, and where.
#[derive(Debug)]
pub(crate) struct Unusable(Vec<(String, TlsError)>);

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (place, error)) in self.0.iter().enumerate() {
            let end = if index + 1 == self.0.len() { "" } else { "\n" };
            write!(f, "error: tls of {place}: {error}{end}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Unusable {}

/// What came of another look at the files.
#[derive(Debug, Default)]
pub(crate) struct Refreshed {
    /// Files in force now that were not, or in another content.
    pub(crate) taken: Vec<PathBuf>,
    /// Files that are not in force any more.
    pub(crate) gone: Vec<PathBuf>,
    /// What was refused; what was read before stays.
    pub(crate) refused: Vec<TlsError>,
    /// Servers are spoken to in another way: a new generation takes that up.
    pub(crate) servers: bool,
}

impl Registry {
    /// The ticket keys of the process.
    pub(crate) fn tickets(&self) -> &Tickets {
        &self.tickets
    }

    /// Loads what `config` needs and is not there yet. Blocks. Nothing is forgotten: who
    /// is refused goes on with what it had.
    ///
    /// # Errors
    /// All that cannot be loaded.
    pub(crate) fn prepare(&self, config: &Config) -> Result<(), Unusable> {
        let mut wrong = Vec::new();
        for frontend in &config.frontends {
            if let Some(tls) = &frontend.tls {
                let errors = self.prepare_frontend(tls).err();
                let place = || format!("frontend {}", frontend.name);
                wrong.extend(errors.into_iter().flatten().map(|error| (place(), error)));
            }
        }
        if let Some(tls) = config.stats.as_ref().and_then(|stats| stats.tls.as_ref()) {
            let errors = self.prepare_frontend(tls).err().into_iter().flatten();
            wrong.extend(errors.map(|error| ("[stats]".to_owned(), error)));
        }
        for backend in &config.backends {
            if let Some(tls) = &backend.tls
                && let Err(error) = self.prepare_server(tls)
            {
                wrong.push((format!("backend {}", backend.name), error));
            }
            for server in &backend.servers {
                if let Err(error) = server
                    .tls
                    .of(None)
                    .map_or(Ok(()), |tls| self.prepare_server(tls))
                {
                    wrong.push((format!("server {}/{}", backend.name, server.name), error));
                }
            }
        }
        match wrong.is_empty() {
            true => Ok(()),
            false => Err(Unusable(wrong)),
        }
    }

    /// Loads what a server that was not written needs. Blocks.
    ///
    /// # Errors
    /// It cannot be loaded: no such server will be trusted.
    pub(crate) fn prepare_server(&self, settings: &ServerTls) -> Result<(), TlsError> {
        if self.connector(settings).is_none() {
            let connector = Arc::new(Connector::load(settings)?);
            self.change(|loaded| {
                let known = loaded.connectors.entry(settings.clone());
                known.or_insert_with(|| Arc::clone(&connector));
            });
        }
        Ok(())
    }

    /// Reads again what has changed on disk since it was read. Blocks.
    pub(crate) fn refresh(&self) -> Refreshed {
        let mut refreshed = Refreshed::default();
        for acceptor in self.acceptors() {
            let rotation = acceptor.reload();
            refreshed.taken.extend(rotation.taken);
            refreshed.gone.extend(rotation.gone);
            refreshed.refused.extend(rotation.refused);
        }
        let connectors: Vec<_> = self
            .loaded
            .load()
            .connectors
            .values()
            .map(Arc::clone)
            .collect();
        let changed = |known: &&Arc<Connector>| known.watched.have_changed();
        for connector in connectors.iter().filter(changed) {
            match Connector::load(&connector.settings) {
                Ok(fresh) => {
                    refreshed
                        .taken
                        .extend(fresh.watched.files().iter().cloned());
                    refreshed.servers = true;
                    let fresh = Arc::new(fresh);
                    self.change(|loaded| {
                        let settings = fresh.settings.clone();
                        loaded.connectors.insert(settings, Arc::clone(&fresh));
                    });
                }
                Err(error) => {
                    connector.watched.refuse();
                    refreshed.refused.push(error);
                }
            }
        }
        refreshed
    }

    /// Files and directories whose change is of interest.
    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        let loaded = self.loaded.load();
        let shown = loaded.acceptors.values().flat_map(|known| known.paths());
        let asked = loaded.connectors.values();
        let asked = asked.flat_map(|known| known.watched.files().iter().cloned());
        let mut paths: Vec<_> = shown.chain(asked).collect();
        paths.sort();
        paths.dedup();
        paths
    }

    /// What these settings of a frontend became.
    pub(crate) fn acceptor(&self, settings: &FrontendTls) -> Option<Arc<Acceptor>> {
        self.loaded.load().acceptors.get(settings).map(Arc::clone)
    }

    /// What these settings of servers became.
    pub(crate) fn connector(&self, settings: &ServerTls) -> Option<Arc<Connector>> {
        self.loaded.load().connectors.get(settings).map(Arc::clone)
    }

    /// As [`Self::connector`]; settings that nobody prepared trust no server, since
    /// speaking without TLS instead would tell the world.
    pub(crate) fn connector_or_none_trusted(&self, settings: &ServerTls) -> Arc<Connector> {
        self.connector(settings)
            .unwrap_or_else(|| Arc::new(Connector::distrusting(settings)))
    }

    /// Everything that is shown to clients.
    pub(crate) fn acceptors(&self) -> Vec<Arc<Acceptor>> {
        self.loaded
            .load()
            .acceptors
            .values()
            .map(Arc::clone)
            .collect()
    }

    /// Forgets what this configuration, which is in force, does not name.
    pub(crate) fn keep_named_in<'a>(
        &self,
        config: &'a Config,
        servers: impl Iterator<Item = &'a Server>,
    ) {
        let frontends = config.frontends.iter().filter_map(|f| f.tls.as_ref());
        let page = config.stats.iter().filter_map(|stats| stats.tls.as_ref());
        let frontends: HashSet<_> = frontends.chain(page).collect();
        let written = config.backends.iter().flat_map(|b| &b.servers);
        let own = servers
            .chain(written)
            .filter_map(|server| server.tls.of(None));
        let shared = config.backends.iter().filter_map(|b| b.tls.as_ref());
        let servers: HashSet<_> = shared.chain(own).collect();
        let is_used = |loaded: &Loaded| {
            loaded
                .acceptors
                .keys()
                .all(|known| frontends.contains(known))
                && loaded
                    .connectors
                    .keys()
                    .all(|known| servers.contains(known))
        };
        if is_used(&self.loaded.load()) {
            return;
        }
        self.change(|loaded| {
            loaded
                .acceptors
                .retain(|known, _| frontends.contains(known));
            loaded.connectors.retain(|known, _| servers.contains(known));
        });
    }

    fn prepare_frontend(&self, settings: &FrontendTls) -> Result<(), Vec<TlsError>> {
        if self.acceptor(settings).is_some() {
            return Ok(());
        }
        let acceptor = Arc::new(Acceptor::load(settings, &self.tickets)?);
        self.change(|loaded| {
            let known = loaded.acceptors.entry(settings.clone());
            known.or_insert_with(|| Arc::clone(&acceptor));
        });
        Ok(())
    }

    /// Changes what is loaded; several blocking threads may do so at once.
    fn change(&self, change: impl Fn(&mut Loaded)) {
        self.loaded.rcu(|before| {
            let mut loaded = Loaded::clone(before);
            change(&mut loaded);
            loaded
        });
    }
}
