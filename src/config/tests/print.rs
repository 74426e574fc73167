//! Writes a [`Config`] as a file that reads back the same. Every setting is
//! written, so that reading proves each key and not its default.

use std::fmt::Write;

use super::*;
use crate::config::units::{duration_text, size_text};

pub(super) fn print(config: &Config) -> String {
    let mut out = String::new();
    global(&mut out, &config.global);
    for log in &config.logs {
        self::log(&mut out, log);
    }
    for frontend in &config.frontends {
        self::frontend(&mut out, frontend, &config.backends);
    }
    for backend in &config.backends {
        self::backend(&mut out, backend);
    }
    if let Some(server) = &config.stats {
        out.push_str("\n[stats]\n");
        let address = |address: &BindAddress| match address {
            BindAddress::Any(port) => format!("\":{port}\""),
            other => format!("\"{other}\""),
        };
        pair(&mut out, "bind", list(&server.binds, address));
        stats(&mut out, "", &server.page);
    }
    discovery(&mut out, &config.discovery);
    for register in &config.register {
        self::register(&mut out, register);
    }
    out
}

fn stats(out: &mut String, prefix: &str, stats: &Stats) {
    let mut key = |name: &str, value: String| pair(out, &format!("{prefix}{name}"), value);
    key("path", text(&stats.path));
    key("auth", list(&stats.accounts, account_of));
    let file = stats.auth_file.as_ref();
    let file = file.map(|path| path.display().to_string());
    key("auth_file", optional_text(&file));
    key("admin", stats.admin.to_string());
    key("refresh", or(stats.refresh, "off", duration));
    key("metrics", optional_text(&stats.metrics));
}

fn account_of(account: &Account) -> String {
    let (Secret::Plain(secret) | Secret::Bcrypt(secret) | Secret::ShaCrypt(secret)) =
        &account.secret;
    text(&format!("{}:{secret}", account.name))
}

fn global(out: &mut String, global: &Global) {
    out.push_str("[global]\n");
    pair(out, "workers", or(global.workers, "auto", number));
    pair(out, "pin", global.pin);
    pair(out, "maxconn", or(global.maxconn, "auto", number));
    pair(out, "admin", list(&global.admin, admin));
    let state_dir = global
        .state_dir
        .as_ref()
        .map(|path| path.display().to_string());
    pair(out, "state_dir", text(&state_dir.unwrap_or_default()));
    pair(out, "drain_timeout", duration(global.drain_timeout));
    pair(out, "drain_delay", duration(global.drain_delay));
    pair(out, "ready_timeout", duration(global.ready_timeout));
    pair(out, "close_idle_after", duration(global.close_idle_after));
    pair(out, "worker_stall", duration(global.worker_stall));
    pair(out, "pipes_max", global.pipes_max);
    pair(out, "accept_budget", global.accept_budget);
    pair(out, "tls_handshakes_max", global.tls_handshakes_max);
    pair(out, "user", optional_text(&global.user));
    pair(out, "group", optional_text(&global.group));
}

fn log(out: &mut String, log: &Log) {
    out.push_str("\n[[log]]\n");
    pair(out, "target", text(&log.target.to_string()));
    let what = match log.what {
        LogWhat::Access => "access",
        LogWhat::Events => "events",
    };
    pair(out, "what", text(what));
    let format = match log.format {
        LogFormat::Haproxy => "haproxy",
        LogFormat::Json => "json",
    };
    pair(out, "format", text(format));
    pair(out, "tag", text(&log.tag));
    let only = if log.only_errors { "errors" } else { "all" };
    pair(out, "only", text(only));
    pair(out, "uri_max", size(log.uri_max as u64));
}

