//! Interlock's: `INTERLOCK_DATA` of 0.3, a JSON object in the environment, and the
//! labels `interlock.*` of 1.x.

use std::time::Duration;

use serde_json::{Map, Value};

use super::env_or_label;
use crate::config;
use crate::discovery::docker::announced::{Announced, AnnouncedCheck, Host, Reading};
use crate::discovery::docker::api::{Inspected, Listed};

/// What a container says in Interlock's words.
pub(crate) fn read(container: &Listed, inspected: Option<&Inspected>) -> Reading {
    let labels = container.labels.iter();
    let labels = labels.filter_map(|(name, value)| Some((name.strip_prefix(PREFIX)?, &**value)));
    let mut fields = Fields::default();
    for (name, value) in labels {
        fields.label(name, value);
    }
    let says_labels = fields.any;
    if let Some(data) = env_or_label(container, inspected, "INTERLOCK_DATA") {
        match serde_json::from_str::<Map<String, Value>>(data) {
            Ok(data) => data
                .iter()
                .for_each(|(name, value)| fields.json(name, value)),
            Err(error) if !says_labels => {
                return Reading {
                    refused: Some(format!("INTERLOCK_DATA is not a JSON object: {error}")),
                    ..Reading::default()
                };
            }
            Err(error) => fields
                .wrong
                .push(format!("INTERLOCK_DATA is not a JSON object: {error}")),
        }
    }
    fields.reading()
}

#[derive(Default)]
struct Fields {
    any: bool,
    hostname: String,
    domain: String,
    aliases: Vec<String>,
    announced: Announced,
    /// Fields that nothing is done with.
    unknown: Vec<String>,
    wrong: Vec<String>,
}

impl Fields {
    fn label(&mut self, name: &str, value: &str) {
        let value = value.trim();
        // Lists are written as alias_domain.0, alias_domain.1.
        let (word, number) = name.split_once('.').unwrap_or((name, ""));
        match (word, number) {
            ("alias_domain", _) => self.aliases.push(value.to_owned()),
            ("network", "") => self.announced.network = Some(value.to_owned()),
            ("health_check", "") => self.set("check", value),
            ("health_check_interval", "") => self.set("check_interval", value),
            (word, "") => self.set(word, value),
            _ => self.unknown.push(format!("{PREFIX}{name}")),
        }
        self.any = true;
    }

    fn json(&mut self, name: &str, value: &Value) {
        self.any = true;
        match (name, value) {
            (_, Value::Null) => {}
            ("alias_domains", Value::Array(list)) => {
                let names = list.iter().filter_map(Value::as_str);
                self.aliases.extend(names.map(str::to_owned));
            }
            (_, Value::String(text)) => self.set(name, text.trim()),
            (_, Value::Number(number)) => self.set(name, &number.to_string()),
            (_, Value::Bool(flag)) => self.set(name, if *flag { "true" } else { "false" }),
            _ => self.unknown.push(name.to_owned()),
        }
    }

    fn set(&mut self, name: &str, value: &str) {
        let announced = &mut self.announced;
        let mut wrong = |what: &str| {
            let value = value.escape_debug();
            self.wrong.push(format!("{name} = \"{value}\": {what}"));
        };
        match name {
            "hostname" => self.hostname = value.to_owned(),
            "domain" => self.domain = value.to_owned(),
            "port" => match value.parse() {
                Ok(0) | Err(_) => wrong("a number, 1 to 65535"),
                Ok(port) => announced.port = Some(port),
            },
            "check" if value.is_empty() => {}
            "check" => match check(value) {
                Some(check) => announced.check = Some(check),
                None => wrong("a path, or HAProxy's httpchk"),
            },
            "check_interval" => match value.parse() {
                Ok(0) | Err(_) => wrong("milliseconds"),
                Ok(millis) => announced.check_interval = Some(Duration::from_millis(millis)),
            },
            "balance_algorithm" if value.is_empty() => {}
            "balance_algorithm" => announced.balance = Some(value.to_owned()),
            "ssl_only" => announced.tls_only = value.eq_ignore_ascii_case("true") || value == "1",
            // Written, but not asked for.
            _ if matches!(value, "false" | "") => {}
            _ => self.unknown.push(name.to_owned()),
        }
    }

    fn reading(mut self) -> Reading {
        if !self.any {
            return Reading::default();
        }
        let mut reading = Reading::default();
        if !self.unknown.is_empty() {
            let names = self.unknown.join(", ");
            reading.warnings.push(format!(
                "of its Interlock words nothing is done with: {names}"
            ));
        }
        // 0.3 went on with what it understood.
        reading.warnings.append(&mut self.wrong);
        let main = match (&*self.hostname, &*self.domain) {
            ("", domain) => domain.to_owned(),
            (hostname, "") => hostname.to_owned(),
            (hostname, domain) => format!("{hostname}.{domain}"),
        };
        let names = std::iter::once(main).chain(self.aliases);
        for name in names.filter(|name| !name.is_empty()) {
            match config::host_match(&name) {
                Ok(host) => self.announced.hosts.push(Host::Of(host)),
                Err(fault) => {
                    reading.warnings.push(format!(
                        "\"{}\": {}",
                        name.escape_debug(),
                        fault.message
                    ));
                }
            }
        }
        match self.announced.hosts.is_empty() {
            true => reading.refused = Some("names no host: set hostname and domain".to_owned()),
            false => reading.announced.push(self.announced),
        }
        reading
    }
}

