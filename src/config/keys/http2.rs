//! `http2`: of frontends, of backends, and of what has both.

use super::*;

/// Of both sides.
const STREAMS: &[Key] = &[
    key("streams", number(1, 10_000)),
    key("window", size(16 * KIB, 1 << 30)),
    key("connection_window", size(64 * KIB, 1 << 30)),
];

const CLIENTS: &[Key] = &[
    key("websockets", Takes::Flag),
    key("per", duration(SECOND, HOUR)),
    key("resets", number(1, 1_000_000)),
    key("faults", number(1, 1_000_000)),
    key("pings", number(1, 1_000_000)),
    key("settings", number(1, 1_000_000)),
    key("idle_frames", number(1, 1_000_000)),
    key("continuations", number(1, 1_000)),
];

const SERVERS: &[Key] = &[key("ping", Takes::Or("off", &duration(SECOND, HOUR)))];

pub(super) static CLIENT_HTTP2: Section = Section {
    title: "[frontend.http2]",
    short: None,
    groups: &[STREAMS, CLIENTS],
};

pub(super) static SERVER_HTTP2: Section = Section {
    title: "[backend.http2]",
    short: None,
    groups: &[STREAMS, SERVERS],
};

pub(super) static ALL_HTTP2: Section = Section {
    title: "http2",
    short: None,
    groups: &[STREAMS, CLIENTS, SERVERS],
};
