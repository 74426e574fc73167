//! What the engine answers, as far as it is looked at.
//!
//! Shapes of Docker 20.10 to 28 and of Podman 4: every field may be absent or
//! null, whatever the documents say.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

/// One entry of `GET /containers/json`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Listed {
    /// 64 hexadecimal digits.
    #[serde(deserialize_with = "or_default")]
    pub(crate) id: String,
    /// With a leading slash; links add more, with more slashes.
    #[serde(deserialize_with = "or_default")]
    pub(crate) names: Vec<String>,
    /// As it was asked for: `web:1.2`, or an id.
    #[serde(deserialize_with = "or_default")]
    pub(crate) image: String,
    /// Unix seconds.
    #[serde(deserialize_with = "or_default")]
    pub(crate) created: u64,
    #[serde(deserialize_with = "or_default")]
    pub(crate) labels: BTreeMap<String, String>,
    /// `running`, `paused`, `restarting`.
    #[serde(deserialize_with = "or_default")]
    pub(crate) state: String,
    /// `Up 3 seconds (health: starting)`: the only place the list says it.
    #[serde(deserialize_with = "or_default")]
    pub(crate) status: String,
    #[serde(deserialize_with = "or_default")]
    pub(crate) ports: Vec<Port>,
    /// Podman leaves it out.
    #[serde(deserialize_with = "or_default")]
    pub(crate) host_config: HostConfig,
    #[serde(deserialize_with = "or_default")]
    pub(crate) network_settings: NetworkSettings,
}

/// An exposed port, and where it is published.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Port {
    #[serde(rename = "IP", deserialize_with = "or_default")]
    pub(crate) ip: String,
    #[serde(deserialize_with = "or_default")]
    pub(crate) private_port: u16,
    /// 0 = not published.
    #[serde(deserialize_with = "or_default")]
    pub(crate) public_port: u16,
    /// `tcp`, `udp`, `sctp`.
    #[serde(rename = "Type", deserialize_with = "or_default")]
    pub(crate) protocol: String,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct HostConfig {
    /// `host`, `none`, `container:<id>`, or the name of a network.
    #[serde(deserialize_with = "or_default")]
    pub(crate) network_mode: String,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct NetworkSettings {
    /// By name. Docker's order is that of a Go map, so another one each time.
    #[serde(deserialize_with = "or_default")]
    pub(crate) networks: BTreeMap<String, Network>,
}

/// A container's place in one network.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Network {
    #[serde(rename = "IPAddress", deserialize_with = "or_default")]
    pub(crate) ipv4: String,
    #[serde(rename = "GlobalIPv6Address", deserialize_with = "or_default")]
    pub(crate) ipv6: String,
    #[serde(rename = "NetworkID", deserialize_with = "or_default")]
    pub(crate) id: String,
}

/// `GET /containers/{id}/json`: what the list does not say, and never changes.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Inspected {
    #[serde(deserialize_with = "or_default")]
    pub(crate) config: ContainerConfig,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct ContainerConfig {
    /// `NAME=value`.
    #[serde(deserialize_with = "or_default")]
    pub(crate) env: Vec<String>,
    /// `SIGTERM`, `TERM`, `15`; empty = SIGTERM.
    #[serde(deserialize_with = "or_default")]
    pub(crate) stop_signal: String,
    /// By names like `80/tcp`.
    #[serde(deserialize_with = "or_default")]
    pub(crate) exposed_ports: BTreeMap<String, IgnoredAny>,
}

/// One line of `GET /events`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Event {
    /// `container`, `network`.
    #[serde(rename = "Type", deserialize_with = "or_default")]
    pub(crate) kind: String,
    /// `start`, `kill`, `health_status: healthy`.
    #[serde(deserialize_with = "or_default")]
    pub(crate) action: String,
    #[serde(deserialize_with = "or_default")]
    pub(crate) actor: Actor,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Actor {
    /// Of the container or the network.
    #[serde(rename = "ID", deserialize_with = "or_default")]
    pub(crate) id: String,
    /// The container's labels, its name, and of `kill` the signal's number.
    #[serde(rename = "Attributes", deserialize_with = "or_default")]
    pub(crate) attributes: BTreeMap<String, String>,
}