fn admin(socket: &AdminSocket) -> String {
    let mut keys = Vec::new();
    match &socket.address {
        AdminAddress::Unix(path) => {
            keys.push(format!("path = {}", text(&path.display().to_string())));
            keys.push(format!("mode = \"{:04o}\"", socket.mode));
            keys.extend(account("user", &socket.user));
            keys.extend(account("group", &socket.group));
        }
        AdminAddress::Tcp(address) => {
            keys.push(format!("bind = \"{address}\""));
            keys.push("insecure = true".to_owned());
        }
    }
    let level = match socket.level {
        AdminLevel::User => "user",
        AdminLevel::Operator => "operator",
        AdminLevel::Admin => "admin",
    };
    keys.push(format!("level = \"{level}\""));
    inline(&keys)
}

fn frontend(out: &mut String, frontend: &Frontend, backends: &[Backend]) {
    out.push_str("\n[[frontend]]\n");
    pair(out, "name", text(&frontend.name));
    pair(out, "mode", mode(frontend.mode));
    pair(out, "bind", list(&frontend.binds, bind));
    pair(out, "maxconn", or(frontend.maxconn, "auto", number));
    pair(out, "keep_alive_requests", frontend.keep_alive_requests);
    pair(out, "discovered_routes", frontend.discovered_routes);
    if let Some(index) = frontend.default_backend {
        pair(out, "default_backend", text(&backends[index].name));
    }
    if !frontend.routes.is_empty() {
        pair(
            out,
            "route",
            list(&frontend.routes, |route| self::route(route, backends)),
        );
    }
    if !frontend.passed.is_empty() {
        let routes = list(&frontend.passed, |route| tls_route(route, backends));
        pair(out, "route", routes);
    }
    if let Some(monitor) = &frontend.monitor {
        let below = monitor.fail_below.iter();
        let below = below.map(|(index, n)| format!("{} = {n}", text(&backends[*index].name)));
        pair(
            out,
            "monitor",
            inline(&[
                format!("path = {}", text(&monitor.path)),
                format!("fail_below = {}", inline(&below.collect::<Vec<_>>())),
            ]),
        );
    }
    let timeouts = &frontend.timeouts;
    pair(out, "timeouts.client", duration(timeouts.client));
    pair(
        out,
        "timeouts.http_request",
        duration(timeouts.http_request),
    );
    pair(out, "timeouts.keep_alive", duration(timeouts.keep_alive));
    pair(out, "timeouts.tunnel", duration(timeouts.tunnel));
    pair(out, "timeouts.half_closed", duration(timeouts.half_closed));
    pair(
        out,
        "timeouts.tls_handshake",
        duration(timeouts.tls_handshake),
    );
    pair(
        out,
        "timeouts.client_hello",
        duration(timeouts.client_hello),
    );
    let limits = &frontend.limits;
    pair(out, "limits.uri", size(limits.uri as u64));
    pair(out, "limits.head", size(limits.head as u64));
    pair(out, "limits.headers", limits.headers);
    pair(out, "limits.body", or(limits.body, "off", size));
    client_http2(out, &frontend.http2);
    forwarded(out, &frontend.forwarded);
    if let Some(page) = &frontend.stats {
        stats(out, "stats.", page);
    }
    if let Some(tls) = &frontend.tls {
        frontend_tls(out, tls);
    }
    if let Some(redirect) = frontend.redirect_https {
        pair(out, "redirect_https.code", redirect.code);
        pair(out, "redirect_https.port", redirect.port);
    }
}

fn frontend_tls(out: &mut String, tls: &FrontendTls) {
    let path = |path: &PathBuf| text(&path.display().to_string());
    pair(out, "tls.certificates", list(&tls.certificates, path));
    pair(out, "tls.strict_sni", tls.strict_sni);
    pair(out, "tls.alpn", list(&tls.alpn, protocol));
    let version = match tls.min_version {
        TlsVersion::Tls12 => "1.2",
        TlsVersion::Tls13 => "1.3",
    };
    pair(out, "tls.min_version", text(version));
    pair(
        out,
        "tls.cipher_suites",
        list(&tls.cipher_suites, |suite| text(suite)),
    );
    pair(out, "tls.tickets", tls.tickets);
    let auth = match tls.client_auth {
        ClientAuth::Off => "off",
        ClientAuth::Optional => "optional",
        ClientAuth::Required => "required",
    };
    pair(out, "tls.client_auth", text(auth));
    if let Some(file) = &tls.ca_file {
        pair(out, "tls.ca_file", path(file));
    }
}

