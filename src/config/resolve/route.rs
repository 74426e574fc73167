//! `[[frontend.route]]`: of requests in http mode, of ClientHellos in tcp mode.

use super::BackendNames;
use super::frontend::Context;
use crate::config::diagnostics::{Diagnostic, Problems};
use crate::config::grammar;
use crate::config::tree::{Node, Reader};
use crate::config::{HeaderMatch, Mode, Route, TlsRoute};

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
        backend: backends.find(reader.node("backend")?, Mode::Http, problems)?,
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
        backend: backends.find(reader.node("backend")?, Mode::Tcp, problems)?,
    };
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
