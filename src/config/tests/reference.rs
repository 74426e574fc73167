//! `config/reference.toml` and the examples beside it, held to the code.

use std::collections::HashMap;

use super::*;
use crate::config::keys::{ROOT, Section, Takes};

const REFERENCE: &str = include_str!("../../../config/reference.toml");

fn load_clean(text: &str) -> Config {
    let loaded = Config::parse_with("reference.toml", text, &|_| None);
    let loaded = loaded.unwrap_or_else(|errors| panic!("{errors}"));
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings[0]);
    loaded.config
}

/// The reference with its commented keys in force.
fn uncommented() -> String {
    let is_setting = |line: &str| line.starts_with(|c: char| c == '[' || c.is_ascii_alphabetic());
    REFERENCE
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if is_setting(rest) => rest,
            _ => line,
        })
        .fold(String::new(), |text, line| text + line + "\n")
}

#[test]
fn what_the_reference_shows_is_the_default() {
    let ip = |text: &str| ServerAddress::Ip(text.parse().unwrap());
    let unix = Bind {
        address: BindAddress::Unix("/run/rlb/web.sock".into()),
        ..Bind::default()
    };
    let route = Route {
        host: Some(HostMatch::Exact("demo.example.com".to_owned())),
        path_prefix: Some("/api".to_owned()),
        methods: vec!["GET".to_owned(), "HEAD".to_owned()],
        headers: vec![HeaderMatch {
            name: "x-canary".to_owned(),
            value: Some("always".to_owned()),
        }],
        to: RouteTo::Backend(0),
    };
    let denied = Route {
        host: None,
        path_prefix: Some("/.git".to_owned()),
        methods: Vec::new(),
        headers: Vec::new(),
        to: RouteTo::Deny(404),
    };
    let database = BindAddress::Ip("127.0.0.1:5432".parse().unwrap());
    let servers = ["10.0.0.21:5432", "10.0.0.22:5432"];
    let expected = Config {
        global: Global {
            admin: vec![AdminSocket::default()],
            ..Global::default()
        },
        frontends: vec![
            Frontend {
                binds: vec![Bind::default(), unix],
                routes: vec![route, denied],
                monitor: Some(Monitor {
                    path: "/health".to_owned(),
                    fail_below: vec![(0, 1)],
                }),
                default_backend: Some(0),
                ..Frontend::new("web", Mode::Http)
            },
            Frontend {
                binds: vec![Bind {
                    address: database,
                    ..Bind::default()
                }],
                default_backend: Some(1),
                ..Frontend::new("db", Mode::Tcp)
            },
        ],
        backends: vec![
            Backend {
                servers: vec![Server::new("10.0.0.11:80", ip("10.0.0.11:80"))],
                sources: vec![
                    Source::File("nodes.toml".into()),
                    Source::Consul(ConsulSource {
                        service: "web".to_owned(),
                        tags: vec!["php".to_owned()],
                    }),
                    Source::Docker(DockerSource {
                        service: "web".to_owned(),
                        project: Some("demo".to_owned()),
                        port: Some(80),
                        network: Some("front".to_owned()),
                        tags: Vec::new(),
                    }),
                ],
                check: Some(Check {
                    probe: Probe::http(),
                    ..Check::default()
                }),
                ..Backend::new("nodes", Mode::Http)
            },
            Backend {
                servers: servers.map(|text| Server::new(text, ip(text))).to_vec(),
                ..Backend::new("db", Mode::Tcp)
            },
        ],
        stats: Some(StatsServer {
            binds: vec![StatsBind {
                address: BindAddress::Ip("127.0.0.1:9000".parse().unwrap()),
                tls: false,
            }],
            ..StatsServer::default()
        }),
        logs: vec![Log::to(LogTarget::Stdout)],
        register: vec![Register {
            service: "lb-goat".to_owned(),
            address: "10.0.0.20:8202".parse().unwrap(),
            frontend: "web".to_owned(),
            tags: Vec::new(),
            ttl: Duration::from_secs(10),
            deregister_after: Duration::from_secs(60),
        }],
        discovery: Discovery {
            docker: Docker {
                is_written: true,
                ..Docker::default()
            },
            ..Discovery::default()
        },
        ..Config::default()
    };
    assert_eq!(load_clean(REFERENCE), expected);
}

