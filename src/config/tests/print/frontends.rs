//! Frontends, binds and routes.

use super::*;

pub(super) fn frontend(out: &mut String, frontend: &Frontend, backends: &[Backend]) {
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
        shown(out, tls);
        pair(out, "tls.alpn", list(&tls.alpn, protocol));
    }
    if let Some(redirect) = frontend.redirect_https {
        pair(out, "redirect_https.code", redirect.code);
        pair(out, "redirect_https.port", redirect.port);
    }
}

pub(super) fn shown(out: &mut String, tls: &FrontendTls) {
    let path = |path: &PathBuf| text(&path.display().to_string());
    pair(out, "tls.certificates", list(&tls.certificates, path));
    pair(out, "tls.strict_sni", tls.strict_sni);
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
    if let Some(file) = &tls.crl_file {
        pair(out, "tls.crl_file", path(file));
    }
}

fn client_http2(out: &mut String, http2: &ClientHttp2) {
    let floods = &http2.floods;
    pair(out, "http2.streams", http2.streams);
    pair(out, "http2.window", size(http2.window.into()));
    let connection = size(http2.connection_window.into());
    pair(out, "http2.connection_window", connection);
    pair(out, "http2.websockets", http2.websockets);
    pair(out, "http2.per", duration(floods.per));
    pair(out, "http2.resets", floods.resets);
    pair(out, "http2.faults", floods.faults);
    pair(out, "http2.pings", floods.pings);
    pair(out, "http2.settings", floods.settings);
    pair(out, "http2.idle_frames", floods.idle_frames);
    pair(out, "http2.continuations", floods.continuations);
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
    keys.push(match route.backend {
        Some(index) => format!("backend = {}", text(&backends[index].name)),
        None => "deny = true".to_owned(),
    });
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
    keys.push(match route.to {
        RouteTo::Backend(index) => format!("backend = {}", text(&backends[index].name)),
        RouteTo::Deny(403) => "deny = true".to_owned(),
        RouteTo::Deny(status) => format!("deny = {status}"),
    });
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
