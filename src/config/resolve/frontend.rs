//! `[[frontend]]`, and the front half of `[[listen]]`.

use super::{BackendNames, bind, http2, mode, route, stats, tls};
use crate::config::address;
use crate::config::diagnostics::{Diagnostic, Problems};
use crate::config::tree::{Node, Reader, Value};
use crate::config::{
    ClientTimeouts, Forwarded, ForwardedFor, ForwardedPort, Frontend, Mode, Monitor, RequestLimits,
    Route,
};

pub(super) struct Context<'a> {
    pub(super) backends: &'a BackendNames<'a>,
    /// Of a `[[listen]]`: its other half.
    pub(super) own_backend: Option<usize>,
    pub(super) problems: &'a Problems,
}

pub(super) fn frontend(
    reader: &Reader<'_>,
    context: &Context<'_>,
    listening: &mut bind::Listening,
) -> Frontend {
    let problems = context.problems;
    let mode = mode(reader);
    let binds: Vec<_> = reader
        .list("bind")
        .iter()
        .filter_map(|node| bind::bind(node, mode, listening, problems))
        .collect();
    if let Some(entry) = reader.own("bind")
        && matches!(&entry.node.value, Value::Array(items) if items.is_empty())
    {
        let diagnostic = Diagnostic::error("a frontend listens on at least one address");
        problems.at(entry.node.place, "none is given", diagnostic);
    }
    let default_backend = context.own_backend.or_else(|| {
        context
            .backends
            .find(reader.node("default_backend")?, mode, problems)
    });
    let tls = tls::frontend(reader, mode, &binds, problems);
    let redirect_https = match mode {
        Mode::Http => tls::redirect(reader, &binds, problems),
        Mode::Tcp => None,
    };
    let frontend = Frontend {
        name: reader.text("name").unwrap_or_default().into(),
        mode,
        binds,
        maxconn: reader.number("maxconn"),
        routes: match mode {
            Mode::Http => routes(reader, context),
            Mode::Tcp => Vec::new(),
        },
        passed: match mode {
            Mode::Http => Vec::new(),
            Mode::Tcp => route::passed(reader, context),
        },
        default_backend,
        timeouts: timeouts(&reader.table("timeouts")),
        limits: limits(&reader.table("limits")),
        forwarded: forwarded(&reader.table("forwarded")),
        keep_alive_requests: reader.number("keep_alive_requests").unwrap_or(0),
        discovered_routes: discovered_routes(reader, mode, problems),
        stats: stats::of_frontend(reader, problems).filter(|_| mode == Mode::Http),
        monitor: monitor(reader, mode, context),
        tls,
        redirect_https,
        http2: http2::of_clients(&reader.table("http2")),
    };
    stats::warn_exposed(reader, &frontend, problems);
    let leads_nowhere = reader.node("default_backend").is_none()
        && reader.own("route").is_none()
        && frontend.default_backend.is_none()
        && !frontend.discovered_routes
        && frontend.stats.is_none();
    if let (true, Some(name)) = (leads_nowhere, reader.own("name")) {
        let answer = match mode {
            Mode::Http => "every request is answered with 503",
            Mode::Tcp => "every connection is closed",
        };
        problems.missing(
            name.node.place,
            "",
            Diagnostic::warning(format!("no backend: {answer}"))
                .help("write default_backend or a [[frontend.route]]"),
        );
    }
    frontend
}

fn discovered_routes(reader: &Reader<'_>, mode: Mode, problems: &Problems) -> bool {
    let wanted = reader.flag("discovered_routes").unwrap_or(false);
    if let (true, Mode::Tcp, Some(entry)) = (wanted, mode, reader.own("discovered_routes")) {
        let diagnostic = Diagnostic::error("routes look at requests, and tcp mode has none");
        problems.at(entry.key_place, "", diagnostic);
    }
    wanted && mode == Mode::Http
}

fn routes(reader: &Reader<'_>, context: &Context<'_>) -> Vec<Route> {
    reader
        .list("route")
        .iter()
        .filter_map(|node| route::route(node, context.backends, context.problems))
        .collect()
}

fn monitor(reader: &Reader<'_>, mode: Mode, context: &Context<'_>) -> Option<Monitor> {
    reader.node("monitor")?;
    let monitor = reader.table("monitor");
    let mut fail_below = Vec::new();
    for entry in monitor.table("fail_below").entries() {
        let name = Node::new(entry.key_place, Value::string(&*entry.key));
        let known = context.backends.find_any(&name, context.problems);
        if let (Some(index), Value::Integer(Some(count))) = (known, &entry.node.value) {
            fail_below.push((index, usize::try_from(*count).unwrap_or(usize::MAX)));
        }
    }
    // Tcp mode has been warned of.
    (mode == Mode::Http).then(|| Monitor {
        path: monitor.text("path").unwrap_or_default().to_owned(),
        fail_below,
    })
}

fn timeouts(reader: &Reader<'_>) -> ClientTimeouts {
    let default = ClientTimeouts::default();
    let wait = |key, default| reader.duration(key).unwrap_or(default);
    ClientTimeouts {
        client: wait("client", default.client),
        http_request: wait("http_request", default.http_request),
        keep_alive: wait("keep_alive", default.keep_alive),
        tunnel: wait("tunnel", default.tunnel),
        half_closed: wait("half_closed", default.half_closed),
        tls_handshake: wait("tls_handshake", default.tls_handshake),
        client_hello: wait("client_hello", default.client_hello),
    }
}

fn limits(reader: &Reader<'_>) -> RequestLimits {
    let default = RequestLimits::default();
    RequestLimits {
        uri: reader.size("uri").unwrap_or(default.uri),
        head: reader.size("head").unwrap_or(default.head),
        headers: reader.number("headers").unwrap_or(default.headers),
        body: reader.size("body").or(default.body),
    }
}

fn forwarded(reader: &Reader<'_>) -> Forwarded {
    let default = Forwarded::default();
    let networks = reader.list("trusted").iter().filter_map(Node::as_str);
    Forwarded {
        for_: match reader.text("for") {
            Some("replace") => ForwardedFor::Replace,
            Some("off") => ForwardedFor::Off,
            _ => default.for_,
        },
        proto: reader.flag("proto").unwrap_or(default.proto),
        port: match reader.flag("port") {
            Some(true) => ForwardedPort::Local,
            Some(false) => ForwardedPort::Off,
            None => reader
                .number("port")
                .map_or(default.port, ForwardedPort::Fixed),
        },
        host: reader.flag("host").unwrap_or(default.host),
        trusted: networks
            .filter_map(|text| address::network(text).ok())
            .collect(),
        rfc7239: reader.flag("rfc7239").unwrap_or(default.rfc7239),
        via: reader.some_text("via"),
        request_id: reader.some_text("request_id"),
    }
}
