//! `explain METHOD URL [header...]`: what a request would meet, without sending one.

use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::config::{BindAddress, HeaderMatch, HostMatch, Mode, Route, RouteTo, TlsRoute};
use crate::control::admin::command::Explained;
use crate::generation::{Backend, Frontend, Generation, Pass, RequestFacts, status};
use crate::tls::ClientHello;

/// Frontends on the port of the URL (all, without one), the route that each
/// takes, and the share of each server of the backend it leads to. `addresses`
/// tells where binds to port 0 came to listen.
pub(super) fn explain(
    generation: &Generation,
    addresses: &[(Arc<str>, SocketAddr)],
    request: &Explained,
) -> String {
    let listens = |frontend: &Frontend| match request.port {
        None => true,
        Some(port) => {
            frontend
                .config
                .binds
                .iter()
                .any(|bind| port_of(&bind.address) == Some(port))
                || addresses
                    .iter()
                    .any(|(name, address)| *name == frontend.config.name && address.port() == port)
        }
    };
    let mut text = format!("{} {}", request.method, request.target);
    if !request.host.is_empty() {
        text += &format!(", host {}", request.host);
    }
    text.push('\n');
    let mut found = false;
    for frontend in generation.frontends.iter().filter(|f| listens(f)) {
        found = true;
        explain_frontend(&mut text, generation, frontend, request);
    }
    if !found {
        let port = request.port.unwrap_or_default();
        text += &format!("no frontend listens on port {port}\n");
    }
    text
}

fn port_of(address: &BindAddress) -> Option<u16> {
    match address {
        BindAddress::Ip(address) => Some(address.port()),
        BindAddress::Any(port) => Some(*port),
        _ => None,
    }
}

fn explain_frontend(
    text: &mut String,
    generation: &Generation,
    frontend: &Frontend,
    request: &Explained,
) {
    let binds: Vec<String> = frontend
        .config
        .binds
        .iter()
        .map(|bind| bind.address.to_string())
        .collect();
    *text += &format!("frontend {} ({})\n", frontend.config.name, binds.join(", "));
    let backend = match frontend.config.mode {
        Mode::Tcp if frontend.config.passed.is_empty() => {
            *text += "  tcp: every connection goes the same way\n";
            frontend.config.default_backend
        }
        Mode::Tcp => {
            let hello = ClientHello::naming(request.host.as_bytes());
            let place = frontend.passing_route(&hello);
            *text += &match place {
                Some(index) => {
                    let route = &frontend.config.passed[index];
                    format!(
                        "  tcp, passed through: route {}: {}\n",
                        index + 1,
                        names(route)
                    )
                }
                None => "  tcp, passed through: no route for this name without ALPN\n".to_owned(),
            };
            match frontend.pass(Some(&hello)) {
                Pass::Backend(index) => Some(index),
                Pass::Denied => {
                    *text += "  refused: closed\n";
                    return;
                }
                Pass::Nowhere => None,
            }
        }
        Mode::Http => {
            let has_field = |wanted: &HeaderMatch| {
                request.headers.iter().any(|(name, value)| {
                    *name == wanted.name && wanted.value.as_ref().is_none_or(|v| v == value)
                })
            };
            let facts = RequestFacts {
                method: &request.method,
                host: request.host.as_bytes(),
                target: request.target.as_bytes(),
                has_field,
            };
            match frontend.matching_route(&facts) {
                Some(index) => {
                    let route = &frontend.config.routes[index];
                    *text += &format!("  route {}: {}\n", index + 1, conditions(route));
                    if let RouteTo::Deny(status) = route.to {
                        *text += &format!("  refused: answered with {status}\n");
                        return;
                    }
                    route.to.backend()
                }
                None => {
                    if !frontend.config.routes.is_empty() {
                        *text += "  no route matches\n";
                    }
                    frontend.config.default_backend
                }
            }
        }
    };
    match backend.and_then(|index| generation.backends.get(index)) {
        Some(backend) => explain_backend(text, backend),
        None => *text += "  no default_backend: answered with 503\n",
    }
}

fn names(route: &TlsRoute) -> String {
    let sni = route
        .sni
        .iter()
        .map(|host| format!("sni {}", pattern(host)));
    let alpn = match route.alpn.is_empty() {
        true => None,
        false => Some(format!("alpn {}", route.alpn.join(" or "))),
    };
    sni.chain(alpn).collect::<Vec<_>>().join(", ")
}

fn pattern(host: &HostMatch) -> String {
    match host {
        HostMatch::Exact(host) => host.clone(),
        HostMatch::Suffix(suffix) => format!("*{suffix}"),
    }
}

fn conditions(route: &Route) -> String {
    let host = route.host.iter();
    let mut words: Vec<_> = host.map(|host| format!("host {}", pattern(host))).collect();
    words.extend(
        route
            .path_prefix
            .iter()
            .map(|path| format!("path_prefix {path}")),
    );
    if !route.methods.is_empty() {
        words.push(format!("method {}", route.methods.join(" or ")));
    }
    for header in &route.headers {
        words.push(match &header.value {
            Some(value) => format!("header {}: {value}", header.name),
            None => format!("header {}", header.name),
        });
    }
    if words.is_empty() {
        return "any request".to_owned();
    }
    words.join(", ")
}

fn explain_backend(text: &mut String, backend: &Backend) {
    let parts = backend.parts();
    let takes =
        |index: usize| backend.is_weighted(index) && backend.servers[index].state.is_usable();
    let nobody = parts.iter().all(|part| *part == 0.0);
    // Only the first usable backup serves, and only without active servers.
    let backup = (0..backend.servers.len())
        .find(|index| nobody && backend.servers[*index].backup && takes(*index));
    let usable = (0..backend.servers.len())
        .filter(|index| takes(*index))
        .count();
    let all = backend.servers.len();
    *text += &format!(
        "  backend {}: {usable} of {all} servers usable\n",
        backend.name
    );
    for (index, server) in backend.servers.iter().enumerate() {
        let share = if parts[index] > 0.0 {
            format!("{:.1}%", parts[index] * 100.0)
        } else if backup == Some(index) {
            "100.0%".to_owned()
        } else {
            "-".to_owned()
        };
        let kind = if server.backup { ", backup" } else { "" };
        let group = match &server.group {
            Some(group) => format!(" group {group}"),
            None => String::new(),
        };
        let places = match server.maxconn {
            0 => String::new(),
            limit => format!(", {} of {limit} places taken", server.state.slots.taken()),
        };
        let cookie = match backend.cookies() {
            Some(cookies) => format!(" cookie {}={}", cookies.name, cookies.value(index)),
            None => String::new(),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "    {} {}{group} weight {} {share} {}{kind}{places}{cookie}",
            server.name,
            server.address,
            server.weight,
            status(server),
        );
    }
    match backend.state.queue.len() {
        0 => {}
        waiting => *text += &format!("  {waiting} wait for a place; this one behind them\n"),
    }
    if nobody && backup.is_none() {
        *text += "  no usable server: answered with 503\n";
    }
}
