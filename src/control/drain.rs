//! Servers and frontends that left: no new work, what runs may finish, until their
//! time is up.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Control;
use super::apply::ask;
use crate::generation::{Backend, Desired, Frontend, Generation, Returning, Server};
use crate::state::Admin;
use crate::worker::Order;

/// A server that takes no new work and still has some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DrainRow {
    /// The backend it is in, or left.
    pub(crate) backend: String,
    /// It.
    pub(crate) server: String,
    /// Sessions or requests under way.
    pub(crate) left: u64,
    /// Time until they are cut; `None` = never: it was not removed.
    pub(crate) cut_in: Option<Duration>,
}

/// Servers that drain.
#[derive(Debug, Default)]
pub(super) struct Draining {
    servers: Vec<Leaving>,
    /// Frontends with connections, and when what is left of them is cut. Idle clients
    /// and finished exchanges go by themselves, TCP sessions and tunnels may not.
    frontends: Vec<(Arc<Frontend>, Instant)>,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct Leaving {
    /// The backend it left.
    pub(crate) backend: Arc<Backend>,
    /// It.
    pub(crate) server: Arc<Server>,
    /// When what is left is cut.
    pub(crate) deadline: Instant,
    cut: bool,
}

impl Leaving {
    /// Sessions or requests that still run.
    pub(crate) fn left(&self) -> u64 {
        self.server
            .state
            .counters
            .sum(|counters| counters.current.get())
    }
}

impl Draining {
    pub(super) fn add(&mut self, backend: Arc<Backend>, server: Arc<Server>, deadline: Instant) {
        self.servers.push(Leaving {
            backend,
            server,
            deadline,
            cut: false,
        });
    }

    pub(super) fn add_frontend(&mut self, frontend: Arc<Frontend>, deadline: Instant) {
        self.frontends.push((frontend, deadline));
    }

    /// Frontends whose time is up; those without connections are forgotten.
    fn frontends_over(&mut self, now: Instant) -> Vec<Arc<Frontend>> {
        self.frontends
            .retain(|(frontend, _)| frontend.state.connections() > 0);
        let over = |(_, deadline): &mut (_, Instant)| now >= *deadline;
        let over = self.frontends.extract_if(.., over);
        over.map(|(frontend, _)| frontend).collect()
    }

    /// Every server that drains.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Leaving> {
        self.servers.iter()
    }

    /// Whether servers of a backend still have something to do.
    pub(super) fn has_servers_of(&self, backend: &str) -> bool {
        self.servers
            .iter()
            .any(|leaving| *leaving.backend.name == *backend)
    }

    /// Those that `desired` wants back: they keep their identity and go on.
    pub(super) fn returning(&self, desired: &Desired) -> Returning {
        if self.servers.is_empty() {
            return Returning::new();
        }
        let mut wanted = HashSet::new();
        for (backend, members) in desired.config.backends.iter().zip(&desired.members) {
            for member in members {
                wanted.insert((&*backend.name, &*member.key));
            }
        }
        let back = self.servers.iter().filter(|leaving| {
            !leaving.cut && wanted.contains(&(&*leaving.backend.name, &*leaving.server.key))
        });
        back.map(|leaving| {
            let key = (
                Arc::clone(&leaving.backend.name),
                Arc::clone(&leaving.server.key),
            );
            (key, Arc::clone(&leaving.server))
        })
        .collect()
    }

    /// Those that are served again do not drain any more.
    pub(super) fn forget_returned(&mut self, next: &Generation) {
        self.servers.retain(|leaving| {
            let backend = next.backend(&leaving.backend.name);
            !backend.is_some_and(|b| b.servers.iter().any(|s| s.id() == leaving.server.id()))
        });
    }
}

impl Control {
    /// Servers that drain: those that left, then those that stay but take no work
    /// (drain always, maintenance as long as it has some).
    pub(crate) fn draining(&self) -> Vec<DrainRow> {
        let now = Instant::now();
        let drains = self.drains.borrow();
        let left = drains.iter().map(|leaving| DrainRow {
            backend: leaving.backend.name.to_string(),
            server: leaving.server.name.to_string(),
            left: leaving.left(),
            cut_in: Some(leaving.deadline.saturating_duration_since(now)),
        });
        let mut rows: Vec<_> = left.collect();
        for (backend, server) in self.generation().servers() {
            let current = || server.state.counters.sum(|counters| counters.current.get());
            let left = match server.state.admin() {
                Admin::Ready => continue,
                Admin::Drain => current(),
                Admin::Maint => match current() {
                    0 => continue,
                    left => left,
                },
            };
            rows.push(DrainRow {
                backend: backend.name.to_string(),
                server: server.name.to_string(),
                left,
                cut_in: None,
            });
        }
        rows
    }

    /// One look at all that drains: done, over time, or still waited for.
    pub(super) async fn look_after_draining(&self) {
        let now = Instant::now();
        let frontends = self.drains.borrow_mut().frontends_over(now);
        for frontend in frontends {
            let id = frontend.state.id;
            let cut = ask(&self.workers, |done| Order::CloseFrontend {
                frontend: id,
                done,
            })
            .await;
            let sessions: usize = cut.into_iter().filter_map(|(_, sessions)| sessions).sum();
            tracing::warn!(
                frontend = &*frontend.config.name,
                sessions,
                "drain timeout: sessions cut"
            );
        }
        let mut over = Vec::new();
        self.drains.borrow_mut().servers.retain_mut(|leaving| {
            if leaving.left() == 0 {
                fold(leaving);
                return false;
            }
            if !leaving.cut && now >= leaving.deadline {
                leaving.cut = true;
                leaving.server.state.cut();
                over.push(Arc::clone(&leaving.server));
            }
            true
        });
        for server in over {
            let id = server.id();
            let cut = ask(&self.workers, |done| Order::CloseServer {
                server: id,
                asked: false,
                done,
            })
            .await;
            let sessions: usize = cut.into_iter().filter_map(|(_, sessions)| sessions).sum();
            tracing::warn!(
                server = &*server.name,
                sessions,
                "drain timeout: sessions cut"
            );
        }
    }
}

/// A row that goes leaves its totals in the backend's row.
fn fold(leaving: &Leaving) {
    let control = crate::state::WorkerId(usize::MAX);
    let own = leaving.backend.state.counters.slot(control);
    for slot in leaving.server.state.counters.iter() {
        own.absorb(slot);
    }
    tracing::info!(
        backend = &*leaving.backend.name,
        server = &*leaving.server.name,
        "drained"
    );
}
