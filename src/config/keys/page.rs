//! `[stats]`, and `stats` of a frontend.

use super::*;

/// What the page has wherever it is shown.
const PAGE: &[Key] = &[
    key(
        "path",
        text(
            "the start of a path, a query included, such as \"/haproxy?stats\"",
            grammar::request_path,
        ),
    ),
    key(
        "auth",
        Takes::List(&text(
            "\"user:password\", the password plain or its hash",
            parses!(stats::account),
        )),
    ),
    key(
        "auth_file",
        text("an htpasswd file, \"\" for none", grammar::no_zero),
    ),
    key("admin", Takes::Flag),
    key("refresh", Takes::Or("off", &seconds(SECOND, HOUR))),
    key(
        "metrics",
        text("a path, \"\" for none", stats::metrics_path),
    ),
];

pub(super) static STATS: Section = Section {
    title: "[stats]",
    short: Some("bind"),
    groups: &[
        &[
            required("bind", Takes::List(&Takes::Table(&STATS_BIND))),
            key("tls", Takes::Table(&STATS_TLS)),
        ],
        PAGE,
    ],
};

static STATS_BIND: Section = Section {
    title: "a bind of [stats]",
    short: Some("address"),
    groups: &[&[
        required(
            "address",
            text(
                "an address: \"127.0.0.1:9000\", \"[::1]:9000\" or \":9000\"",
                parses!(stats::bind),
            ),
        ),
        key("tls", Takes::Flag),
    ]],
};

/// The page speaks HTTP/1.1: there is nothing to choose from by ALPN.
static STATS_TLS: Section = Section {
    title: "[stats.tls]",
    short: Some("certificates"),
    groups: &[SHOWN],
};

pub(super) static FRONTEND_STATS: Section = Section {
    title: "stats of a frontend",
    short: Some("path"),
    groups: &[PAGE],
};