#[test]
fn its_commented_keys_are_valid_too() {
    let config = load_clean(&uncommented());
    assert_eq!(config.global.admin.len(), 2);
    assert_eq!(config.backends[0].servers[0].check_port, Some(8081));
    assert_eq!(
        config.frontends[0].stats.as_ref().unwrap().path,
        "/haproxy?stats"
    );
}

/// Comments by path: frontends, backends and their defaults are `*`.
fn comments() -> HashMap<String, String> {
    let mut comments: HashMap<String, String> = HashMap::new();
    let mut section = String::new();
    let mut comment = String::new();
    for line in uncommented().lines() {
        let path = if let Some(text) = line.strip_prefix('#') {
            comment.push_str(text);
            continue;
        } else if line.starts_with('[') {
            let header = line.split('#').next().unwrap().trim();
            section = starred(header.trim_matches(['[', ']']));
            section.clone()
        } else if let Some((key, _)) = line.split_once(" = ") {
            format!("{section}.{key}")
        } else {
            comment.clear();
            continue;
        };
        // Further down a key may stand again without its words.
        let comment = std::mem::take(&mut comment);
        let known = comments.entry(path).or_default();
        known.push_str(&comment);
    }
    comments
}

fn starred(path: &str) -> String {
    let (first, rest) = path.split_once('.').unwrap_or((path, ""));
    let first = match first {
        "defaults" | "frontend" | "backend" | "listen" => "*",
        other => other,
    };
    format!("{first}.{rest}").trim_end_matches('.').to_owned()
}

fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn every_key_stands_in_the_reference_with_what_it_takes() {
    fn look(
        section: &'static Section,
        path: &str,
        comments: &HashMap<String, String>,
        wrong: &mut Vec<String>,
    ) {
        for key in section.keys() {
            if matches!(key.takes, Takes::Later(_)) {
                continue;
            }
            let path = starred(&format!("{path}.{}", key.name));
            match comments.get(&path) {
                None => wrong.push(format!("{path} is missing")),
                Some(_) if key.takes.section().is_some() => {}
                Some(comment) if words(comment).contains(&words(&key.takes.describe())) => {}
                Some(_) => wrong.push(format!("{path} does not say: {}", key.takes.describe())),
            }
            if let Some(below) = key.takes.section() {
                look(below, &path, comments, wrong);
            }
        }
    }
    let comments = comments();
    let mut wrong = Vec::new();
    for key in ROOT.keys() {
        if let Some(below) = key.takes.section() {
            assert!(comments.contains_key(&starred(key.name)), "{}", key.name);
            look(below, key.name, &comments, &mut wrong);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn planned_keys_are_listed_as_planned() {
    fn look(section: &'static Section, listed: &str) {
        for key in section.keys() {
            if matches!(key.takes, Takes::Later(_)) && section.title != "a source" {
                assert!(
                    listed.contains(key.name),
                    "{} of {}",
                    key.name,
                    section.title
                );
            }
            if let Some(below) = key.takes.section() {
                look(below, listed);
            }
        }
    }
    let (_, after) = REFERENCE.split_once("Unknown keys are errors.").unwrap();
    look(&ROOT, after.split_once("\n\n").unwrap().0);
}

#[test]
fn the_examples_load_without_a_warning() {
    let minimal = load_clean(include_str!("../../../config/minimal.toml"));
    assert_eq!(minimal.backends[0].servers.len(), 2);
    let http = load_clean(include_str!("../../../config/http.toml"));
    assert_eq!(http.frontends[0].routes.len(), 2);
    let tls = load_clean(include_str!("../../../config/tls.toml"));
    assert!(tls.frontends.iter().all(|frontend| frontend.tls.is_some()));
    assert!(tls.backends[0].tls.is_some());
    let tcp = load_clean(include_str!("../../../config/tcp.toml"));
    assert!(tcp.backends.iter().all(|backend| backend.check.is_some()));
}

#[test]
fn planned_keys_are_not_offered() {
    let said = refusal("qwertzuiop = 1\n").render(false);
    let (_, keys) = said.split_once("the keys are ").unwrap();
    let offered: Vec<_> = keys.lines().next().unwrap().split(", ").collect();
    for key in ROOT.keys() {
        let is_planned = matches!(key.takes, Takes::Later(_));
        assert_eq!(
            offered.contains(&key.name),
            !is_planned,
            "{}: {said}",
            key.name
        );
    }
}
