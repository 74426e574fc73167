//! Consul: blocking queries on the health of services and on the KV store.
//!
//! A blocking query is answered when something changed, or after `wait`; its
//! answer is always whole. We ask for instances in every state and judge their
//! checks here (`health.rs`): "none registered" and "all critical" are not the
//! same. `catalog.rs` follows the services that announce sites by their tags.
//! Start at `query.rs` (the index rules), then `health.rs`.

mod agent;
mod catalog;
mod health;
mod kv;
mod query;
mod register;

use std::pin::Pin;

use super::{Failure, FailureKind, Outlet, Provider, SourceId};
use crate::config::{self, Config, Expose, Source};
use agent::Agent;
use agent::Settings;
use catalog::Catalog;
use health::Health;
pub(crate) use kv::{Kv, KvWatch};
use query::Query;
pub(crate) use register::{Registration, Verdict};

/// What a configuration asks of Consul: one watch for each source.
pub(super) fn providers(config: &Config) -> impl Iterator<Item = Box<dyn Provider>> {
    let mut services: Vec<&config::ConsulSource> = Vec::new();
    for source in config.backends.iter().flat_map(|backend| &backend.sources) {
        if let Source::Consul(consul) = source
            && !services.contains(&consul)
        {
            services.push(consul);
        }
    }
    let settings = Settings::of(&config.discovery);
    let most = config.discovery.consul.max_watches;
    let wants_sites = config.discovery.consul.expose == Expose::Tagged
        && config
            .frontends
            .iter()
            .any(|frontend| frontend.discovered_routes);
    let catalog = wants_sites.then(|| {
        // One query is that of the list itself.
        let left = most.saturating_sub(services.len() + 1);
        Box::new(Catalog::new(settings.clone(), left)) as Box<dyn Provider>
    });
    let named = services
        .into_iter()
        .enumerate()
        .map(move |(index, service)| {
            let source = SourceId::of(&Source::Consul(service.clone()));
            match index < most {
                true => Box::new(Watch {
                    source,
                    service: service.clone(),
                    settings: settings.clone(),
                }) as Box<dyn Provider>,
                false => Box::new(TooMany { source, most }),
            }
        });
    named.chain(catalog)
}

/// The instances of one service.
struct Watch {
    source: SourceId,
    service: config::ConsulSource,
    settings: Settings,
}

impl Provider for Watch {
    fn plan(&self) -> String {
        format!("{:?} {:?}", self.service, self.settings)
    }

    fn sources(&self) -> Vec<SourceId> {
        vec![self.source.clone()]
    }

    fn run(&self, outlets: Vec<Outlet>) -> Pin<Box<dyn Future<Output = ()>>> {
        let health = Health::new(&self.service);
        let settings = self.settings.clone();
        Box::pin(async move {
            if let [outlet] = &outlets[..] {
                health.watch(settings, outlet).await;
            }
        })
    }
}

/// A source that gets no watch.
struct TooMany {
    source: SourceId,
    most: usize,
}

impl Provider for TooMany {
    fn plan(&self) -> String {
        format!("{} is over {}", self.source, self.most)
    }

    fn sources(&self) -> Vec<SourceId> {
        vec![self.source.clone()]
    }

    fn run(&self, outlets: Vec<Outlet>) -> Pin<Box<dyn Future<Output = ()>>> {
        let most = self.most;
        Box::pin(async move {
            for outlet in &outlets {
                let message = format!(
                    "not watched: more than discovery.consul.max_watches = {most} services \
                     (raise it, and limits.http_max_conns_per_client of the agent with it)"
                );
                outlet.failed(Failure::new(FailureKind::Local, message));
            }
            std::future::pending().await
        })
    }
}
