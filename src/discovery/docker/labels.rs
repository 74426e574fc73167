//! `rlb.*`: the words of our own.
//!
//! Also those of a Consul tag list: `rlb.host=demo.example.com`.

use std::time::Duration;

use super::announced::{Announced, AnnouncedCheck, Host, Reading};
use crate::config::{self, suggest::nearest};

/// Reads labels, or tags of the form `name=value`.
pub(crate) fn read<'a>(labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> Reading {
    let mut reading = Reading::default();
    let mut announced = Announced::default();
    let (mut enable, mut any) = (None, false);
    for (name, value) in labels {
        let Some(word) = name.strip_prefix(PREFIX) else {
            continue;
        };
        match set(&mut announced, word, value.trim()) {
            Ok(true) => any = true,
            Ok(false) => {}
            // An address that is not the one meant would be worse than none.
            Err(Wrong::Value(what)) => {
                let sentence = format!("{name} = \"{}\": {what}", value.escape_debug());
                match word {
                    "host" | "port" | "network" | "backend" | "path_prefix" => {
                        reading.refused.get_or_insert(sentence);
                    }
                    _ => reading.warnings.push(sentence),
                }
            }
            Err(Wrong::Enable(value)) => enable = Some(value),
            Err(Wrong::Word) => reading.warnings.push(match nearest(word, WORDS) {
                Some(near) => format!("unknown label {name}: did you mean {PREFIX}{near}?"),
                None => format!("unknown label {name}: the labels are {}", all_words()),
            }),
        }
    }
    match enable {
        Some(false) => reading.refused = Some("rlb.enable is false".to_owned()),
        Some(true) => reading.announced.push(announced),
        // To announce a host or a backend is to ask for traffic.
        None if !announced.hosts.is_empty() || announced.backend.is_some() => {
            reading.announced.push(announced);
        }
        // Weight or port of a container that a source of the file names.
        None if any => reading.settings = Some(announced),
        None => {}
    }
    reading
}

enum Wrong {
    /// No such label.
    Word,
    /// What the value should be.
    Value(String),
    /// Not wrong: of the container, not of what it announces.
    Enable(bool),
}

/// Takes one label; false = it is for others (`rlb.version`).
fn set(announced: &mut Announced, word: &str, value: &str) -> Result<bool, Wrong> {
    match word {
        "enable" => return Err(flag(value).map_or_else(|wrong| wrong, Wrong::Enable)),
        "host" => announced.hosts = hosts(value).map_err(Wrong::Value)?,
        "path_prefix" => {
            config::path_prefix(value).map_err(|fault| Wrong::Value(fault.message))?;
            announced.path_prefix = Some(value.to_owned());
        }
        "backend" => {
            config::section_name(value).map_err(|fault| Wrong::Value(fault.message))?;
            announced.backend = Some(value.to_owned());
        }
        "port" => announced.port = Some(number(value, 1, 65_535)?),
        "weight" => announced.weight = Some(number(value, 0, 256)?),
        "backup" => announced.backup = flag(value)?,
        "network" if value.is_empty() => {
            return Err(Wrong::Value("the name of a network".to_owned()));
        }
        "network" => announced.network = Some(value.to_owned()),
        "address" => {
            announced.published = Some(match value {
                "container" => false,
                "published" => true,
                _ => return Err(Wrong::Value("\"container\" or \"published\"".to_owned())),
            });
        }
        "check" => announced.check = Some(check(value).map_err(Wrong::Value)?),
        "check_interval" => announced.check_interval = Some(duration(value)?),
        "tls_only" => announced.tls_only = flag(value)?,
        "version" => return Ok(false),
        _ => return Err(Wrong::Word),
    }
    Ok(true)
}