/// `{"message": "..."}` of an answer that is an error.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Refused {
    #[serde(deserialize_with = "or_default")]
    pub(crate) message: String,
}

impl Listed {
    /// What people call it.
    pub(crate) fn name(&self) -> &str {
        // A link's name has a second slash.
        let own = |name: &&String| !name.trim_start_matches('/').contains('/');
        match self.names.iter().find(own).or_else(|| self.names.first()) {
            Some(name) => name.trim_start_matches('/'),
            None => self.short_id(),
        }
    }

    /// As `docker ps` prints it.
    pub(crate) fn short_id(&self) -> &str {
        self.id.get(..12).unwrap_or(&self.id)
    }

    pub(crate) fn label(&self, name: &str) -> Option<&str> {
        self.labels.get(name).map(String::as_str)
    }

    /// The compose project.
    pub(crate) fn project(&self) -> Option<&str> {
        self.label("com.docker.compose.project")
    }

    /// The compose service.
    pub(crate) fn service(&self) -> Option<&str> {
        self.label("com.docker.compose.service")
    }

    /// Made by `docker compose run`.
    pub(crate) fn is_one_off(&self) -> bool {
        let oneoff = self.label("com.docker.compose.oneoff");
        oneoff.is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// What its HEALTHCHECK says; a paused container hides it.
    pub(crate) fn health(&self) -> Option<Health> {
        // Nothing else in a status has these words in brackets at its end.
        let word = self.status.strip_suffix(')')?.rsplit_once('(')?.1;
        match word {
            "health: starting" => Some(Health::Starting),
            "healthy" => Some(Health::Healthy),
            "unhealthy" => Some(Health::Unhealthy),
            _ => None,
        }
    }
}

/// The state of a HEALTHCHECK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Health {
    Starting,
    Healthy,
    Unhealthy,
}

impl Inspected {
    /// The value of an environment variable.
    pub(crate) fn env(&self, name: &str) -> Option<&str> {
        let vars = self.config.env.iter().filter_map(|var| var.split_once('='));
        // The last one wins, as in a process.
        let mut own = vars.filter(|(key, _)| *key == name);
        own.next_back().map(|(_, value)| value)
    }

    /// As an entry of Docker's list has them; Podman's has only those that are published.
    pub(crate) fn exposed(&self) -> impl Iterator<Item = Port> {
        let names = self.config.exposed_ports.keys();
        names.filter_map(|name| {
            let (number, protocol) = name.split_once('/').unwrap_or((name, "tcp"));
            Some(Port {
                private_port: number.parse().ok()?,
                protocol: protocol.to_owned(),
                ..Port::default()
            })
        })
    }

    /// What `docker stop` sends first.
    pub(crate) fn stop_signal(&self) -> u8 {
        signal_number(&self.config.stop_signal).unwrap_or(SIGTERM)
    }
}

impl Event {
    /// The signal of a `kill`.
    pub(crate) fn kill_signal(&self) -> Option<u8> {
        if self.kind != "container" || self.action != "kill" {
            return None;
        }
        signal_number(self.actor.attributes.get("signal")?)
    }

    /// Whether the set may be another one behind it. Unknown words count: names
    /// differ between engines.
    pub(crate) fn is_of_interest(&self) -> bool {
        const QUIET: [&str; 9] = [
            "exec_create",
            "exec_start",
            "exec_die",
            "exec_detach",
            "top",
            "resize",
            "attach",
            "detach",
            "copy",
        ];
        let action = self.action.split([':', ' ']).next().unwrap_or_default();
        matches!(&*self.kind, "container" | "network") && !QUIET.contains(&action)
    }
}

