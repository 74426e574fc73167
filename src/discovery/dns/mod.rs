//! DNS: every address of a name, or the targets of its SRV records.
//!
//! A name is asked for again when its records have lived, within the bounds of
//! `[discovery.dns]`: nothing is cached, and nothing tells us of a change. That a
//! name is gone is an answer, which its source holds for a while; a server that is
//! silent or fails is none. Start at [`Watch`], then `lookup.rs`.

#[cfg(test)]
pub(crate) mod fake;
mod lookup;

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use super::{Backoff, Member, Outlet, Provider, SourceId};
use crate::config::{self, Config, DnsSource, ServerAddress, Source};

/// What a configuration asks of DNS: one watch for each name and type.
pub(super) fn providers(config: &Config) -> impl Iterator<Item = Box<dyn Provider>> {
    let mut all: Vec<Subject> = Vec::new();
    for backend in &config.backends {
        let sources = backend.sources.iter().filter_map(|source| match source {
            Source::Dns(dns) => Some(Subject::Source(dns.clone())),
            _ => None,
        });
        let names = backend
            .servers
            .iter()
            .filter_map(|server| match &server.address {
                ServerAddress::Name(name, port) => Some(Subject::Name(name.clone(), *port)),
                _ => None,
            });
        for subject in sources.chain(names) {
            if !all.contains(&subject) {
                all.push(subject);
            }
        }
    }
    let discovery = &config.discovery;
    all.into_iter().map(|subject| {
        Box::new(Watch {
            subject,
            dns: discovery.dns.clone(),
            backoff: discovery.backoff,
        }) as Box<dyn Provider>
    })
}

/// What is looked up.
#[derive(Debug, Clone, PartialEq)]
enum Subject {
    /// All that a source of a backend stands for.
    Source(DnsSource),
    /// The one address of a server that is written with its name.
    Name(String, u16),
}

/// The records of one name.
#[derive(Debug, Clone)]
struct Watch {
    subject: Subject,
    dns: config::Dns,
    backoff: config::Backoff,
}

impl Provider for Watch {
    fn plan(&self) -> String {
        format!("{self:?}")
    }

    fn sources(&self) -> Vec<SourceId> {
        vec![match &self.subject {
            Subject::Source(source) => SourceId::of(&Source::Dns(source.clone())),
            Subject::Name(name, port) => SourceId::name(name, *port),
        }]
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
        let mut chosen = None;
        let mut backoff = Backoff::new(min, max, u64::from(std::process::id()));
        loop {
            let looked = match &self.subject {
                Subject::Source(source) => lookup::look(source, &self.dns).await,
                Subject::Name(name, port) => lookup::look_up(name, *port, &self.dns).await,
            };
            let wait = match looked {
                Ok((mut found, ttl)) => {
                    if let Subject::Name(..) = self.subject {
                        chosen = keep_one(&mut found.members, chosen);
                    }
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

/// Of several addresses the one that was chosen before, while it is one of them:
/// answers rotate, and a server that moves loses its health and its connections.
fn keep_one(members: &mut Vec<Member>, before: Option<SocketAddr>) -> Option<SocketAddr> {
    let known = members.iter().position(|m| Some(m.address) == before);
    if !members.is_empty() {
        members.swap(0, known.unwrap_or(0));
        members.truncate(1);
    }
    members.first().map(|member| member.address)
}
