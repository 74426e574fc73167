//! `[discovery]`, and the sources of a backend.

use std::path::{Path, PathBuf};

use crate::config::address;
use crate::config::diagnostics::{Diagnostic, Place, Problems};
use crate::config::tree::{Node, Reader};
use crate::config::{
    Backoff, Consul, ConsulSource, Discovery, Dns, DnsRecord, DnsSource, DnsTransport, Expose,
    Source, Ttl,
};

pub(super) fn discovery(reader: &Reader<'_>, problems: &Problems) -> Discovery {
    let default = Discovery::default();
    let wait = |key, default| reader.duration(key).unwrap_or(default);
    Discovery {
        coalesce: wait("coalesce", default.coalesce),
        max_delay: wait("max_delay", default.max_delay),
        empty_hold: wait("empty_hold", default.empty_hold),
        stale_warn: wait("stale_warn", default.stale_warn),
        backoff: backoff(&reader.table("backoff"), problems),
        consul: consul(&reader.table("consul")),
        dns: dns(&reader.table("dns"), problems),
    }
}

fn dns(reader: &Reader<'_>, problems: &Problems) -> Dns {
    let default = Dns::default();
    let servers = reader.list("servers").iter();
    let bounds = reader.table("ttl");
    let ttl = Ttl {
        min: bounds.duration("min").unwrap_or(default.ttl.min),
        max: bounds.duration("max").unwrap_or(default.ttl.max),
    };
    if ttl.max < ttl.min {
        let diagnostic = Diagnostic::error("the longest time to live is below the shortest");
        problems.missing(bounds.place(), "max is less than min", diagnostic);
    }
    Dns {
        servers: servers
            .filter_map(|node| address::dns_server(node.as_str()?).ok())
            .collect(),
        transport: match reader.text("transport") {
            Some("tcp") => DnsTransport::Tcp,
            _ => DnsTransport::Udp,
        },
        ttl,
        hold_nx: reader.duration("hold_nx").unwrap_or(default.hold_nx),
    }
}

/// A name in DNS; of a service (`_http._tcp.web.internal`) the SRV records, else
/// the IPv4 addresses, unless it says otherwise.
fn dns_source(reader: &Reader<'_>, node: &Node, problems: &Problems) -> Option<Source> {
    let name = reader.text("dns")?;
    let default = if name.starts_with('_') { "srv" } else { "a" };
    let kind = reader.text("type").unwrap_or(default);
    let port = reader.number("port");
    let record = match (kind, port) {
        ("srv", None) => DnsRecord::Srv,
        ("srv", Some(_)) => {
            let entry = reader.own("port")?;
            let diagnostic = Diagnostic::error("SRV records have their own ports");
            problems.at(entry.key_place, "", diagnostic);
            return None;
        }
        ("aaaa", Some(port)) => DnsRecord::Aaaa(port),
        (_, Some(port)) => DnsRecord::A(port),
        (_, None) => {
            let diagnostic = Diagnostic::error("addresses in DNS have no port")
                .help("write port = 80 beside it, or type = \"srv\" where SRV records stand");
            problems.missing(node.place, "", diagnostic);
            return None;
        }
    };
    Some(Source::Dns(DnsSource {
        name: name.to_owned(),
        record,
    }))
}

fn backoff(reader: &Reader<'_>, problems: &Problems) -> Backoff {
    let default = Backoff::default();
    let backoff = Backoff {
        min: reader.duration("min").unwrap_or(default.min),
        max: reader.duration("max").unwrap_or(default.max),
    };
    if backoff.max < backoff.min {
        let diagnostic = Diagnostic::error("the longest wait is shorter than the first");
        problems.missing(reader.place(), "max is less than min", diagnostic);
    }
    backoff
}

fn consul(reader: &Reader<'_>) -> Consul {
    let default = Consul::default();
    Consul {
        address: reader.parsed("address", address::api_or_none).flatten(),
        token_file: reader.some_text("token_file").map(Into::into),
        ca_file: reader.some_text("ca_file").map(Into::into),
        datacenter: reader.some_text("datacenter"),
        stale: reader.flag("stale").unwrap_or(default.stale),
        wait: reader.duration("wait").unwrap_or(default.wait),
        max_watches: reader.number("max_watches").unwrap_or(default.max_watches),
        expose: match reader.text("expose") {
            Some("tagged") => Expose::Tagged,
            _ => Expose::Named,
        },
    }
}

/// What names a source; exactly one of these stands in each.
const NAMING: &[&str] = &["file", "consul", "docker", "dns"];

/// One `source` of a backend.
pub(super) fn source(node: &Node, problems: &Problems) -> Option<Source> {
    let table = node.as_table()?;
    let reader = Reader::of(node);
    let naming: Vec<_> = NAMING.iter().filter_map(|key| reader.own(key)).collect();
    let [named] = naming[..] else {
        if naming.len() > 1 {
            let diagnostic = Diagnostic::error("a source is named by one key")
                .help("write several sources: source = [{ ... }, { ... }]");
            problems.at(naming[1].key_place, "a second one", diagnostic);
        } else if table.entries.is_empty() {
            let diagnostic = Diagnostic::error("a source is named by one key");
            let remedy = "write { file = \"...\" }, { consul = \"...\" } or { dns = \"...\" }";
            problems.missing(node.place, remedy, diagnostic);
        }
        return None;
    };
    // Filters of another kind of source.
    for entry in &table.entries {
        let kinds: &[&str] = match &*entry.key {
            "tags" => &["consul"],
            "type" | "port" => &["dns"],
            _ => continue,
        };
        if !kinds.contains(&&*named.key) {
            let what = format!("`{}` does not filter a {} source", entry.key, named.key);
            problems.at(entry.key_place, "", Diagnostic::error(what));
        }
    }
    match &*named.key {
        "file" => beside(node.place, reader.text("file")?, problems).map(Source::File),
        "consul" => Some(Source::Consul(ConsulSource {
            service: reader.text("consul")?.to_owned(),
            tags: reader
                .list("tags")
                .iter()
                .filter_map(Node::as_str)
                .map(str::to_owned)
                .collect(),
        })),
        "dns" => dns_source(&reader, node, problems),
        _ => None,
    }
}

/// A path is relative to the file that names it, because a service's working
/// directory is nobody's choice.
pub(super) fn beside(place: Place, file: &str, problems: &Problems) -> Option<PathBuf> {
    let named_in = problems.source(place)?;
    Some(match Path::new(&named_in.name).parent() {
        Some(directory) => directory.join(file),
        None => PathBuf::from(file),
    })
}
