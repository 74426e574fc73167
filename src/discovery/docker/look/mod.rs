//! From the containers of one engine to members, and to those that are none with
//! the reason why. Pure: the list comes in, the answer goes out.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::address::{Standpoint, Wanted, address};
use super::announced::{Announced, Reading, clean};
use super::api::{Health, Inspected, Listed};
use super::{convention, labels};
use crate::config::{
    Docker, DockerAddress, DockerConvention, DockerExpose, DockerHealth, DockerSource,
};
use crate::discovery::{Found, LeftOut, Member, Site, Standing};

/// What is known of one engine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    /// Containers that run, in any order.
    pub(crate) listed: &'a [Listed],
    /// What the list does not say of them, by id, as far as it was asked for.
    pub(crate) inspected: &'a HashMap<String, Inspected>,
    /// Containers that were told to stop, with the signal.
    pub(crate) stopping: &'a HashMap<String, u8>,
    pub(crate) settings: &'a Docker,
    pub(crate) from: &'a Standpoint,
    /// Our own container.
    pub(crate) own: Option<&'a Listed>,
}

/// What somebody wants to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asked {
    /// The containers a backend's `source` names.
    Named(DockerSource),
    /// Those that announce a site of their own.
    Sites,
}

/// The answers.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Looked {
    /// One for each question.
    pub(crate) found: Vec<Found>,
    /// What is worth a line in the log, once for each container.
    pub(crate) warnings: BTreeSet<String>,
}

/// Answers all questions from one list.
pub(crate) fn look(view: &View<'_>, asked: &[Asked]) -> Looked {
    let mut containers: Vec<&Listed> = view.listed.iter().collect();
    containers.sort_by(|a, b| order(a, b));
    let read = |container| (container, view.read(container));
    let read: Vec<_> = containers.into_iter().map(read).collect();
    let mut looked = Looked::default();
    for (container, reading) in &read {
        let named = |warning: &String| format!("{}: {warning}", container.name());
        looked.warnings.extend(reading.warnings.iter().map(named));
    }
    for question in asked {
        let found = match question {
            Asked::Named(source) => {
                looked.warnings.extend(view.ambiguous(source));
                view.named(source, &read)
            }
            Asked::Sites => view.sites(&read, asked),
        };
        looked.found.push(found);
    }
    looked
}

