//! `bind`: listening addresses, and those that would collide.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::{http2, proxy_protocol};
use crate::config::address;
use crate::config::diagnostics::{Diagnostic, Place, Problems};
use crate::config::grammar;
use crate::config::tree::{Node, Reader};
use crate::config::{Bind, BindAddress, Mode};

/// What is listened on so far, in the whole file.
#[derive(Debug, Default)]
pub(super) struct Listening {
    taken: HashMap<(Slot, Option<String>), Place>,
}

/// What a second listener cannot have; `:80` takes two of them.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Slot {
    Ip(SocketAddr),
    Unix(PathBuf),
    Abstract(String),
    Fd(i32),
}

impl Listening {
    fn add(&mut self, bind: &Bind, place: Place, problems: &Problems) {
        for slot in slots(&bind.address) {
            let key = (slot, bind.interface.clone());
            if let Some(first) = self.taken.get(&key) {
                problems.at_all(
                    &[
                        (place, "again".to_owned()),
                        (*first, "first listened on here".to_owned()),
                    ],
                    Diagnostic::error("two binds listen on the same address"),
                );
                return;
            }
            self.taken.insert(key, place);
        }
    }
}

fn slots(address: &BindAddress) -> Vec<Slot> {
    match address {
        // Each gets a port of its own.
        BindAddress::Any(0) => Vec::new(),
        BindAddress::Ip(address) if address.port() == 0 => Vec::new(),
        BindAddress::Any(port) => vec![
            Slot::Ip(SocketAddr::from(([0; 4], *port))),
            Slot::Ip(SocketAddr::from(([0_u16; 8], *port))),
        ],
        BindAddress::Ip(address) => vec![Slot::Ip(*address)],
        BindAddress::Unix(path) => vec![Slot::Unix(path.clone())],
        BindAddress::Abstract(name) => vec![Slot::Abstract(name.clone())],
        BindAddress::Fd(number) => vec![Slot::Fd(*number)],
    }
}

pub(super) fn bind(
    node: &Node,
    mode: Mode,
    listening: &mut Listening,
    problems: &Problems,
) -> Option<Bind> {
    let reader = Reader::of(node);
    let default = Bind::default();
    let address = reader.parsed("address", address::bind)?;
    let bind = Bind {
        proxy_protocol: proxy_protocol::accepted(&reader, &address, problems),
        address,
        backlog: reader.number("backlog").unwrap_or(default.backlog),
        nodelay: reader.flag("nodelay").unwrap_or(default.nodelay),
        keepalive: reader.duration("keepalive"),
        defer_accept: reader.duration("defer_accept"),
        interface: reader.some_text("interface"),
        socket_mode: reader.parsed("mode", grammar::octal_mode),
        user: reader.some_text("user"),
        group: reader.some_text("group"),
        tls: reader.flag("tls").unwrap_or(default.tls),
        protocol: http2::bind_protocol(&reader),
    };
    refuse_misplaced(&reader, &bind.address, problems);
    http2::refuse_beside_tls(&reader, problems);
    if let (Mode::Tcp, Some(entry), Some(_)) = (mode, reader.own("defer_accept"), bind.defer_accept)
    {
        problems.at(
            entry.key_place,
            "in tcp mode the server may be the one to speak first",
            Diagnostic::error("`defer_accept` would delay or lose such connections"),
        );
    }
    let place = reader
        .node("address")
        .map_or(node.place, |address| address.place);
    listening.add(&bind, place, problems);
    Some(bind)
}

/// Options of a kind of socket this one is not of.
fn refuse_misplaced(reader: &Reader<'_>, address: &BindAddress, problems: &Problems) {
    let tcp = ["nodelay", "keepalive", "defer_accept", "interface"].as_slice();
    let owner = ["mode", "user", "group"].as_slice();
    let (keys, why) = match address {
        BindAddress::Ip(_) | BindAddress::Any(_) => {
            (owner, "only the path of a Unix socket has one")
        }
        BindAddress::Unix(_) => (tcp, "a Unix socket has none"),
        BindAddress::Abstract(_) => (
            [
                "nodelay",
                "keepalive",
                "defer_accept",
                "interface",
                "mode",
                "user",
                "group",
            ]
            .as_slice(),
            "an abstract socket has none",
        ),
        BindAddress::Fd(_) => (
            ["backlog", "interface", "mode", "user", "group"].as_slice(),
            "set by whoever opened the socket",
        ),
    };
    for key in keys {
        if let Some(entry) = reader.own(key) {
            let diagnostic = Diagnostic::error(format!("`{key}` does not apply to this address"));
            problems.at(entry.key_place, why, diagnostic);
        }
    }
}
