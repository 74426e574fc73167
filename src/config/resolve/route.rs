//! `[[frontend.route]]`.

use super::BackendNames;
use crate::config::diagnostics::{Diagnostic, Problems};
use crate::config::grammar;
use crate::config::tree::{Node, Reader};
use crate::config::{HeaderMatch, Mode, Route};

pub(super) fn route(
    node: &Node,
    backends: &BackendNames<'_>,
    problems: &Problems,
) -> Option<Route> {
    let reader = Reader::of(node);
    let methods = reader.list("method").iter().filter_map(Node::as_str);
    let route = Route {
        host: reader.parsed("host", grammar::host_match),
        path_prefix: reader.text("path_prefix").map(str::to_owned),
        methods: methods.map(str::to_owned).collect(),
        headers: reader.list("header").iter().filter_map(header).collect(),
        backend: backends.find(reader.node("backend")?, Mode::Http, problems)?,
    };
    let conditions = ["host", "path_prefix", "method", "header"];
    if conditions.iter().all(|key| reader.own(key).is_none()) {
        problems.missing(
            reader.place(),
            "",
            Diagnostic::error("a route without a condition takes every request")
                .help("write default_backend in the frontend; conditions are host, path_prefix, method and header"),
        );
    }
    Some(route)
}

fn header(node: &Node) -> Option<HeaderMatch> {
    let reader = Reader::of(node);
    Some(HeaderMatch {
        name: reader.text("name")?.to_ascii_lowercase(),
        value: reader.text("value").map(str::to_owned),
    })
}
