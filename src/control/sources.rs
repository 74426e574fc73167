//! Where servers come from beside the configuration, and the last good answer of
//! each: an error never means "no servers".

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::spec::{Spec, WEIGHT_MAX};
use crate::config;
use crate::discovery::Member;
pub(crate) use crate::discovery::SourceId;

/// The last good answers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Sources {
    sets: BTreeMap<SourceId, Arc<Answer>>,
}

/// One good answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Answer {
    /// In the order of the source.
    pub(crate) members: Vec<Found>,
}

/// A server as a source knows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Found {
    /// Identity. A server file's is its name, as if it were written in the
    /// configuration; a discovered one holds a `/`, which no name can.
    pub(crate) key: Arc<str>,
    /// Settings; the name is what the source suggests.
    pub(crate) spec: Spec,
    /// All its source says; `None` for a server file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) member: Option<Arc<Member>>,
}

impl Found {
    /// A server of a server file.
    pub(crate) fn written(server: config::Server) -> Self {
        Self {
            key: Arc::clone(&server.name),
            spec: Spec(server),
            member: None,
        }
    }

    /// A member of a source of this kind. Sources of one kind that know the same
    /// one name it alike, so in a backend it is there once.
    pub(crate) fn discovered(kind: &str, member: &Member) -> Self {
        let address = config::ServerAddress::Ip(member.address);
        Self {
            key: format!("{kind}/{}", member.id).into(),
            spec: Spec(config::Server {
                weight: member.weight.min(u32::from(WEIGHT_MAX)) as u16,
                backup: member.tier > 0,
                ..config::Server::new(&*member.name, address)
            }),
            member: Some(Arc::new(member.clone())),
        }
    }

    /// Its settings.
    pub(crate) fn settings(&self) -> &config::Server {
        &self.spec.0
    }

    /// Whether an operator wrote it, so that its name is its identity.
    pub(crate) fn is_written(&self) -> bool {
        !self.key.contains('/')
    }
}

impl Sources {
    /// Takes a good answer; false = it is the one that is known.
    pub(crate) fn set(&mut self, id: SourceId, members: Vec<Found>) -> bool {
        let answer = Answer { members };
        if self.sets.get(&id).is_some_and(|known| **known == answer) {
            return false;
        }
        self.sets.insert(id, Arc::new(answer));
        true
    }

    /// The last good answer of a source; none = no members.
    pub(crate) fn found_by(&self, id: &SourceId) -> &[Found] {
        let answer = self.sets.get(id);
        answer.map_or(&[], |answer| &answer.members)
    }

    /// The sources that gave a good answer, but for files.
    pub(crate) fn discovered(&self) -> impl Iterator<Item = (&SourceId, Vec<Member>)> {
        let sets = self.sets.iter().filter(|(id, _)| id.kind() != "file");
        sets.map(|(id, answer)| {
            let members = answer
                .members
                .iter()
                .filter_map(|found| found.member.as_ref());
            (id, members.map(|member| Member::clone(member)).collect())
        })
    }

    /// Whether this source ever gave a good answer.
    pub(crate) fn has(&self, id: &SourceId) -> bool {
        self.sets.contains_key(id)
    }

    /// What a backend's sources found, in their order; then those that announce it.
    pub(crate) fn of<'a>(
        &'a self,
        backend: &'a config::Backend,
    ) -> impl Iterator<Item = &'a Found> {
        let ids = ids_of(backend).collect::<Vec<_>>();
        let is_made = backend.sources.contains(&config::Source::Announced);
        let takes = move |id: &SourceId, ids: &[SourceId]| {
            is_made || ids.iter().any(|own| own.kind() == id.kind())
        };
        let sites = self.sets.iter().filter(|(id, _)| id.is_sites());
        let sites: Vec<_> = sites.filter(|(id, _)| takes(id, &ids)).collect();
        let announce = |found: &&Found| {
            let site = found
                .member
                .as_ref()
                .and_then(|member| member.site.as_ref());
            site.is_some_and(|site| *site.backend == *backend.name)
        };
        let announced = sites.into_iter().flat_map(|(_, answer)| &answer.members);
        let announced = announced.filter(announce);
        let answers = ids.into_iter().filter_map(|id| self.sets.get(&id));
        let named = answers.flat_map(|answer| &answer.members);
        named.chain(announced)
    }

    /// The sources whose members make backends.
    pub(crate) fn announcing(
        &self,
    ) -> impl Iterator<Item = (&SourceId, impl Iterator<Item = &Member>)> {
        let sites = self.sets.iter().filter(|(id, _)| id.is_sites());
        sites.map(|(id, answer)| {
            let members = answer.members.iter();
            (id, members.filter_map(|found| found.member.as_deref()))
        })
    }

    /// What a server's name stands for now.
    pub(crate) fn resolved(&self, name: &str, port: u16) -> Option<config::ServerAddress> {
        let answer = self.sets.get(&SourceId::name(name, port))?;
        let found = answer.members.first()?;
        Some(found.settings().address.clone())
    }

    /// Forgets the sources that this configuration does not name.
    pub(crate) fn keep_named_in(&mut self, config: &config::Config) {
        let backends = || config.backends.iter();
        let servers = backends().flat_map(|backend| &backend.servers);
        let names = servers.filter_map(|server| match &server.address {
            config::ServerAddress::Name(name, port) => Some(SourceId::name(name, *port)),
            _ => None,
        });
        let named: Vec<_> = backends().flat_map(ids_of).chain(names).collect();
        let has_routes = config.frontends.iter().any(|f| f.discovered_routes);
        self.sets.retain(|id, _| match id.is_sites() {
            true => has_routes,
            false => named.contains(id),
        });
    }
}

/// The sources of a backend, in the order of the file.
pub(crate) fn ids_of(backend: &config::Backend) -> impl Iterator<Item = SourceId> {
    backend.sources.iter().map(SourceId::of)
}
