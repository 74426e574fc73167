//! `server`: in a backend or in a server file.

use std::collections::HashMap;

use super::{cookie, proxy_protocol, tls};
use crate::config::address;
use crate::config::diagnostics::{Diagnostic, Place, Problems};
use crate::config::grammar;
use crate::config::tree::{Node, Reader};
use crate::config::{Server, ServerAddress};

/// The servers of a server file: as [`servers`], but names are not looked up.
pub(crate) fn servers_of_file(nodes: &[Node], problems: &Problems) -> Vec<Server> {
    let servers = servers(nodes, problems);
    for node in nodes {
        let reader = Reader::of(node);
        if let Some(ServerAddress::Name(..)) = reader.parsed("address", address::server) {
            let place = reader.node("address").map_or(node.place, |node| node.place);
            let diagnostic = Diagnostic::error("a server file has addresses, no names")
                .help("a name stands in the configuration: source = { dns = \"...\" }");
            problems.at(place, "", diagnostic);
        }
    }
    servers
}

/// The servers of one backend; a name may stand once.
pub(crate) fn servers(nodes: &[Node], problems: &Problems) -> Vec<Server> {
    let mut seen: HashMap<String, Place> = HashMap::new();
    let mut servers = Vec::with_capacity(nodes.len());
    for node in nodes {
        let Some(server) = server(node, problems) else {
            continue;
        };
        let reader = Reader::of(node);
        let place = reader
            .node("name")
            .or_else(|| reader.node("address"))
            .map_or(node.place, |node| node.place);
        if let Some(first) = seen.insert(server.name.to_string(), place) {
            let diagnostic = Diagnostic::error(format!("two servers are called `{}`", server.name));
            let diagnostic = match reader.own("name") {
                Some(_) => diagnostic,
                None => diagnostic.help("without a `name` a server is called by its address"),
            };
            problems.at_all(
                &[
                    (place, "again".to_owned()),
                    (first, "first given here".to_owned()),
                ],
                diagnostic,
            );
        }
        servers.push(server);
    }
    cookie::unique_values(nodes, problems);
    servers
}

fn server(node: &Node, problems: &Problems) -> Option<Server> {
    let reader = Reader::of(node);
    let address = reader.parsed("address", address::server)?;
    let name = match reader.text("name") {
        Some(name) => name.to_owned(),
        None => address::server_name(&address),
    };
    let default = Server::new(name, address);
    let server = Server {
        weight: reader.number("weight").unwrap_or(default.weight),
        backup: reader.flag("backup").unwrap_or(default.backup),
        group: reader.text("group").map(Into::into),
        disabled: reader.flag("disabled").unwrap_or(default.disabled),
        check: reader.flag("check"),
        check_port: reader.number("check_port"),
        check_address: reader.parsed("check_address", grammar::ip),
        maxconn: reader.number("maxconn"),
        tls: tls::choice(&reader, problems),
        proxy_protocol: proxy_protocol::sent(&reader),
        cookie: reader.text("cookie").map(Into::into),
        ..default
    };
    // The other half cannot be taken from a Unix socket's address.
    let is_unix = matches!(
        server.address,
        ServerAddress::Unix(_) | ServerAddress::Abstract(_)
    );
    if is_unix && server.check_port.is_some() != server.check_address.is_some() {
        problems.at(
            node.place,
            "checked over a Unix socket, or at check_address and check_port",
            Diagnostic::error("half an address for the checks of a Unix socket"),
        );
    }
    Some(server)
}