fn protocol(alpn: &Alpn) -> String {
    text(std::str::from_utf8(alpn.as_bytes()).unwrap())
}

fn server_tls(tls: &ServerTls) -> String {
    let path = |key: &str, path: &Option<PathBuf>| {
        let text = text(&path.as_ref()?.display().to_string());
        Some(format!("{key} = {text}"))
    };
    let mut keys = vec![
        format!("verify = {}", tls.verify),
        format!("alpn = {}", list(&tls.alpn, protocol)),
    ];
    keys.extend(path("ca_file", &tls.ca_file));
    keys.extend(tls.sni.as_ref().map(|name| format!("sni = {}", text(name))));
    keys.extend(
        tls.host
            .as_ref()
            .map(|name| format!("host = {}", text(name))),
    );
    keys.extend(path("certificate", &tls.certificate));
    keys.extend(path("key", &tls.key));
    inline(&keys)
}

fn client_http2(out: &mut String, http2: &ClientHttp2) {
    let floods = &http2.floods;
    pair(out, "http2.streams", http2.streams);
    pair(out, "http2.window", size(http2.window.into()));
    let connection = size(http2.connection_window.into());
    pair(out, "http2.connection_window", connection);
    pair(out, "http2.per", duration(floods.per));
    pair(out, "http2.resets", floods.resets);
    pair(out, "http2.faults", floods.faults);
    pair(out, "http2.pings", floods.pings);
    pair(out, "http2.settings", floods.settings);
    pair(out, "http2.idle_frames", floods.idle_frames);
    pair(out, "http2.continuations", floods.continuations);
}

fn server_http2(out: &mut String, http2: &ServerHttp2) {
    pair(out, "http2.streams", http2.streams);
    pair(out, "http2.window", size(http2.window.into()));
    let connection = size(http2.connection_window.into());
    pair(out, "http2.connection_window", connection);
    pair(out, "http2.ping", or(http2.ping, "off", duration));
}

fn forwarded(out: &mut String, forwarded: &Forwarded) {
    let for_ = match forwarded.for_ {
        ForwardedFor::Append => "append",
        ForwardedFor::Replace => "replace",
        ForwardedFor::Off => "off",
    };
    pair(out, "forwarded.for", text(for_));
    pair(out, "forwarded.proto", forwarded.proto);
    let port = match forwarded.port {
        ForwardedPort::Off => "false".to_owned(),
        ForwardedPort::Local => "true".to_owned(),
        ForwardedPort::Fixed(port) => port.to_string(),
    };
    pair(out, "forwarded.port", port);
    pair(out, "forwarded.host", forwarded.host);
    pair(out, "forwarded.trusted", list(&forwarded.trusted, network));
    pair(out, "forwarded.rfc7239", forwarded.rfc7239);
    pair(out, "forwarded.via", optional_text(&forwarded.via));
    pair(
        out,
        "forwarded.request_id",
        optional_text(&forwarded.request_id),
    );
}

fn network(network: &Network) -> String {
    format!("\"{}/{}\"", network.address, network.prefix)
}

/// `None` = nothing is written.
fn sent(choice: ProxyChoice) -> Option<&'static str> {
    match choice {
        ProxyChoice::Inherit => None,
        ProxyChoice::Off => Some("\"off\""),
        ProxyChoice::Own(ProxyVersion::V1) => Some("\"v1\""),
        ProxyChoice::Own(ProxyVersion::V2) => Some("\"v2\""),
    }
}