impl View<'_> {
    /// What a container says, in all words that are listened to.
    fn read(&self, container: &Listed) -> Reading {
        let mut reading = Reading::default();
        let inspected = self.inspected.get(&container.id);
        for convention in &self.settings.conventions {
            let more = match convention {
                DockerConvention::Rlb => {
                    let labels = container.labels.iter();
                    labels::read(labels.map(|(name, value)| (&**name, &**value)))
                }
                DockerConvention::Interlock => convention::interlock(container, inspected),
                DockerConvention::Registrator => convention::registrator(container, inspected),
            };
            reading.announced.extend(more.announced);
            reading.refused = reading.refused.or(more.refused);
            reading.settings = reading.settings.or(more.settings);
            reading.warnings.extend(more.warnings);
        }
        let is_silent = reading.announced.is_empty() && reading.refused.is_none();
        if is_silent
            && self.settings.expose == DockerExpose::All
            && let Some(service) = container.service().or_else(|| Some(container.name()))
        {
            let mut announced = reading.settings.clone().unwrap_or_default();
            // A name that browsers take to this machine without being told.
            let host = format!("{},{}.localhost", clean(service), clean(service));
            announced.hosts = labels::hosts(&host).unwrap_or_default();
            announced.backend.get_or_insert_with(|| clean(service));
            reading.announced.push(announced);
        }
        reading
    }

    /// The members of a `source` of the file.
    fn named(&self, source: &DockerSource, read: &[(&Listed, Reading)]) -> Found {
        let mut found = Found::default();
        for (container, reading) in read {
            let Some(announced) = self.is_meant(source, container, reading) else {
                continue;
            };
            for mut announced in announced {
                announced.port = source.port.or(announced.port);
                if source.network.is_some() {
                    announced.network.clone_from(&source.network);
                }
                let member = self.member(container, reading, &announced);
                put(&mut found, container, member);
            }
        }
        found
    }

    /// Whether `source` names this container, and what it says of itself then.
    fn is_meant(
        &self,
        source: &DockerSource,
        container: &Listed,
        reading: &Reading,
    ) -> Option<Vec<Announced>> {
        let has_tags = |one: &&Announced| source.tags.iter().all(|tag| one.tags.contains(tag));
        let in_project = match source.project.as_deref().or_else(|| self.own_project()) {
            Some(project) => container.project() == Some(project),
            None => true,
        };
        let named: Vec<_> = reading
            .announced
            .iter()
            .filter(|one| one.service.as_deref() == Some(&*source.service))
            .filter(has_tags)
            .cloned()
            .collect();
        // Registrator's services know no project.
        if !named.is_empty() && (source.project.is_none() || in_project) {
            return Some(named);
        }
        let is_named = match container.service() {
            Some(service) => service == source.service && in_project,
            None => container.name() == source.service && source.project.is_none(),
        };
        if !is_named || !source.tags.is_empty() {
            return None;
        }
        let announced = match &reading.announced[..] {
            [one] => one.clone(),
            _ => reading.settings.clone().unwrap_or_default(),
        };
        Some(vec![announced])
    }

    /// The members that make their own backends.
    fn sites(&self, read: &[(&Listed, Reading)], asked: &[Asked]) -> Found {
        let mut found = Found::default();
        for (container, reading) in read {
            if self.is_own(container) && reading.announced.is_empty() {
                continue;
            }
            // Those that a source names are looked at there.
            let is_named = asked.iter().any(|question| match question {
                Asked::Named(source) => self.is_meant(source, container, reading).is_some(),
                Asked::Sites => false,
            });
            let left_out = |why| (!is_named).then(|| LeftOut::new(container.name(), why));
            if reading.announced.is_empty() {
                let why = reading.refused.clone();
                let why = why.unwrap_or_else(|| "no rlb.enable label".to_owned());
                found.left_out.extend(left_out(why));
                continue;
            }
            for announced in &reading.announced {
                if announced.hosts.is_empty() && announced.backend.is_none() {
                    let service = container.service().unwrap_or_else(|| container.name());
                    let why = format!(
                        "no rlb.host, and no backend has source = [{{ docker = \"{service}\" }}]"
                    );
                    found.left_out.extend(left_out(why));
                    continue;
                }
                let member = self.member(container, reading, announced);
                let member = member.map(|member| Member {
                    site: Some(Box::new(site(container, announced))),
                    ..member
                });
                put(&mut found, container, member);
            }
        }
        found
    }

    /// One service of a container as a server, or why it is none.
    fn member(
        &self,
        container: &Listed,
        reading: &Reading,
        announced: &Announced,
    ) -> Result<Member, String> {
        if self.is_own(container) {
            return Err("is this process's own container".to_owned());
        }
        if container.is_one_off() {
            return Err("a one-off container of compose run".to_owned());
        }
        if let Some(why) = &reading.refused {
            return Err(why.clone());
        }
        let standing = self.standing(container)?;
        let wanted = Wanted {
            port: announced.port,
            network: announced
                .network
                .as_deref()
                .or(self.settings.network.as_deref()),
            published: announced
                .published
                .unwrap_or(self.settings.address == DockerAddress::Published),
            port_key: "rlb.port",
        };
        let address = address(container, self.listed, &wanted, self.from)?;
        // Of several services of one container each is a server of its own.
        let (mut id, mut name) = (container.id.clone(), container.name().to_owned());
        if reading.announced.len() > 1
            && let Some(port) = announced.port
        {
            id = format!("{id}:{port}");
            name = format!("{name}:{port}");
        }
        Ok(Member {
            weight: announced.weight.map_or(1, u32::from),
            tier: u16::from(announced.backup),
            standing,
            tags: announced.tags.clone(),
            labels: labels_shown(container),
            ..Member::new(id, name, address)
        })
    }

    /// What the engine thinks of a container.
    fn standing(&self, container: &Listed) -> Result<Standing, String> {
        if let Some(signal) = self.stopping.get(&container.id) {
            return Ok(Standing::Draining(format!(
                "was sent signal {signal} to stop"
            )));
        }
        match &*container.state {
            "running" | "" => {}
            "paused" => return Ok(Standing::Bad("is paused".to_owned())),
            state => return Err(format!("is {state}")),
        }
        Ok(match (self.settings.health, container.health()) {
            (DockerHealth::Ignore, _) | (_, None | Some(Health::Healthy)) => Standing::Good,
            (_, Some(Health::Unhealthy)) => Standing::Bad("its HEALTHCHECK fails".to_owned()),
            (DockerHealth::NotUnhealthy, Some(Health::Starting)) => Standing::Good,
            (DockerHealth::RequireHealthy, Some(Health::Starting)) => {
                Standing::Bad("its HEALTHCHECK has not passed yet".to_owned())
            }
        })
    }

    fn is_own(&self, container: &Listed) -> bool {
        self.own.is_some_and(|own| own.id == container.id)
    }

    fn own_project(&self) -> Option<&str> {
        self.own.and_then(Listed::project)
    }

    /// One service name in several projects, and nobody said which one is meant.
    fn ambiguous(&self, source: &DockerSource) -> Option<String> {
        if source.project.is_some() || self.own_project().is_some() {
            return None;
        }
        let meant = |container: &&Listed| container.service() == Some(&source.service);
        let projects = self.listed.iter().filter(meant).filter_map(Listed::project);
        let projects: BTreeSet<&str> = projects.collect();
        (projects.len() > 1).then(|| {
            let all: Vec<_> = projects.into_iter().collect();
            format!(
                "{{ docker = \"{}\" }} takes the service of the projects {}: write project = \"...\" beside it",
                source.service,
                all.join(", ")
            )
        })
    }
}

