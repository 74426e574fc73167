//! `proxy_protocol` of binds, backends, servers and checks.

use crate::config::address;
use crate::config::diagnostics::{Diagnostic, Problems};
use crate::config::tree::{Node, Reader, Value};
use crate::config::{AcceptProxy, BindAddress, ProxyChoice, ProxyVersion};

/// Of a bind: who announces clients there.
pub(super) fn accepted(
    bind: &Reader<'_>,
    address: &BindAddress,
    problems: &Problems,
) -> AcceptProxy {
    let Some(Value::Table(_)) = bind.node("proxy_protocol").map(|node| &node.value) else {
        return AcceptProxy::Off;
    };
    let table = bind.table("proxy_protocol");
    let Some(entry) = table.own("trusted") else {
        return AcceptProxy::Always;
    };
    let texts = table.list("trusted").iter().filter_map(Node::as_str);
    let networks: Vec<_> = texts
        .filter_map(|text| address::network(text).ok())
        .collect();
    match address {
        _ if matches!(&entry.node.value, Value::Array(items) if items.is_empty()) => problems.at(
            entry.node.place,
            "none is given",
            Diagnostic::error("`trusted` names the networks whose peers send a PROXY header")
                .help("write proxy_protocol = true if everybody does, or leave it out"),
        ),
        BindAddress::Unix(_) | BindAddress::Abstract(_) => problems.at(
            entry.key_place,
            "nobody here has an address",
            Diagnostic::error("the peers of a Unix socket lie in no network")
                .help("write proxy_protocol = true: its permissions say who may connect"),
        ),
        _ => {}
    }
    AcceptProxy::From(networks)
}

/// Of a backend.
pub(super) fn of_backend(reader: &Reader<'_>) -> Option<ProxyVersion> {
    sent(reader).of(None)
}

/// Of a server or a check.
pub(super) fn sent(reader: &Reader<'_>) -> ProxyChoice {
    match reader.text("proxy_protocol") {
        Some("off") => ProxyChoice::Off,
        Some("v1") => ProxyChoice::Own(ProxyVersion::V1),
        Some("v2") => ProxyChoice::Own(ProxyVersion::V2),
        _ => ProxyChoice::Inherit,
    }
}