fn bind(bind: &Bind) -> String {
    let address = match &bind.address {
        BindAddress::Ip(address) => address.to_string(),
        BindAddress::Any(port) => format!(":{port}"),
        BindAddress::Unix(path) => format!("unix:{}", path.display()),
        BindAddress::Abstract(name) => format!("unix:@{name}"),
        BindAddress::Fd(number) => format!("fd@{number}"),
    };
    let mut keys = vec![format!("address = {}", text(&address))];
    let default = Bind::default();
    // Options that do not apply to an address are refused even when they say
    // what is so anyway.
    if bind.backlog != default.backlog {
        keys.push(format!("backlog = {}", bind.backlog));
    }
    if bind.nodelay != default.nodelay {
        keys.push(format!("nodelay = {}", bind.nodelay));
    }
    keys.extend(
        bind.keepalive
            .map(|wait| format!("keepalive = {}", duration(wait))),
    );
    keys.extend(
        bind.defer_accept
            .map(|wait| format!("defer_accept = {}", duration(wait))),
    );
    keys.extend(account("interface", &bind.interface));
    keys.extend(bind.socket_mode.map(|mode| format!("mode = \"{mode:o}\"")));
    keys.extend(account("user", &bind.user));
    keys.extend(account("group", &bind.group));
    // With TLS it is ALPN that says.
    keys.push(match (bind.tls, bind.protocol) {
        (true, _) => "tls = true".to_owned(),
        (false, BindProtocol::Http1) => "protocol = \"h1\"".to_owned(),
        (false, BindProtocol::Http2) => "protocol = \"h2\"".to_owned(),
        (false, BindProtocol::Both) => "protocol = \"both\"".to_owned(),
    });
    keys.push(match &bind.proxy_protocol {
        AcceptProxy::Off => "proxy_protocol = false".to_owned(),
        AcceptProxy::Always => "proxy_protocol = true".to_owned(),
        AcceptProxy::From(networks) => {
            format!(
                "proxy_protocol = {{ trusted = {} }}",
                list(networks, network)
            )
        }
    });
    inline(&keys)
}

fn tls_route(route: &TlsRoute, backends: &[Backend]) -> String {
    let mut keys = Vec::new();
    match &route.sni {
        Some(HostMatch::Exact(host)) => keys.push(format!("sni = {}", text(host))),
        Some(HostMatch::Suffix(host)) => keys.push(format!("sni = {}", text(&format!("*{host}")))),
        None => {}
    }
    if !route.alpn.is_empty() {
        keys.push(format!("alpn = {}", list(&route.alpn, |name| text(name))));
    }
    keys.push(format!("backend = {}", text(&backends[route.backend].name)));
    inline(&keys)
}

fn route(route: &Route, backends: &[Backend]) -> String {
    let mut keys = Vec::new();
    match &route.host {
        Some(HostMatch::Exact(host)) => keys.push(format!("host = {}", text(host))),
        Some(HostMatch::Suffix(host)) => keys.push(format!("host = {}", text(&format!("*{host}")))),
        None => {}
    }
    keys.extend(
        route
            .path_prefix
            .as_ref()
            .map(|path| format!("path_prefix = {}", text(path))),
    );
    if !route.methods.is_empty() {
        keys.push(format!(
            "method = {}",
            list(&route.methods, |method| text(method))
        ));
    }
    if !route.headers.is_empty() {
        keys.push(format!("header = {}", list(&route.headers, header)));
    }
    keys.push(format!("backend = {}", text(&backends[route.backend].name)));
    inline(&keys)
}

fn header(header: &HeaderMatch) -> String {
    match &header.value {
        Some(value) => format!(
            "{{ name = {}, value = {} }}",
            text(&header.name),
            text(value)
        ),
        None => text(&header.name),
    }
}

