//! Backends, servers, checks and groups.

use super::*;

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

fn server_http2(out: &mut String, http2: &ServerHttp2) {
    pair(out, "http2.streams", http2.streams);
    pair(out, "http2.window", size(http2.window.into()));
    let connection = size(http2.connection_window.into());
    pair(out, "http2.connection_window", connection);
    pair(out, "http2.ping", or(http2.ping, "off", duration));
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

pub(super) fn backend(out: &mut String, backend: &Backend) {
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
    if let Some(cookie) = &backend.cookie {
        self::cookie(out, cookie);
    }
    match &backend.check {
        Some(check) => self::check(out, check),
        None if backend.check_discovered => {}
        None => pair(out, "check", false),
    }
}

fn cookie(out: &mut String, cookie: &Cookie) {
    pair(out, "cookie.name", text(&cookie.name));
    pair(out, "cookie.mode", "\"insert\"");
    pair(out, "cookie.indirect", cookie.indirect);
    pair(out, "cookie.nocache", cookie.nocache);
    pair(out, "cookie.preserve", cookie.preserve);
    pair(out, "cookie.httponly", cookie.httponly);
    let secure = match cookie.secure {
        CookieSecure::Auto => "\"auto\"",
        CookieSecure::Always => "true",
        CookieSecure::Never => "false",
    };
    pair(out, "cookie.secure", secure);
    let same_site = cookie.same_site.map(|word| match word {
        SameSite::Lax => "\"lax\"",
        SameSite::Strict => "\"strict\"",
        SameSite::None => "\"none\"",
    });
    if let Some(word) = same_site {
        pair(out, "cookie.same_site", word);
    }
    if let Some(domain) = &cookie.domain {
        pair(out, "cookie.domain", text(domain));
    }
    pair(out, "cookie.path", text(&cookie.path));
    for (key, age) in [
        ("cookie.max_age", cookie.max_age),
        ("cookie.maxidle", cookie.maxidle),
        ("cookie.maxlife", cookie.maxlife),
    ] {
        if let Some(age) = age {
            pair(out, key, duration(age));
        }
    }
    pair(out, "cookie.key", text(&cookie.key));
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
    keys.extend((server.cookie.as_ref()).map(|value| format!("cookie = {}", text(value))));
    keys.extend(sent(server.proxy_protocol).map(|word| format!("proxy_protocol = {word}")));
    inline(&keys)
}
