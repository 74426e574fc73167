//! `[global]`.

use std::net::IpAddr;

use crate::config::address;
use crate::config::diagnostics::{Diagnostic, Problems};
use crate::config::grammar;
use crate::config::tree::{Node, Reader};
use crate::config::{AdminAddress, AdminLevel, AdminSocket, Global};

pub(super) fn global(reader: &Reader<'_>, problems: &Problems) -> Global {
    let default = Global::default();
    Global {
        workers: reader.number("workers"),
        pin: reader.flag("pin").unwrap_or(default.pin),
        maxconn: reader.number("maxconn"),
        admin: admin(reader, problems),
        state_dir: reader.some_text("state_dir").map(Into::into),
        drain_timeout: reader
            .duration("drain_timeout")
            .unwrap_or(default.drain_timeout),
        drain_delay: reader
            .duration("drain_delay")
            .unwrap_or(default.drain_delay),
        ready_timeout: reader
            .duration("ready_timeout")
            .unwrap_or(default.ready_timeout),
        close_idle_after: reader
            .duration("close_idle_after")
            .unwrap_or(default.close_idle_after),
        worker_stall: reader
            .duration("worker_stall")
            .unwrap_or(default.worker_stall),
        pipes_max: reader.number("pipes_max").unwrap_or(default.pipes_max),
        accept_budget: reader
            .number("accept_budget")
            .unwrap_or(default.accept_budget),
        user: reader.some_text("user"),
        group: reader.some_text("group"),
        tls_handshakes_max: reader
            .number("tls_handshakes_max")
            .unwrap_or(default.tls_handshakes_max),
    }
}

fn admin(reader: &Reader<'_>, problems: &Problems) -> Vec<AdminSocket> {
    if reader.node("admin").is_none() {
        return vec![AdminSocket::default()];
    }
    let mut sockets: Vec<AdminSocket> = Vec::new();
    for node in reader.list("admin") {
        let Some(socket) = admin_socket(node, problems) else {
            continue;
        };
        if sockets.iter().any(|other| other.address == socket.address) {
            let diagnostic = Diagnostic::error("an admin socket is given twice");
            problems.at(node.place, "again", diagnostic);
        }
        sockets.push(socket);
    }
    sockets
}

fn admin_socket(node: &Node, problems: &Problems) -> Option<AdminSocket> {
    let reader = Reader::of(node);
    let default = AdminSocket::default();
    let address = match (reader.own("path"), reader.own("bind")) {
        (Some(_), None) => AdminAddress::Unix(reader.parsed("path", address::admin_path)??),
        (None, Some(bind)) => {
            let address = reader.parsed("bind", address::admin_tcp)?;
            let is_loopback = match address.ip().to_canonical() {
                IpAddr::V4(ip) => ip.is_loopback(),
                IpAddr::V6(ip) => ip.is_loopback(),
            };
            if !is_loopback && reader.flag("insecure") != Some(true) {
                problems.at(
                    bind.node.place,
                    "not a loopback address",
                    Diagnostic::error("an admin socket has no password: others could reach this one")
                        .help("write \"127.0.0.1:9999\" or a path, or add insecure = true if a firewall guards it"),
                );
            }
            AdminAddress::Tcp(address)
        }
        (path, bind) => {
            if node.as_table().is_some() {
                let what = if path.is_some() && bind.is_some() {
                    "not both"
                } else {
                    "neither is given"
                };
                let diagnostic = Diagnostic::error("an admin socket has a `path` or a `bind`");
                problems.missing(node.place, what, diagnostic);
            }
            return None;
        }
    };
    if matches!(address, AdminAddress::Tcp(_)) {
        for key in ["mode", "user", "group"] {
            if let Some(entry) = reader.own(key) {
                let diagnostic = Diagnostic::error(format!("`{key}` is for a Unix socket"));
                problems.at(entry.key_place, "a TCP address has none", diagnostic);
            }
        }
    }
    Some(AdminSocket {
        address,
        mode: reader
            .parsed("mode", grammar::octal_mode)
            .unwrap_or(default.mode),
        user: reader.some_text("user"),
        group: reader.some_text("group"),
        level: match reader.text("level") {
            Some("user") => AdminLevel::User,
            Some("operator") => AdminLevel::Operator,
            _ => default.level,
        },
    })
}