/// `15`, `SIGTERM`, `TERM`, `SIGRTMIN+3`.
pub(crate) fn signal_number(text: &str) -> Option<u8> {
    if let Ok(number) = text.parse::<u8>() {
        return (number > 0).then_some(number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some(plus) = name.strip_prefix("RTMIN") {
        let plus: u8 = match plus.strip_prefix('+') {
            Some(number) => number.parse().ok()?,
            None => 0,
        };
        return SIGRTMIN.checked_add(plus).filter(|number| *number <= 64);
    }
    let found = SIGNALS.iter().find(|(known, _)| *known == name);
    found.map(|(_, number)| *number)
}

/// A list that is not there is an empty one.
fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

pub(crate) const SIGTERM: u8 = 15;
pub(crate) const SIGKILL: u8 = 9;
/// glibc's, as Docker has it.
const SIGRTMIN: u8 = 34;
/// Those somebody stops a program with.
const SIGNALS: [(&str, u8); 10] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ABRT", 6),
    ("KILL", 9),
    ("USR1", 10),
    ("USR2", 12),
    ("TERM", 15),
    ("PWR", 30),
    ("WINCH", 28),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_and_absent_are_empty() {
        let text = r#"[{"Id":"ab","Names":null,"Labels":null,"Ports":null,"NetworkSettings":null},
            {"Id":"cd","Names":["/web"],"NetworkSettings":{"Networks":{"a":{"IPAddress":null}}}}]"#;
        let listed: Vec<Listed> = serde_json::from_str(text).unwrap();
        assert_eq!(listed[0].name(), "ab");
        assert_eq!(listed[1].name(), "web");
        assert_eq!(listed[1].network_settings.networks["a"].ipv4, "");
    }

    #[test]
    fn exposed_ports_are_read_as_the_list_would_have_them() {
        let text = r#"{"Config":{"ExposedPorts":{"53/udp":{},"80/tcp":{},"x/tcp":{}}}}"#;
        let inspected: Inspected = serde_json::from_str(text).unwrap();
        let exposed: Vec<_> = inspected
            .exposed()
            .map(|port| (port.private_port, port.protocol, port.public_port))
            .collect();
        assert_eq!(exposed, [(53, "udp".into(), 0), (80, "tcp".into(), 0)]);
    }

    #[test]
    fn a_link_does_not_name_a_container() {
        let listed = Listed {
            names: vec!["/lb/web".into(), "/demo-web-1".into()],
            ..Listed::default()
        };
        assert_eq!(listed.name(), "demo-web-1");
    }

    #[test]
    fn health_stands_at_the_end_of_the_status() {
        for (status, expected) in [
            ("Up 3 seconds (health: starting)", Some(Health::Starting)),
            ("Up 2 hours (healthy)", Some(Health::Healthy)),
            ("Up About a minute (unhealthy)", Some(Health::Unhealthy)),
            ("Up 2 minutes (Paused)", None),
            ("Up 2 minutes", None),
            ("", None),
        ] {
            let listed = Listed {
                status: status.into(),
                ..Listed::default()
            };
            assert_eq!(listed.health(), expected, "{status}");
        }
    }

    #[test]
    fn signals_are_names_and_numbers() {
        for (text, expected) in [
            ("15", Some(15)),
            ("SIGTERM", Some(15)),
            ("quit", Some(3)),
            ("SIGWINCH", Some(28)),
            ("SIGRTMIN+3", Some(37)),
            ("SIGRTMIN+99", None),
            ("RTMIN+300", None),
            ("0", None),
            ("", None),
            ("SIGSOMETHING", None),
        ] {
            assert_eq!(signal_number(text), expected, "{text}");
        }
        assert_eq!(Inspected::default().stop_signal(), 15);
    }

    #[test]
    fn events_of_a_health_probe_are_quiet() {
        let event = |action: &str| Event {
            kind: "container".into(),
            action: action.into(),
            ..Event::default()
        };
        for quiet in ["exec_create: /rlb healthcheck", "exec_die", "top"] {
            assert!(!event(quiet).is_of_interest(), "{quiet}");
        }
        for loud in ["start", "health_status: healthy", "kill", "remove", "died"] {
            assert!(event(loud).is_of_interest(), "{loud}");
        }
    }

    #[test]
    fn a_kill_names_its_signal() {
        let line = r#"{"status":"kill","id":"ab","Type":"container","Action":"kill",
            "Actor":{"ID":"ab","Attributes":{"signal":"15","name":"demo-web-1"}},"timeNano":1}"#;
        let event: Event = serde_json::from_str(line).unwrap();
        assert_eq!(event.kill_signal(), Some(15));
        let line = r#"{"Type":"network","Action":"disconnect",
            "Actor":{"ID":"net","Attributes":{"container":"ab","name":"front"}}}"#;
        let event: Event = serde_json::from_str(line).unwrap();
        assert_eq!(event.kill_signal(), None);
    }
}