/// Hosts, separated by commas; `*` is every one.
pub(super) fn hosts(text: &str) -> Result<Vec<Host>, String> {
    let mut hosts = Vec::new();
    for host in text.split(',').map(str::trim).filter(|h| !h.is_empty()) {
        let host = match host {
            "*" => Host::Any,
            host => Host::Of(config::host_match(host).map_err(|fault| fault.message)?),
        };
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    match hosts.len() {
        0 => Err("a host, several separated by commas, or *".to_owned()),
        1..=HOSTS_MAX => Ok(hosts),
        _ => Err(format!("at most {HOSTS_MAX} hosts")),
    }
}

pub(super) fn check(value: &str) -> Result<AnnouncedCheck, String> {
    match value {
        "off" | "false" => Ok(AnnouncedCheck::Off),
        "tcp" => Ok(AnnouncedCheck::Tcp),
        "http" | "true" => Ok(AnnouncedCheck::Http("/".to_owned())),
        path => match config::request_path(path) {
            Ok(()) => Ok(AnnouncedCheck::Http(path.to_owned())),
            Err(_) => Err("a path such as \"/health\", \"tcp\" or \"off\"".to_owned()),
        },
    }
}

fn flag(value: &str) -> Result<bool, Wrong> {
    match &*value.to_ascii_lowercase() {
        "true" | "1" | "yes" => Ok(true),
        "false" | "0" | "no" => Ok(false),
        _ => Err(Wrong::Value("true or false".to_owned())),
    }
}

fn number(value: &str, min: u16, max: u16) -> Result<u16, Wrong> {
    let number = value.parse().ok();
    let number = number.filter(|number| (min..=max).contains(number));
    number.ok_or_else(|| Wrong::Value(format!("a number, {min} to {max}")))
}

fn duration(value: &str) -> Result<Duration, Wrong> {
    let duration = config::duration(value).map_err(|fault| Wrong::Value(fault.message))?;
    match duration.is_zero() {
        false => Ok(duration),
        true => Err(Wrong::Value("a check needs an interval".to_owned())),
    }
}

fn all_words() -> String {
    let words: Vec<_> = WORDS.iter().map(|w| format!("{PREFIX}{w}")).collect();
    words.join(", ")
}

pub(crate) const PREFIX: &str = "rlb.";
/// More hosts than a label has sense for: routes are looked at one after the other.
const HOSTS_MAX: usize = 64;
const WORDS: [&str; 13] = [
    "enable",
    "host",
    "path_prefix",
    "backend",
    "port",
    "weight",
    "backup",
    "network",
    "address",
    "check",
    "check_interval",
    "tls_only",
    "version",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(labels: &[(&str, &str)]) -> Reading {
        read(labels.iter().copied())
    }

    #[test]
    fn a_host_is_enough() {
        let reading = read_all(&[("rlb.host", "Demo.example.com, *.example.org"), ("x", "y")]);
        assert!(reading.warnings.is_empty() && reading.refused.is_none());
        let [one] = &reading.announced[..] else {
            panic!("{reading:?}")
        };
        assert_eq!(one.hosts.len(), 2);
        assert_eq!(one.backend_name("web"), "demo_example_com");
    }

    #[test]
    fn every_label_is_read() {
        let reading = read_all(&[
            ("rlb.enable", "true"),
            ("rlb.backend", "api"),
            ("rlb.path_prefix", "/api"),
            ("rlb.port", "8080"),
            ("rlb.weight", "10"),
            ("rlb.backup", "yes"),
            ("rlb.network", "front"),
            ("rlb.address", "published"),
            ("rlb.check", "/health"),
            ("rlb.check_interval", "500ms"),
            ("rlb.tls_only", "true"),
            ("rlb.version", "0.0.1"),
        ]);
        assert_eq!(
            reading.announced,
            [Announced {
                backend: Some("api".into()),
                path_prefix: Some("/api".into()),
                port: Some(8080),
                weight: Some(10),
                backup: true,
                network: Some("front".into()),
                published: Some(true),
                check: Some(AnnouncedCheck::Http("/health".into())),
                check_interval: Some(Duration::from_millis(500)),
                tls_only: true,
                ..Announced::default()
            }]
        );
        assert!(reading.warnings.is_empty());
    }

    #[test]
    fn an_unknown_label_is_named_with_what_was_meant() {
        let reading = read_all(&[("rlb.hots", "a.b"), ("rlb.zzzzzz", "1")]);
        assert_eq!(
            reading.warnings[0],
            "unknown label rlb.hots: did you mean rlb.host?"
        );
        assert!(
            reading.warnings[1].starts_with("unknown label rlb.zzzzzz: the labels are rlb.enable")
        );
        assert!(reading.announced.is_empty() && reading.settings.is_none());
    }

    #[test]
    fn a_wrong_place_refuses_and_a_wrong_weight_warns() {
        for (name, value, said) in [
            ("rlb.port", "http", "a number, 1 to 65535"),
            ("rlb.host", "a b", "rlb.host = \"a b\""),
            ("rlb.backend", "a/b", "rlb.backend"),
            ("rlb.path_prefix", "api", "begins with"),
        ] {
            let reading = read_all(&[("rlb.enable", "true"), (name, value)]);
            let refused = reading.refused.unwrap();
            assert!(refused.contains(said), "{refused}");
        }
        let reading = read_all(&[("rlb.enable", "true"), ("rlb.weight", "300")]);
        assert_eq!(
            reading.warnings,
            ["rlb.weight = \"300\": a number, 0 to 256"]
        );
        assert_eq!(reading.announced.len(), 1);
    }

    #[test]
    fn enable_false_refuses_and_a_port_alone_announces_nothing() {
        let reading = read_all(&[("rlb.host", "a.b"), ("rlb.enable", "false")]);
        assert_eq!(reading.refused.as_deref(), Some("rlb.enable is false"));
        let reading = read_all(&[("rlb.port", "80")]);
        assert!(reading.announced.is_empty());
        assert_eq!(reading.settings.unwrap().port, Some(80));
    }
}