fn put(found: &mut Found, container: &Listed, member: Result<Member, String>) {
    match member {
        // A container that is named twice, by service and by label, is one.
        Ok(member) if found.members.iter().any(|known| known.id == member.id) => {}
        Ok(member) => found.members.push(member),
        Err(why) => found.left_out.push(LeftOut::new(container.name(), why)),
    }
}

fn site(container: &Listed, announced: &Announced) -> Site {
    let service = announced.service.as_deref().or_else(|| container.service());
    announced.site(
        service.unwrap_or_else(|| container.name()),
        container.created,
    )
}

/// Labels a group may go by; those that compose and builders write say nothing of
/// the service.
fn labels_shown(container: &Listed) -> BTreeMap<String, String> {
    let quiet =
        |name: &str| name.starts_with("com.docker.") || name.starts_with("org.opencontainers.");
    let labels = container.labels.iter().filter(|(name, _)| !quiet(name));
    labels
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// As people count: by project, service and number.
fn order(a: &Listed, b: &Listed) -> Ordering {
    let key = |container: &Listed| {
        let number = container.label("com.docker.compose.container-number");
        number.and_then(|number| number.parse::<u32>().ok())
    };
    let place = |container: &Listed| {
        (
            container.project().map(str::to_owned),
            container.service().map(str::to_owned),
        )
    };
    place(a)
        .cmp(&place(b))
        .then_with(|| key(a).cmp(&key(b)))
        .then_with(|| a.name().cmp(b.name()))
        .then_with(|| a.id.cmp(&b.id))
}

#[cfg(test)]
mod tests;
