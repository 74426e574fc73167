//! Registrator's: `SERVICE_NAME`, `SERVICE_TAGS`, `SERVICE_80_NAME` and so on, as
//! variables or labels. Each exposed port is a service of its own.
//!
//! Unlike Registrator, a container that has none of these words is not a service.

use std::collections::{BTreeMap, BTreeSet};

use crate::config;
use crate::discovery::docker::announced::{Announced, AnnouncedCheck, Reading};
use crate::discovery::docker::api::{Inspected, Listed};
use crate::discovery::docker::labels;

/// What a container says in Registrator's words.
pub(crate) fn read(container: &Listed, inspected: Option<&Inspected>) -> Reading {
    let words = words(container, inspected);
    if words.is_empty() {
        return Reading::default();
    }
    let mut reading = Reading::default();
    let exposed: BTreeSet<u16> = container
        .ports
        .iter()
        .filter(|port| matches!(&*port.protocol, "tcp" | ""))
        .map(|port| port.private_port)
        .collect();
    // A port that is only named here is one too: nobody else may have exposed it.
    let named = words
        .keys()
        .filter_map(|word| word.split_once('_')?.0.parse().ok());
    let ports: BTreeSet<u16> = exposed.into_iter().chain(named).collect();
    let mut not_done = BTreeSet::new();
    let mut ignored = 0;
    for &port in &ports {
        let own = Words { all: &words, port };
        if own.is_set("IGNORE") {
            ignored += 1;
            continue;
        }
        let mut announced = Announced {
            service: Some(own.name(container, ports.len())),
            port: Some(port),
            tags: own.tags(),
            ..Announced::default()
        };
        own.check(&mut announced, &mut not_done);
        own.announce(announced, &mut reading);
    }
    if !not_done.is_empty() {
        let names = not_done.into_iter().collect::<Vec<_>>().join(", ");
        let sentence = format!("of its Registrator words nothing is done with: {names}");
        reading.warnings.push(sentence);
    }
    if ignored > 0 && ignored == ports.len() {
        reading.refused = Some("SERVICE_IGNORE is set".to_owned());
    }
    reading
}

/// All of them, without `SERVICE_`. A label wins over a variable, as it did there.
fn words<'a>(
    container: &'a Listed,
    inspected: Option<&'a Inspected>,
) -> BTreeMap<&'a str, &'a str> {
    let env = inspected.iter().flat_map(|inspected| &inspected.config.env);
    let env = env.filter_map(|var| var.split_once('='));
    let labels = container
        .labels
        .iter()
        .map(|(name, value)| (&**name, &**value));
    let all = env.chain(labels);
    all.filter_map(|(name, value)| Some((name.strip_prefix("SERVICE_")?, value.trim())))
        .collect()
}

/// The words for one port: `80_NAME` before `NAME`.
struct Words<'a> {
    all: &'a BTreeMap<&'a str, &'a str>,
    port: u16,
}

impl<'a> Words<'a> {
    fn get(&self, word: &str) -> Option<&'a str> {
        let own = format!("{}_{word}", self.port);
        let found = self.all.get(&*own).or_else(|| self.all.get(word));
        found.copied().filter(|value| !value.is_empty())
    }

    fn is_set(&self, word: &str) -> bool {
        self.get(word).is_some_and(|value| value != "false")
    }

    /// The basename of the image where none is given, with the port where a name
    /// would stand for several.
    fn name(&self, container: &Listed, ports: usize) -> String {
        let own = format!("{}_NAME", self.port);
        if let Some(name) = self.all.get(&*own).filter(|name| !name.is_empty()) {
            return (*name).to_owned();
        }
        let name = self.get("NAME").map_or_else(
            || {
                let image = container.image.rsplit('/').next().unwrap_or_default();
                image
                    .split([':', '@'])
                    .next()
                    .unwrap_or_default()
                    .to_owned()
            },
            str::to_owned,
        );
        match ports {
            1 => name,
            _ => format!("{name}-{}", self.port),
        }
    }

    fn tags(&self) -> Vec<String> {
        let tags = self.get("TAGS").unwrap_or_default().split(',');
        let tags = tags.map(str::trim).filter(|tag| !tag.is_empty());
        tags.take(TAGS_MAX).map(str::to_owned).collect()
    }

    fn check(&self, announced: &mut Announced, not_done: &mut BTreeSet<String>) {
        if let Some(path) = self.get("CHECK_HTTP") {
            let path = match path.starts_with('/') {
                true => path.to_owned(),
                false => format!("/{path}"),
            };
            announced.check = Some(AnnouncedCheck::Http(path));
        } else if self.is_set("CHECK_TCP") {
            announced.check = Some(AnnouncedCheck::Tcp);
        }
        if let Some(text) = self.get("CHECK_INTERVAL") {
            // Consul's durations are Go's: 10s, 1m.
            match config::duration(text) {
                Ok(interval) if !interval.is_zero() => announced.check_interval = Some(interval),
                _ => {
                    not_done.insert(format!("SERVICE_CHECK_INTERVAL={text}"));
                }
            }
        }
        for word in self.all.keys() {
            let word = match word.split_once('_') {
                Some((port, word)) if port.parse::<u16>().is_ok() => word,
                _ => word,
            };
            let known = ["CHECK_HTTP", "CHECK_TCP", "CHECK_INTERVAL"];
            if word.starts_with("CHECK_") && !known.contains(&word) {
                not_done.insert(format!("SERVICE_{word}"));
            }
        }
    }

    /// Tags may say what our labels say, as they may in Consul.
    fn announce(&self, announced: Announced, reading: &mut Reading) {
        let tags = announced.tags.clone();
        let tags = tags.iter().filter_map(|tag| tag.split_once('='));
        let said = labels::read(tags);
        reading.warnings.extend(said.warnings);
        reading.refused = reading.refused.take().or(said.refused);
        let Some(mut told) = said.announced.into_iter().next() else {
            reading.announced.push(announced);
            return;
        };
        told.port = told.port.or(announced.port);
        told.check = told.check.or(announced.check);
        told.check_interval = told.check_interval.or(announced.check_interval);
        (told.service, told.tags) = (announced.service, announced.tags);
        reading.announced.push(told);
    }
}