fn source(source: &Source) -> String {
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

fn register(out: &mut String, register: &Register) {
    out.push_str("\n[[register]]\n");
    pair(out, "consul", text(&register.service));
    pair(out, "address", text(&register.address.to_string()));
    pair(out, "frontend", text(&register.frontend));
    pair(out, "tags", list(&register.tags, |tag| text(tag)));
    pair(out, "ttl", duration(register.ttl));
    pair(out, "deregister_after", duration(register.deregister_after));
}

fn discovery(out: &mut String, discovery: &Discovery) {
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

fn backend(out: &mut String, backend: &Backend) {
    out.push_str("\n[[backend]]\n");
    pair(out, "name", text(&backend.name));
    pair(out, "mode", mode(backend.mode));
    let Balance::RoundRobin = backend.balance;
    pair(out, "balance", "\"roundrobin\"");
    pair(out, "retries", backend.retries);
    pair(out, "panic", text(&format!("{}%", backend.panic)));
    pair(out, "server", list(&backend.servers, server));
    pair(out, "source", list(&backend.sources, source));
    pair(out, "pool_max", backend.pool_max);
    pair(out, "server_maxconn", backend.server_maxconn);
    pair(out, "maxqueue", backend.maxqueue);
    pair(out, "observe_connect", backend.observe_connect);
    if let Some(wait) = backend.drain_timeout {
        pair(out, "drain_timeout", duration(wait));
    }
    pair(out, "retry_after", duration(backend.retry_after));
    if let Some(tls) = &backend.tls {
        pair(out, "tls", server_tls(tls));
    }
    let version = backend.proxy_protocol.map(ProxyChoice::Own);
    pair(
        out,
        "proxy_protocol",
        version.and_then(sent).unwrap_or("\"off\""),
    );
    let timeouts = &backend.timeouts;
    pair(out, "timeouts.connect", duration(timeouts.connect));
    pair(out, "timeouts.server", duration(timeouts.server));
    pair(out, "timeouts.queue", duration(backend.queue_timeout));
    pair(out, "timeouts.pool_idle", duration(timeouts.pool_idle));
    if let Some(wait) = timeouts.tunnel {
        pair(out, "timeouts.tunnel", duration(wait));
    }
    pair(out, "limits.head", size(backend.limits.head as u64));
    pair(out, "limits.headers", backend.limits.headers);
    let protocol = match backend.protocol {
        Protocol::Http1 => "h1",
        Protocol::Http2 => "h2",
    };
    pair(out, "protocol", text(protocol));
    server_http2(out, &backend.http2);
    if let Some(groups) = &backend.groups {
        self::groups(out, groups);
    }
    match &backend.check {
        Some(check) => self::check(out, check),
        None if backend.check_discovered => {}
        None => pair(out, "check", false),
    }
}

fn groups(out: &mut String, groups: &Groups) {
    let by = groups.by.as_ref().map(|by| match by {
        GroupBy::Tag(word) => format!("tag:{word}"),
        GroupBy::Meta(key) => format!("meta:{key}"),
        GroupBy::Label(name) => format!("label:{name}"),
    });
    if let Some(by) = by {
        pair(out, "groups.by", text(&by));
    }
    match &groups.weights {
        GroupWeights::ConsulKv(KvPattern { prefix, suffix }) => {
            let pattern = format!("{prefix}{{group}}{suffix}");
            pair(out, "groups.weights.consul_kv", text(&pattern));
        }
        GroupWeights::ConsulKvJson(key) => pair(out, "groups.weights.consul_kv_json", text(key)),
        GroupWeights::File(path) => {
            pair(
                out,
                "groups.weights.file",
                text(&path.display().to_string()),
            );
        }
        GroupWeights::Static(shares) => {
            let shares: Vec<_> = shares
                .iter()
                .map(|(group, share)| format!("{} = {share}", key(group)))
                .collect();
            pair(out, "groups.weights.static", inline(&shares));
        }
    }
    pair(out, "groups.missing", groups.missing);
    let all_zero = match groups.all_zero {
        AllZero::Refuse => "\"refuse\"",
        AllZero::Equal => "\"equal\"",
    };
    pair(out, "groups.all_zero", all_zero);
}

fn check(out: &mut String, check: &Check) {
    match &check.probe {
        Probe::Tcp => pair(out, "check.type", "\"tcp\""),
        Probe::Grpc { service, host } => {
            pair(out, "check.type", "\"grpc\"");
            pair(out, "check.service", text(service));
            pair(out, "check.host", optional_text(host));
        }
        // It is the backend's.
        Probe::Http {
            protocol: _,
            method,
            path,
            host,
            headers,
            expect,
        } => {
            pair(out, "check.type", "\"http\"");
            pair(out, "check.method", text(method));
            pair(out, "check.path", text(path));
            pair(out, "check.host", optional_text(host));
            for (name, value) in headers {
                pair(out, &format!("check.headers.{}", text(name)), text(value));
            }
            let range = |range: &std::ops::RangeInclusive<u16>| {
                format!("\"{}-{}\"", range.start(), range.end())
            };
            pair(out, "check.expect", list(expect, range));
        }
    }
    pair(out, "check.interval", duration(check.interval));
    pair(out, "check.fast_interval", duration(check.fast_interval));
    pair(out, "check.down_interval", duration(check.down_interval));
    pair(out, "check.timeout", duration(check.timeout));
    pair(out, "check.rise", check.rise);
    pair(out, "check.fall", check.fall);
    pair(out, "check.tls", check.tls);
    if let Some(word) = sent(check.proxy_protocol) {
        pair(out, "check.proxy_protocol", word);
    }
}

fn server(server: &Server) -> String {
    let address = server.address.to_string();
    let mut keys = vec![
        format!("name = {}", text(&server.name)),
        format!("address = {}", text(&address)),
        format!("weight = {}", server.weight),
        format!("backup = {}", server.backup),
        format!("disabled = {}", server.disabled),
    ];
    keys.extend((server.group.as_ref()).map(|group| format!("group = {}", text(group))));
    keys.extend(server.check.map(|check| format!("check = {check}")));
    keys.extend(server.check_port.map(|port| format!("check_port = {port}")));
    keys.extend(
        server
            .check_address
            .map(|ip| format!("check_address = \"{ip}\"")),
    );
    keys.extend(server.maxconn.map(|maxconn| format!("maxconn = {maxconn}")));
    match &server.tls {
        TlsChoice::Backend => {}
        TlsChoice::Off => keys.push("tls = false".to_owned()),
        TlsChoice::Own(tls) => keys.push(format!("tls = {}", server_tls(tls))),
    }
    keys.extend(sent(server.proxy_protocol).map(|word| format!("proxy_protocol = {word}")));
    inline(&keys)
}

fn pair(out: &mut String, key: &str, value: impl std::fmt::Display) {
    writeln!(out, "{key} = {value}").unwrap();
}

/// A key of TOML; long forms of strings cannot be one.
fn key(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A string of TOML in which `$` stands for itself.
fn text(text: &str) -> String {
    toml::Value::from(text.replace('$', "$$")).to_string()
}

fn optional_text(value: &Option<String>) -> String {
    text(value.as_deref().unwrap_or_default())
}

fn account(key: &str, value: &Option<String>) -> Option<String> {
    value
        .as_ref()
        .map(|value| format!("{key} = {}", text(value)))
}

fn number(number: usize) -> String {
    number.to_string()
}

fn duration(value: Duration) -> String {
    format!("\"{}\"", duration_text(value))
}

fn size(value: u64) -> String {
    format!("\"{}\"", size_text(value))
}

fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Http => "\"http\"",
        Mode::Tcp => "\"tcp\"",
    }
}

fn or<T>(value: Option<T>, word: &str, print: impl Fn(T) -> String) -> String {
    value.map_or_else(|| text(word), print)
}

fn list<T>(items: &[T], print: impl Fn(&T) -> String) -> String {
    let items: Vec<_> = items.iter().map(print).collect();
    format!("[{}]", items.join(", "))
}

fn inline(keys: &[String]) -> String {
    format!("{{ {} }}", keys.join(", "))
}
