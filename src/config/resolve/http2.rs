//! `http2` and `protocol`, and who cannot talk to whom.

use crate::config::diagnostics::{Diagnostic, Problems};
use crate::config::tree::Reader;
use crate::config::{BindProtocol, ClientHttp2, Floods, Protocol, ServerHttp2};

pub(super) fn of_clients(reader: &Reader<'_>) -> ClientHttp2 {
    let default = ClientHttp2::default();
    let floods = default.floods;
    let count = |key, default| reader.number(key).unwrap_or(default);
    let bytes = |key, default| reader.size(key).unwrap_or(default);
    ClientHttp2 {
        streams: count("streams", default.streams),
        window: bytes("window", default.window),
        connection_window: bytes("connection_window", default.connection_window),
        websockets: reader.flag("websockets").unwrap_or(default.websockets),
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
