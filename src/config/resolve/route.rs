//! `[[frontend.route]]`: of requests in http mode, of ClientHellos in tcp mode.

use super::BackendNames;
use super::frontend::Context;
use crate::config::diagnostics::{Diagnostic, Problems};
use crate::config::grammar;
use crate::config::tree::{Node, Reader};
use crate::config::{HeaderMatch, Mode, Route, RouteTo, TlsRoute};

pub(super) fn route(
    node: &Node,
    backends: &BackendNames<'_>,
    problems: &Problems,
) -> Option<Route> {
    let reader = Reader::of(node);
    refuse_others(
        &reader,
        &OF_TLS,
        "of tcp mode: http mode routes by host",
        problems,
    );
    let methods = reader.list("method").iter().filter_map(Node::as_str);
    let route = Route {
        host: reader.parsed("host", grammar::host_match),
        path_prefix: reader.text("path_prefix").map(str::to_owned),
        methods: methods.map(str::to_owned).collect(),
        headers: reader.list("header").iter().filter_map(header).collect(),
        to: match denied(&reader, problems) {
            Some(status) => RouteTo::Deny(status),
            None => RouteTo::Backend(backend(&reader, Mode::Http, backends, problems)?),
        },
    };
    if has_no_condition(&reader) {
        problems.missing(
            reader.place(),
            "",
            Diagnostic::error("a route without a condition takes every request")
                .help("write default_backend in the frontend; conditions are host, path_prefix, method and header"),
        );
    }
    Some(route)
}

/// The status that requests are refused with; `None` = they are not.
fn denied(reader: &Reader<'_>, problems: &Problems) -> Option<u16> {
    let entry = reader.own("deny")?;
    let status = match reader.number("deny") {
        Some(status) => status,
        None => reader.flag("deny")?.then_some(403)?,
    };
    if !RouteTo::STATUSES.contains(&status) {
        let known: Vec<_> = RouteTo::STATUSES.iter().map(u16::to_string).collect();
        problems.at(
            entry.node.place,
            format!("takes true, or one of {}", known.join(", ")),
            Diagnostic::error(format!("a request cannot be refused with {status}")),
        );
    }
    if let Some(backend) = reader.own("backend") {
        problems.at_all(
            &[
                (entry.key_place, "refuses".to_owned()),
                (backend.key_place, "leads to servers".to_owned()),
            ],
            Diagnostic::error("a route has a `backend`, or it denies")
                .help("leave out one of them"),
        );
    }
    Some(status)
}

/// Where a route leads that refuses nothing.
fn backend(
    reader: &Reader<'_>,
    mode: Mode,
    backends: &BackendNames<'_>,
    problems: &Problems,
) -> Option<usize> {
    let Some(node) = reader.node("backend") else {
        let denies_not = reader.own("deny").is_none() || reader.flag("deny") == Some(false);
        if denies_not && reader.own("backend").is_none() {
            problems.missing(
                reader.place(),
                "",
                Diagnostic::error("[[frontend.route]] needs `backend`").help(
                    "it takes the name of a backend; a route that refuses has `deny` instead",
                ),
            );
        }
        return None;
    };
    backends.find(node, mode, problems)
}

/// The routes of a frontend in tcp mode.
pub(super) fn passed(frontend: &Reader<'_>, context: &Context<'_>) -> Vec<TlsRoute> {
    let terminates = |bind: &&Node| Reader::of(bind).flag("tls") == Some(true);
    if let (Some(_), Some(bind)) = (
        frontend.own("route"),
        frontend.list("bind").iter().find(terminates),
    ) {
        context.problems.at(
            bind.place,
            "TLS ends here",
            Diagnostic::error("routes of tcp mode look at TLS that is passed through")
                .help("leave out `tls`, or write a frontend of its own for this bind"),
        );
    }
    let routes = frontend.list("route").iter();
    routes
        .filter_map(|node| one_passed(node, context.backends, context.problems))
        .collect()
}

fn one_passed(node: &Node, backends: &BackendNames<'_>, problems: &Problems) -> Option<TlsRoute> {
    let reader = Reader::of(node);
    let said = "of requests, and tcp mode has none: it routes by sni and alpn";
    refuse_others(&reader, &OF_REQUESTS, said, problems);
    let protocols = reader.list("alpn").iter().filter_map(Node::as_str);
    let route = TlsRoute {
        sni: reader.parsed("sni", grammar::sni_match),
        alpn: protocols.map(str::to_owned).collect(),
        backend: match denied(&reader, problems) {
            Some(_) => None,
            None => Some(backend(&reader, Mode::Tcp, backends, problems)?),
        },
    };
    if let (Some(_), Some(entry)) = (reader.number::<u16>("deny"), reader.own("deny")) {
        let diagnostic = Diagnostic::error("tcp mode has no answer to put a status in");
        problems.at(entry.node.place, "write true: it is closed", diagnostic);
    }
    if has_no_condition(&reader) {
        problems.missing(
            reader.place(),
            "",
            Diagnostic::error("a route without a condition takes every connection")
                .help("write default_backend in the frontend; conditions are sni and alpn"),
        );
    }
    Some(route)
}

fn has_no_condition(reader: &Reader<'_>) -> bool {
    let mut keys = OF_REQUESTS.iter().chain(&OF_TLS);
    keys.all(|key| reader.own(key).is_none())
}

/// Conditions on what the frontend's mode does not look at.
fn refuse_others(reader: &Reader<'_>, keys: &[&str], said: &str, problems: &Problems) {
    for entry in keys.iter().filter_map(|key| reader.own(key)) {
        let diagnostic = Diagnostic::error(format!("`{}` is a condition {said}", entry.key));
        problems.at(entry.key_place, "", diagnostic);
    }
}

const OF_REQUESTS: [&str; 4] = ["host", "path_prefix", "method", "header"];
const OF_TLS: [&str; 2] = ["sni", "alpn"];

fn header(node: &Node) -> Option<HeaderMatch> {
    let reader = Reader::of(node);
    Some(HeaderMatch {
        name: reader.text("name")?.to_ascii_lowercase(),
        value: reader.text("value").map(str::to_owned),
    })
}
