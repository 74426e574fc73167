//! DNS: every address of a name, or the targets of its SRV records.
//!
//! A name is asked for again when its records have lived, within the bounds of
//! `[discovery.dns]`: nothing is cached, and nothing tells us of a change. That a
//! name is gone is an answer, which its source holds for a while; a server that is
//! silent or fails is none. Start at [`Watch`], then `lookup.rs`.

#[cfg(test)]
pub(crate) mod fake;
mod lookup;

use std::pin::Pin;
use std::time::Duration;

use super::{Backoff, Outlet, Provider, SourceId};
use crate::config::{self, Config, DnsSource, Source};

/// What a configuration asks of DNS: one watch for each name and type.
pub(super) fn providers(config: &Config) -> impl Iterator<Item = Box<dyn Provider>> {
    let mut sources: Vec<&DnsSource> = Vec::new();
    for source in config.backends.iter().flat_map(|backend| &backend.sources) {
        if let Source::Dns(dns) = source
            && !sources.contains(&dns)
        {
            sources.push(dns);
        }
    }
    let discovery = &config.discovery;
    sources.into_iter().map(|source| {
        Box::new(Watch {
            source: source.clone(),
            dns: discovery.dns.clone(),
            backoff: discovery.backoff,
        }) as Box<dyn Provider>
    })
}

/// The records of one name.
#[derive(Debug, Clone)]
struct Watch {
    source: DnsSource,
    dns: config::Dns,
    backoff: config::Backoff,
}

impl Provider for Watch {
    fn plan(&self) -> String {
        format!("{self:?}")
    }

    fn sources(&self) -> Vec<SourceId> {
        vec![SourceId::of(&Source::Dns(self.source.clone()))]
    }

    fn empty_hold(&self, _: &config::Discovery) -> Option<Duration> {
        Some(self.dns.hold_nx)
    }

    fn run(&self, outlets: Vec<Outlet>) -> Pin<Box<dyn Future<Output = ()>>> {
        let watch = self.clone();
        Box::pin(async move {
            if let [outlet] = &outlets[..] {
                watch.watch(outlet).await;
            }
        })
    }
}

impl Watch {
    async fn watch(&self, outlet: &Outlet) {
        let (min, max) = (self.backoff.min, self.backoff.max);
        let mut backoff = Backoff::new(min, max, u64::from(std::process::id()));
        loop {
            let wait = match lookup::look(&self.source, &self.dns).await {
                Ok((found, ttl)) => {
                    outlet.found(found);
                    backoff.reset();
                    ttl.clamp(self.dns.ttl.min, self.dns.ttl.max)
                }
                Err(failure) => {
                    outlet.failed(failure);
                    backoff.next()
                }
            };
            tokio::time::sleep(wait).await;
        }
    }
}
