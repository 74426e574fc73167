//! `[discovery]`, and the sources of a backend.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::address;
use crate::config::diagnostics::{Diagnostic, Place, Problems};
use crate::config::grammar;
use crate::config::suggest::nearest;
use crate::config::tree::{Node, Reader};
use crate::config::{
    Backoff, Consul, ConsulSource, Discovery, Dns, DnsRecord, DnsSource, DnsTransport, Docker,
    DockerAddress, DockerConvention, DockerExpose, DockerHealth, DockerSource, Expose, Frontend,
    Register, Source, Ttl,
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
        docker: Docker {
            is_written: reader.node("docker").is_some(),
            ..docker(&reader.table("docker"))
        },
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

fn docker(reader: &Reader<'_>) -> Docker {
    let default = Docker::default();
    let endpoints = reader.list("endpoint").iter().filter_map(Node::as_str);
    let conventions = reader.list("conventions").iter().filter_map(Node::as_str);
    let conventions = conventions.filter_map(|word| match word {
        "rlb" => Some(DockerConvention::Rlb),
        "interlock" => Some(DockerConvention::Interlock),
        "registrator" => Some(DockerConvention::Registrator),
        _ => None,
    });
    Docker {
        is_written: default.is_written,
        endpoints: endpoints
            .filter_map(|text| address::api_or_none(text).ok().flatten())
            .collect(),
        cert_path: reader.some_text("cert_path").map(Into::into),
        address: match reader.text("address") {
            Some("published") => DockerAddress::Published,
            _ => default.address,
        },
        host_ip: reader.parsed("host_ip", grammar::ip_or_none).flatten(),
        network: reader.some_text("network"),
        expose: match reader.text("expose") {
            Some("all") => DockerExpose::All,
            _ => default.expose,
        },
        health: match reader.text("health") {
            Some("require_healthy") => DockerHealth::RequireHealthy,
            Some("ignore") => DockerHealth::Ignore,
            _ => default.health,
        },
        early_drain: reader.flag("early_drain").unwrap_or(default.early_drain),
        stop_grace: reader.duration("stop_grace").unwrap_or(default.stop_grace),
        resync: reader.duration("resync").unwrap_or(default.resync),
        conventions: match reader.own("conventions") {
            Some(_) => conventions.collect(),
            None => default.conventions,
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
            let remedy = "write { file = \"...\" }, { consul = \"...\" }, { docker = \"...\" } or { dns = \"...\" }";
            problems.missing(node.place, remedy, diagnostic);
        }
        return None;
    };
    // Filters of another kind of source.
    for entry in &table.entries {
        let kinds: &[&str] = match &*entry.key {
            "tags" => &["consul", "docker"],
            "project" | "network" => &["docker"],
            "type" => &["dns"],
            "port" => &["dns", "docker"],
            _ => continue,
        };
        if !kinds.contains(&&*named.key) {
            let what = format!("`{}` does not filter a {} source", entry.key, named.key);
            problems.at(entry.key_place, "", Diagnostic::error(what));
        }
    }
    let texts = |key| -> Vec<String> {
        let texts = reader.list(key).iter().filter_map(Node::as_str);
        texts.map(str::to_owned).collect()
    };
    match &*named.key {
        "file" => beside(node.place, reader.text("file")?, problems).map(Source::File),
        "consul" => Some(Source::Consul(ConsulSource {
            service: reader.text("consul")?.to_owned(),
            tags: texts("tags"),
        })),
        "docker" => Some(Source::Docker(DockerSource {
            service: reader.text("docker")?.to_owned(),
            project: reader.some_text("project"),
            port: reader.number("port"),
            network: reader.some_text("network"),
            tags: texts("tags"),
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

/// All `[[register]]`; each names a frontend of this file.
pub(super) fn registers(
    root: &Reader<'_>,
    frontends: &[Frontend],
    problems: &Problems,
) -> Vec<Register> {
    let mut registers: Vec<Register> = Vec::new();
    for node in root.list("register") {
        let Some(register) = register(&Reader::of(node), frontends, problems) else {
            continue;
        };
        let is_same = |other: &Register| {
            other.service == register.service && other.address == register.address
        };
        if registers.iter().any(is_same) {
            let diagnostic = Diagnostic::error("this service is registered twice");
            problems.at(node.place, "again", diagnostic);
        }
        registers.push(register);
    }
    registers
}

fn register(reader: &Reader<'_>, frontends: &[Frontend], problems: &Problems) -> Option<Register> {
    let frontend = reader.node("frontend")?;
    let name = frontend.as_str()?;
    if !frontends.iter().any(|f| *f.name == *name) {
        let names = frontends.iter().map(|f| &*f.name);
        let label = match nearest(name, names) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "no [[frontend]] or [[listen]] has this name".to_owned(),
        };
        let message = format!("unknown frontend `{}`", name.escape_debug());
        problems.missing(frontend.place, label, Diagnostic::error(message));
    }
    let wait = |key, default| reader.duration(key).unwrap_or(default);
    Some(Register {
        service: reader.text("consul")?.to_owned(),
        address: reader.parsed("address", address::reachable)?,
        frontend: name.to_owned(),
        tags: reader
            .list("tags")
            .iter()
            .filter_map(Node::as_str)
            .map(str::to_owned)
            .collect(),
        ttl: wait("ttl", Duration::from_secs(10)),
        deregister_after: wait("deregister_after", Duration::from_secs(60)),
    })
}