const TAGS_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::docker::api::{ContainerConfig, Port};
    use std::time::Duration;

    fn reading(env: &[&str], ports: &[u16]) -> Reading {
        let inspected = Inspected {
            config: ContainerConfig {
                env: env.iter().map(|var| (*var).to_owned()).collect(),
                ..ContainerConfig::default()
            },
        };
        let container = Listed {
            image: "registry.example.com/team/shop:1.2".into(),
            ports: ports
                .iter()
                .map(|port| Port {
                    private_port: *port,
                    protocol: "tcp".into(),
                    ..Port::default()
                })
                .collect(),
            ..Listed::default()
        };
        read(&container, Some(&inspected))
    }

    fn services(reading: &Reading) -> Vec<(&str, u16)> {
        let all = reading.announced.iter();
        all.map(|one| (one.service.as_deref().unwrap(), one.port.unwrap()))
            .collect()
    }

    #[test]
    fn one_port_is_named_by_service_name() {
        let reading = reading(&["SERVICE_NAME=web", "SERVICE_TAGS=production, eu"], &[80]);
        assert_eq!(services(&reading), [("web", 80)]);
        assert_eq!(reading.announced[0].tags, ["production", "eu"]);
    }

    #[test]
    fn several_ports_are_several_services() {
        assert_eq!(
            services(&reading(&["SERVICE_NAME=web"], &[80, 443])),
            [("web-80", 80), ("web-443", 443)]
        );
        assert_eq!(
            services(&reading(
                &[
                    "SERVICE_80_NAME=web",
                    "SERVICE_9000_IGNORE=true",
                    "SERVICE_80_TAGS=a"
                ],
                &[80, 9000]
            )),
            [("web", 80)]
        );
        assert_eq!(
            services(&reading(&["SERVICE_TAGS=a"], &[80])),
            [("shop", 80)]
        );
    }

    #[test]
    fn ignored_and_silent_containers_are_none() {
        let ignored = reading(&["SERVICE_IGNORE=true"], &[80]);
        assert_eq!(ignored.refused.as_deref(), Some("SERVICE_IGNORE is set"));
        assert!(ignored.announced.is_empty());
        assert_eq!(reading(&["PATH=/"], &[80]), Reading::default());
    }

    #[test]
    fn checks_are_taken_and_the_rest_is_named() {
        let reading = reading(
            &[
                "SERVICE_80_CHECK_HTTP=health",
                "SERVICE_CHECK_INTERVAL=15s",
                "SERVICE_CHECK_TIMEOUT=1s",
                "SERVICE_CHECK_SCRIPT=x",
            ],
            &[80],
        );
        let one = &reading.announced[0];
        assert_eq!(one.check, Some(AnnouncedCheck::Http("/health".into())));
        assert_eq!(one.check_interval, Some(Duration::from_secs(15)));
        assert_eq!(
            reading.warnings,
            [
                "of its Registrator words nothing is done with: SERVICE_CHECK_SCRIPT, SERVICE_CHECK_TIMEOUT"
            ]
        );
    }

    #[test]
    fn tags_may_announce_a_host() {
        let reading = reading(&["SERVICE_NAME=web", "SERVICE_TAGS=a,rlb.host=a.b"], &[80]);
        let one = &reading.announced[0];
        assert_eq!(one.hosts.len(), 1);
        assert_eq!((one.port, one.service.as_deref()), (Some(80), Some("web")));
    }
}
