//! `http2` and `protocol`, and who cannot talk to whom.

use super::Section;
use crate::config::diagnostics::{Diagnostic, Problems};
use crate::config::tree::Reader;
use crate::config::{
    Alpn, Backend, BindProtocol, ClientHttp2, Floods, Frontend, FrontendTls, Mode, Protocol,
    ServerHttp2,
};

pub(super) fn of_clients(reader: &Reader<'_>) -> ClientHttp2 {
    let default = ClientHttp2::default();
    let floods = default.floods;
    let count = |key, default| reader.number(key).unwrap_or(default);
    let bytes = |key, default| reader.size(key).unwrap_or(default);
    ClientHttp2 {
        streams: count("streams", default.streams),
        window: bytes("window", default.window),
        connection_window: bytes("connection_window", default.connection_window),
        floods: Floods {
            per: reader.duration("per").unwrap_or(floods.per),
            resets: count("resets", floods.resets),
            faults: count("faults", floods.faults),
            pings: count("pings", floods.pings),
            settings: count("settings", floods.settings),
            idle_frames: count("idle_frames", floods.idle_frames),
            continuations: count("continuations", floods.continuations),
        },
    }
}

pub(super) fn of_servers(reader: &Reader<'_>) -> ServerHttp2 {
    let default = ServerHttp2::default();
    let bytes = |key, default| reader.size(key).unwrap_or(default);
    ServerHttp2 {
        streams: reader.number("streams").unwrap_or(default.streams),
        window: bytes("window", default.window),
        connection_window: bytes("connection_window", default.connection_window),
        ping: match reader.text("ping") {
            None => default.ping,
            Some(_) => reader.duration("ping"),
        },
    }
}

pub(super) fn bind_protocol(reader: &Reader<'_>) -> BindProtocol {
    match reader.text("protocol") {
        Some("h2") => BindProtocol::Http2,
        Some("both") => BindProtocol::Both,
        _ => BindProtocol::Http1,
    }
}

/// With TLS it is ALPN that says.
pub(super) fn refuse_beside_tls(bind: &Reader<'_>, problems: &Problems) {
    if let (Some(true), Some(entry)) = (bind.flag("tls"), bind.own("protocol")) {
        problems.at(
            entry.key_place,
            "of binds without TLS",
            Diagnostic::error("with `tls` clients say what they speak")
                .help("write alpn = \"h2\" in the frontend's `tls` to take nothing else"),
        );
    }
}

pub(super) fn protocol(reader: &Reader<'_>) -> Protocol {
    match reader.text("protocol") {
        Some("h2") => Protocol::Http2,
        _ => Protocol::Http1,
    }
}

/// Requests are not lifted from HTTP/1 to HTTP/2: a bind that takes HTTP/1 alone
/// must not lead to servers that do not speak it.
pub(super) fn refuse_h1_to_h2(
    section: &Section<'_>,
    frontend: &Frontend,
    backends: &[Backend],
    problems: &Problems,
) {
    let of_h2 = frontend
        .leads_to()
        .filter_map(|index| backends.get(index))
        .find(|backend| backend.protocol == Protocol::Http2);
    let Some(backend) = of_h2.filter(|_| frontend.mode == Mode::Http) else {
        return;
    };
    // What binds with TLS take is agreed on there.
    let offers_h2 = |tls: &FrontendTls| tls.alpn.contains(&Alpn::H2);
    let is_h2_offered = frontend.tls.as_ref().is_some_and(offers_h2);
    for node in section.reader.list("bind") {
        let reader = Reader::of(node);
        let takes_h2 = match reader.flag("tls") {
            Some(true) => is_h2_offered,
            _ => bind_protocol(&reader) != BindProtocol::Http1,
        };
        if !takes_h2 {
            problems.at(
                node.place,
                "takes HTTP/1 alone",
                Diagnostic::error(format!(
                    "the servers of `{}` speak HTTP/2, and HTTP/1 requests are not translated",
                    backend.name
                ))
                .help("write protocol = \"h2\" in the bind, or \"both\" where other routes take HTTP/1"),
            );
        }
    }
}
