//! Sources and registrations.

use super::*;

pub(super) fn source(source: &Source) -> String {
    match source {
        Source::File(path) => format!("{{ file = {} }}", text(&path.display().to_string())),
        Source::Consul(consul) => {
            let tags = list(&consul.tags, |tag| text(tag));
            format!("{{ consul = {}, tags = {tags} }}", text(&consul.service))
        }
        Source::Docker(docker) => docker_source(docker),
        Source::Announced => unreachable!("not of a file"),
        Source::Dns(dns) => {
            let record = match dns.record {
                DnsRecord::A(port) => format!("\"a\", port = {port}"),
                DnsRecord::Aaaa(port) => format!("\"aaaa\", port = {port}"),
                DnsRecord::Srv => "\"srv\"".to_owned(),
            };
            format!("{{ dns = {}, type = {record} }}", text(&dns.name))
        }
    }
}

fn docker_source(docker: &DockerSource) -> String {
    let mut source = format!("{{ docker = {}", text(&docker.service));
    for (key, value) in [("project", &docker.project), ("network", &docker.network)] {
        if let Some(value) = value {
            source.push_str(&format!(", {key} = {}", text(value)));
        }
    }
    if let Some(port) = docker.port {
        source.push_str(&format!(", port = {port}"));
    }
    let tags = list(&docker.tags, |tag| text(tag));
    source.push_str(&format!(", tags = {tags} }}"));
    source
}

fn docker(out: &mut String, docker: &Docker) {
    out.push_str("\n[discovery.docker]\n");
    let endpoints = list(&docker.endpoints, |address| text(&address.to_string()));
    pair(out, "endpoint", endpoints);
    let path = docker
        .cert_path
        .as_ref()
        .map(|path| path.display().to_string());
    pair(out, "cert_path", text(&path.unwrap_or_default()));
    let address = match docker.address {
        DockerAddress::Container => "container",
        DockerAddress::Published => "published",
    };
    pair(out, "address", text(address));
    let ip = docker.host_ip.map(|ip| ip.to_string()).unwrap_or_default();
    pair(out, "host_ip", text(&ip));
    pair(
        out,
        "network",
        text(docker.network.as_deref().unwrap_or("")),
    );
    let expose = match docker.expose {
        DockerExpose::Labelled => "labelled",
        DockerExpose::All => "all",
    };
    pair(out, "expose", text(expose));
    let health = match docker.health {
        DockerHealth::NotUnhealthy => "not_unhealthy",
        DockerHealth::RequireHealthy => "require_healthy",
        DockerHealth::Ignore => "ignore",
    };
    pair(out, "health", text(health));
    pair(out, "early_drain", docker.early_drain);
    pair(out, "stop_grace", duration(docker.stop_grace));
    pair(out, "resync", duration(docker.resync));
    let conventions = list(&docker.conventions, |convention| {
        text(match convention {
            DockerConvention::Rlb => "rlb",
            DockerConvention::Interlock => "interlock",
            DockerConvention::Registrator => "registrator",
        })
    });
    pair(out, "conventions", conventions);
}

pub(super) fn register(out: &mut String, register: &Register) {
    out.push_str("\n[[register]]\n");
    pair(out, "consul", text(&register.service));
    pair(out, "address", text(&register.address.to_string()));
    pair(out, "frontend", text(&register.frontend));
    pair(out, "tags", list(&register.tags, |tag| text(tag)));
    pair(out, "ttl", duration(register.ttl));
    pair(out, "deregister_after", duration(register.deregister_after));
}

pub(super) fn discovery(out: &mut String, discovery: &Discovery) {
    out.push_str("\n[discovery]\n");
    pair(out, "coalesce", duration(discovery.coalesce));
    pair(out, "max_delay", duration(discovery.max_delay));
    pair(out, "empty_hold", duration(discovery.empty_hold));
    pair(out, "stale_warn", duration(discovery.stale_warn));
    pair(out, "backoff.min", duration(discovery.backoff.min));
    pair(out, "backoff.max", duration(discovery.backoff.max));
    let consul = &discovery.consul;
    let path = |path: &Option<PathBuf>| {
        let path = path.as_ref().map(|path| path.display().to_string());
        text(&path.unwrap_or_default())
    };
    let address = consul.address.as_ref().map(ToString::to_string);
    pair(out, "consul.address", optional_text(&address));
    pair(out, "consul.token_file", path(&consul.token_file));
    pair(out, "consul.ca_file", path(&consul.ca_file));
    pair(out, "consul.datacenter", optional_text(&consul.datacenter));
    pair(out, "consul.stale", consul.stale);
    pair(out, "consul.wait", duration(consul.wait));
    pair(out, "consul.max_watches", consul.max_watches);
    let expose = match consul.expose {
        Expose::Named => "named",
        Expose::Tagged => "tagged",
    };
    pair(out, "consul.expose", text(expose));
    let dns = &discovery.dns;
    let server = |server: &SocketAddr| format!("\"{server}\"");
    pair(out, "dns.servers", list(&dns.servers, server));
    let transport = match dns.transport {
        DnsTransport::Udp => "udp",
        DnsTransport::Tcp => "tcp",
    };
    pair(out, "dns.transport", text(transport));
    pair(out, "dns.ttl.min", duration(dns.ttl.min));
    pair(out, "dns.ttl.max", duration(dns.ttl.max));
    pair(out, "dns.hold_nx", duration(dns.hold_nx));
    docker(out, &discovery.docker);
}