/// `/ping`, or what stood behind `option` in haproxy.cfg: `httpchk GET /ping`.
fn check(text: &str) -> Option<AnnouncedCheck> {
    let words = text.strip_prefix("option ").unwrap_or(text);
    let mut words = words.split_whitespace();
    let path = match words.next()? {
        "httpchk" => match (words.next(), words.next()) {
            (None, _) => "/",
            (Some(path), None) => path,
            (Some(_), Some(path)) => path,
        },
        "tcp-check" => return Some(AnnouncedCheck::Tcp),
        path => path,
    };
    config::request_path(path)
        .is_ok()
        .then(|| AnnouncedCheck::Http(path.to_owned()))
}

const PREFIX: &str = "interlock.";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::docker::api::ContainerConfig;

    fn with_env(data: &str) -> Reading {
        let inspected = Inspected {
            config: ContainerConfig {
                env: vec!["PATH=/".into(), format!("INTERLOCK_DATA={data}")],
                ..ContainerConfig::default()
            },
        };
        read(&Listed::default(), Some(&inspected))
    }

    fn hosts(reading: &Reading) -> Vec<String> {
        let hosts = reading.announced.iter().flat_map(|one| &one.hosts);
        hosts.map(Host::to_string).collect()
    }

    #[test]
    fn the_story_of_interlock() {
        let reading = with_env(r#"{"hostname":"demo","domain":"interlock.com"}"#);
        assert_eq!(hosts(&reading), ["demo.interlock.com"]);
        assert!(reading.warnings.is_empty());
        assert_eq!(
            reading.announced[0].backend_name("web"),
            "demo_interlock_com"
        );
    }

    #[test]
    fn every_field_that_is_done() {
        let reading = with_env(
            r#"{"hostname":"demo","domain":"a.b","port":8080,"alias_domains":["c.d","*.e.f"],
                "check":"httpchk GET /ping","check_interval":2500,
                "balance_algorithm":"roundrobin","ssl_only":true}"#,
        );
        assert!(reading.warnings.is_empty(), "{:?}", reading.warnings);
        assert_eq!(hosts(&reading), ["demo.a.b", "c.d", "*.e.f"]);
        let one = &reading.announced[0];
        assert_eq!(one.port, Some(8080));
        assert_eq!(one.check, Some(AnnouncedCheck::Http("/ping".into())));
        assert_eq!(one.check_interval, Some(Duration::from_millis(2500)));
        assert_eq!(one.balance.as_deref(), Some("roundrobin"));
        assert!(one.tls_only);
    }

    #[test]
    fn all_else_is_named_in_one_warning() {
        let reading = with_env(
            r#"{"domain":"a.b","backend_options":["forwardfor"],"ssl_backend":true,
                "ssl_backend_tls_verify":"none","maxconn":5,"ssl_only":false}"#,
        );
        assert_eq!(
            reading.warnings,
            [
                "of its Interlock words nothing is done with: backend_options, maxconn, ssl_backend, ssl_backend_tls_verify"
            ]
        );
        assert_eq!(hosts(&reading), ["a.b"]);
    }

    #[test]
    fn the_labels_of_1_x() {
        let labels = [
            ("interlock.hostname", "demo"),
            ("interlock.domain", "a.b"),
            ("interlock.port", "8080"),
            ("interlock.network", "front"),
            ("interlock.alias_domain.0", "c.d"),
            ("interlock.health_check", "/ping"),
            ("interlock.health_check_interval", "1000"),
            ("interlock.backend_option.0", "forwardfor"),
            ("interlock.context_root", "/app"),
        ];
        let container = Listed {
            labels: labels.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
            ..Listed::default()
        };
        let reading = read(&container, None);
        assert_eq!(hosts(&reading), ["demo.a.b", "c.d"]);
        let one = &reading.announced[0];
        assert_eq!(one.check, Some(AnnouncedCheck::Http("/ping".into())));
        assert_eq!(
            (one.port, one.network.as_deref()),
            (Some(8080), Some("front"))
        );
        assert_eq!(
            reading.warnings,
            [
                "of its Interlock words nothing is done with: interlock.backend_option.0, context_root"
            ]
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert_eq!(read(&Listed::default(), None), Reading::default());
        let refused = |data| with_env(data).refused.unwrap();
        assert!(refused("[").contains("not a JSON object"));
        assert!(refused(r#"{"port":80}"#).contains("names no host"));
        let reading = with_env(r#"{"domain":"a.b","port":"x"}"#);
        assert_eq!(reading.warnings, ["port = \"x\": a number, 1 to 65535"]);
    }
}
