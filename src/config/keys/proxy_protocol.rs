//! `proxy_protocol` of binds, backends, servers and checks.

use super::*;

/// Of a bind.
pub(super) const ACCEPTED: Takes = Takes::FlagOr(&Takes::Table(&FROM));

static FROM: Section = Section {
    title: "proxy_protocol of a bind",
    short: Some("trusted"),
    groups: &[&[key(
        "trusted",
        Takes::List(&text(
            "a network, such as \"10.0.0.0/8\"",
            parses!(address::network),
        )),
    )]],
};

/// To servers.
pub(super) const SENT: Takes = Takes::Words {
    now: &["off", "v1", "v2"],
    later: &[],
};
